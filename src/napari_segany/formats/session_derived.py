"""Steps of a session that begin from objects: carried through a stack, or looking alike. JSON; no torch.

They tell what was asked, with which limits, and the pixels that came of it. Replay asks again where the same question
gives the same pixels; else it takes these, and the step says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_segany.formats.json_fields import a_mapping, integer, objects, optional_number, text
from napari_segany.formats.rle import RunLengths
from napari_segany.formats.session_steps import (
    PlaneIndex,
    PlaneMasks,
    SavedAsking,
    SavedQuestion,
    Slicer,
    floats,
    planes_from_list,
    planes_to_list,
    slicer_of,
)


@dataclass(frozen=True, kw_only=True)
class SavedDerived(SavedAsking):
    """What both kinds of steps say.

    Attributes
    ----------
    planes : Mapping
        The pixels that came of it, as in `SavedPixels`.
    why_pixels : str
        Why replay takes these pixels, in words; "" where it asks again.
    contrast_limits : tuple of float, optional
        Intensities that the model saw as black and white; None for RGB.
    """

    planes: PlaneMasks
    why_pixels: str = ""
    contrast_limits: tuple[float, float] | None = None

    @property
    def asks(self) -> bool:
        """Whether replay asks the model again."""
        return not self.why_pixels

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**super().to_dict(), "planes": planes_to_list(self.planes)}

    @classmethod
    def common(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Read what is common to them."""
        limits = values["contrast_limits"]
        return {
            **SavedAsking.common(values),
            "planes": planes_from_list(values),
            "why_pixels": text(values, "why_pixels"),
            "contrast_limits": None if limits is None else (floats(limits, 2)[0], floats(limits, 2)[1]),
        }


@dataclass(frozen=True, kw_only=True)
class SavedSlicePrompt:
    """What was said of an object on a slice of a stack.

    Attributes
    ----------
    object_id : int
        The object's number in this step.
    place : int
        The slice.
    said : SavedQuestion, optional
        Points, box and mask there; background points alone end the object. None where its mask alone counts.
    questions : tuple of SavedQuestion
        What was asked on the slice, each refining the one before, until somebody chose a mask; that is carried on.
    chosen : int
        Which candidate of the last answer that was.
    mask : RunLengths, optional
        The mask that is carried on, where no question leads to it.
    is_object : bool
        Whether it is the object's own mask in the labels that is carried on.
    """

    object_id: int
    place: int
    said: SavedQuestion | None = None
    questions: tuple[SavedQuestion, ...] = ()
    chosen: int = 0
    mask: RunLengths | None = None
    is_object: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "object_id": self.object_id,
            "place": self.place,
            "said": None if self.said is None else self.said.to_dict(),
            "questions": [one.to_dict() for one in self.questions],
            "chosen": self.chosen,
            "mask": None if self.mask is None else self.mask.to_dict(),
            "is_object": self.is_object,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SavedSlicePrompt:
        """Read what `to_dict` returned."""
        said, mask = values["said"], values["mask"]
        return cls(
            object_id=integer(values, "object_id"),
            place=integer(values, "place"),
            said=None if said is None else SavedQuestion.from_dict(said),
            questions=tuple(SavedQuestion.from_dict(one) for one in objects(values, "questions")),
            chosen=integer(values, "chosen"),
            mask=None if mask is None else RunLengths.from_dict(mask),
            is_object=bool(values["is_object"]),
        )


@dataclass(frozen=True, kw_only=True)
class SavedCarried(SavedDerived):
    """Objects that were carried through a stack; `axes` and `index` are of its first slice.

    Attributes
    ----------
    axis : int
        The axis of the data that leads from slice to slice.
    first, last : int
        The slices that the model looked at.
    direction : str
        Where people wanted to go: "both", "forwards", "backwards", or "between" two prompted slices.
    settings : Mapping
        Parameters of `PropagationSettings`.
    prompts : tuple of SavedSlicePrompt
        All that was said of the objects.
    labels : Mapping
        The label of each object, by its number in this step; those not found are left out.
    carried : tuple of int
        The labels that were there before.
    corrects : int
        The object that was corrected; 0 where none was.
    new_ids_from : int
        Least number in this step of an object that came about by division.
    """

    axis: int
    first: int
    last: int
    direction: str
    settings: Mapping[str, Any]
    prompts: tuple[SavedSlicePrompt, ...]
    labels: Mapping[int, int] = field(default_factory=dict)
    carried: tuple[int, ...] = ()
    corrects: int = 0
    new_ids_from: int = 1

    @property
    def places(self) -> tuple[tuple[tuple[int, int], PlaneIndex], ...]:
        """Axes and index of each plane that the model looked at."""
        return tuple((self.axes, self.index_at(place)) for place in range(self.first, self.last + 1))

    def index_at(self, place: int) -> PlaneIndex:
        """Return the index of a slice."""
        hidden = [axis for axis in range(2 + len(self.index)) if axis not in self.axes]
        return tuple(place if axis == self.axis else at for axis, at in zip(hidden, self.index, strict=True))

    def slicer_at(self, place: int) -> Slicer:
        """Return what cuts a slice out of an image or its labels."""
        return slicer_of(self.axes, self.index_at(place))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            **super().to_dict(),
            "kind": "carried",
            "settings": dict(self.settings),
            "prompts": [one.to_dict() for one in self.prompts],
            "labels": [list(one) for one in self.labels.items()],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SavedCarried:
        """Read what `to_dict` returned."""
        axes, axis = values["axes"], integer(values, "axis")
        if axis in axes or not 0 <= axis < 2 + len(values["index"]):
            raise ValueError(f"objects were carried along axis {axis}, which does not lead through a plane of {axes}")
        return cls(
            axis=axis,
            first=integer(values, "first"),
            last=integer(values, "last"),
            corrects=integer(values, "corrects"),
            new_ids_from=integer(values, "new_ids_from"),
            direction=text(values, "direction"),
            settings=a_mapping(values, "settings"),
            prompts=tuple(SavedSlicePrompt.from_dict(one) for one in objects(values, "prompts")),
            labels={int(number): int(label) for number, label in values["labels"]},
            carried=tuple(int(label) for label in values["carried"]),
            **cls.common(values),
        )


@dataclass(frozen=True, kw_only=True)
class SavedSimilar(SavedDerived):
    """Masks of a plane that look like chosen ones, accepted together.

    Attributes
    ----------
    chosen : tuple of RunLengths
        What they resemble.
    similar_to : tuple of int
        The labels of these; none for a mask that was on offer.
    threshold, least_iou : float
        The similarity and the predicted IoU from which on masks were accepted.
    source : str
        Which masks were compared: "model", all that it finds, or "everything", those of a layer.
    settings : Mapping
        Parameters of `AutomaticSettings` that the model found the masks with; empty for those of a layer.
    labels : tuple of int
        The new objects, most similar first.
    """

    chosen: tuple[RunLengths, ...]
    similar_to: tuple[int, ...]
    threshold: float
    least_iou: float
    source: str
    settings: Mapping[str, Any]
    labels: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            **super().to_dict(),
            "kind": "similar",
            "chosen": [one.to_dict() for one in self.chosen],
            "settings": dict(self.settings),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SavedSimilar:
        """Read what `to_dict` returned."""
        return cls(
            chosen=tuple(RunLengths.from_dict(one) for one in objects(values, "chosen")),
            similar_to=tuple(int(label) for label in values["similar_to"]),
            threshold=optional_number(values, "threshold") or 0.0,
            least_iou=optional_number(values, "least_iou") or 0.0,
            source=text(values, "source"),
            settings=a_mapping(values, "settings"),
            labels=tuple(int(label) for label in values["labels"]),
            **cls.common(values),
        )
