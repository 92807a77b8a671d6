"""Steps in which the objects of a session came about, so that they can be made again. JSON; no torch.

A step is an answer of the model that was accepted, or many points or boxes that became an object each, both kept as
what was asked; or pixels that somebody changed (by a brush, a merge, an undo), kept as they became. Steps that begin
from objects that are there are in `session_derived`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_segany.formats.json_fields import a_mapping, integer, objects, optional_number, text
from napari_segany.formats.rle import RunLengths

PRECISIONS = ("float32", "bfloat16")
"""In which an image embedding may have been computed; where a file does not say, it was the first."""

PlaneIndex = tuple[int, ...]
PlaneMasks = Mapping[PlaneIndex, Mapping[int, RunLengths]]
Slicer = tuple[int | slice, ...]


@dataclass(frozen=True)
class SavedQuestion:
    """What a model was asked about a plane.

    Attributes
    ----------
    points : tuple
        (row, col) in pixels of the plane.
    labels : tuple of int
        1 foreground, 0 background, one for each point.
    box : tuple of float, optional
        (row_min, col_min, row_max, col_max).
    mask : RunLengths, optional
        An object that served as prompt.
    refines : int, optional
        Which candidate of the question before gave its low-resolution logits; none where not given.
    contrast_limits : tuple of float, optional
        Intensities that the model saw as black and white; None for RGB.
    window : tuple of int, optional
        (level, row_min, col_min, row_max, col_max), where it was asked on a plane that is too large to be asked as a
        whole: the plane is reduced by 2**level, and the rest is in pixels of that.
    """

    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    box: tuple[float, float, float, float] | None = None
    mask: RunLengths | None = None
    refines: int | None = None
    contrast_limits: tuple[float, float] | None = None
    window: tuple[int, int, int, int, int] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        window = {} if self.window is None else {"window": list(self.window)}  # which others never had
        return {
            "points": [list(point) for point in self.points],
            "labels": list(self.labels),
            "box": None if self.box is None else list(self.box),
            "mask": None if self.mask is None else self.mask.to_dict(),
            "refines": self.refines,
            "contrast_limits": None if self.contrast_limits is None else list(self.contrast_limits),
            **window,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SavedQuestion:
        """Read what `to_dict` returned."""
        box, mask, limits = values["box"], values["mask"], values["contrast_limits"]
        edges = None if box is None else floats(box, 4)
        return cls(
            points=tuple((float(row), float(col)) for row, col in values["points"]),
            labels=tuple(int(label) for label in values["labels"]),
            box=None if edges is None else (edges[0], edges[1], edges[2], edges[3]),
            mask=None if mask is None else RunLengths.from_dict(mask),
            refines=None if values["refines"] is None else integer(values, "refines"),
            contrast_limits=None if limits is None else (floats(limits, 2)[0], floats(limits, 2)[1]),
            window=_window(values),
        )


@dataclass(frozen=True, kw_only=True)
class SavedAsking:
    """What every step that a model answered says.

    Attributes
    ----------
    axes, index : tuple of int
        The plane: its two axes, and its place on the others.
    model, weights, device : str
        What answered: its name, the digest of its weights ("" where not known), and where.
    rounded : bool
        Whether the image embedding was in half precision, as the cache keeps it.
    precision : str
        In which it was computed: "float32", as by versions that do not say, or "bfloat16".
    overlap : str
        What became of pixels of others.
    cleaning : Mapping, optional
        Parameters of the clean-up; none where not given.
    """

    axes: tuple[int, int]
    index: PlaneIndex
    model: str
    weights: str
    device: str
    rounded: bool
    precision: str = PRECISIONS[0]
    overlap: str = "keep"
    cleaning: Mapping[str, Any] | None = None

    @property
    def slicer(self) -> Slicer:
        """What cuts the plane out of an image or its labels."""
        return slicer_of(self.axes, self.index)

    @property
    def asks(self) -> bool:
        """Whether replay asks the model again."""
        return True

    @property
    def places(self) -> tuple[tuple[tuple[int, int], PlaneIndex], ...]:
        """Axes and index of each plane that the model looked at."""
        return ((self.axes, self.index),)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**vars(self), "cleaning": None if self.cleaning is None else dict(self.cleaning)}

    @staticmethod
    def common(values: Mapping[str, Any]) -> dict[str, Any]:
        """Read what is common to all of them."""
        first, second = (int(axis) for axis in values["axes"])
        return {
            "axes": (first, second),
            "index": tuple(int(place) for place in values["index"]),
            **{name: text(values, name) for name in ("model", "weights", "device", "overlap")},
            "rounded": bool(values["rounded"]),
            "precision": _precision(values),
            "cleaning": None if values["cleaning"] is None else a_mapping(values, "cleaning"),
        }


@dataclass(frozen=True, kw_only=True)
class SavedAnswer(SavedAsking):
    """An answer that became an object.

    Attributes
    ----------
    questions : tuple of SavedQuestion
        What was asked, each question after the first refining the one before.
    chosen : int
        Which candidate of the last answer was accepted, counted from 0.
    label : int
        The object's number.
    """

    questions: tuple[SavedQuestion, ...]
    chosen: int
    label: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        questions = [question.to_dict() for question in self.questions]
        return {**super().to_dict(), "kind": "answer", "questions": questions}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SavedAnswer:
        """Read what `to_dict` returned."""
        questions = tuple(SavedQuestion.from_dict(one) for one in objects(values, "questions"))
        if not questions or any(one.refines is not None for one in questions[:1]):
            raise ValueError("an answer without a question, or whose first question refines another one")
        chosen, label = integer(values, "chosen"), integer(values, "label")
        return cls(questions=questions, chosen=chosen, label=label, **cls.common(values))


@dataclass(frozen=True, kw_only=True)
class SavedEach(SavedAsking):
    """Points or boxes of a plane that were answered in one pass, and became an object each.

    Attributes
    ----------
    points : tuple
        (row, col) of each; none where there are boxes.
    boxes : tuple
        (row_min, col_min, row_max, col_max) of each.
    labels : tuple of int
        The number of each one's object; 0 where its mask had no pixel, or none that it could take.
    policy : str
        Which of three masks a point got.
    contrast_limits : tuple of float, optional
        Intensities that the model saw as black and white; None for RGB.
    """

    points: tuple[tuple[float, ...], ...]
    boxes: tuple[tuple[float, ...], ...]
    labels: tuple[int, ...]
    policy: str
    contrast_limits: tuple[float, float] | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        places = {"points": [list(point) for point in self.points], "boxes": [list(box) for box in self.boxes]}
        return {**super().to_dict(), "kind": "each", **places}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SavedEach:
        """Read what `to_dict` returned."""
        points = tuple(floats(point, 2) for point in values["points"])
        boxes = tuple(floats(box, 4) for box in values["boxes"])
        labels, limits = tuple(int(label) for label in values["labels"]), values["contrast_limits"]
        if bool(points) == bool(boxes) or len(labels) != len(points) + len(boxes):
            raise ValueError(
                f"a step has {len(points)} points, {len(boxes)} boxes and {len(labels)} labels; expected are either "
                "points or boxes, and a label for each"
            )
        return cls(
            points=points,
            boxes=boxes,
            labels=labels,
            policy=text(values, "policy"),
            contrast_limits=None if limits is None else (floats(limits, 2)[0], floats(limits, 2)[1]),
            **cls.common(values),
        )


@dataclass(frozen=True)
class SavedPixels:
    """Pixels that were changed otherwise than by an answer.

    Attributes
    ----------
    planes : Mapping
        By the plane's index along the leading axes: {label: the pixels that got it}, 0 for those that were erased.
    """

    planes: PlaneMasks

    @property
    def asks(self) -> bool:
        """Whether replay asks the model again."""
        return False

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"kind": "pixels", "planes": planes_to_list(self.planes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SavedPixels:
        """Read what `to_dict` returned."""
        return cls(planes_from_list(values))


def slicer_of(axes: tuple[int, ...], index: PlaneIndex) -> Slicer:
    """Return what cuts a plane out of an array: its two axes whole, a place on each of the others."""
    hidden = iter(index)
    return tuple(slice(None) if axis in axes else next(hidden) for axis in range(2 + len(index)))


def planes_to_list(planes: PlaneMasks) -> list[dict[str, Any]]:
    """Return masks by plane and label as plain values for JSON."""
    return [
        {"index": list(index), "objects": [{"label": label, "rle": mask.to_dict()} for label, mask in masks.items()]}
        for index, masks in planes.items()
        if masks
    ]


def planes_from_list(values: Mapping[str, Any], key: str = "planes") -> dict[PlaneIndex, dict[int, RunLengths]]:
    """Read what `planes_to_list` returned, under a key."""
    return {
        tuple(int(place) for place in plane["index"]): {
            int(one["label"]): RunLengths.from_dict(one["rle"]) for one in objects(plane, "objects")
        }
        for plane in objects(values, key)
    }


def _precision(values: Mapping[str, Any]) -> str:
    precision = text(values, "precision") if "precision" in values else PRECISIONS[0]
    if precision not in PRECISIONS:
        raise ValueError(f"the precision is {precision!r}; known are {', '.join(PRECISIONS)}")
    return precision


def _window(values: Mapping[str, Any]) -> tuple[int, int, int, int, int] | None:
    if values.get("window") is None:
        return None
    level, top, left, bottom, right = (int(number) for number in floats(values["window"], 5))
    return level, top, left, bottom, right


def floats(values: Any, count: int) -> tuple[float, ...]:
    """Return so many finite numbers; a ValueError for others."""
    numbers = tuple(optional_number({"number": value}, "number") or 0.0 for value in values)
    if len(numbers) != count:
        raise ValueError(f"{len(numbers)} numbers where {count} are expected")
    return numbers
