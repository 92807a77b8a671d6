"""How a mask came about, as values: what was asked, and what answered. Knows neither napari nor Qt nor torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.mask_cleaning import CleanUp
from napari_segany.engine.mask_policy import MaskPolicy
from napari_segany.engine.object_overlap import OverlapRule
from napari_segany.engine.precision_names import FLOAT32
from napari_segany.engine.tiling import Window
from napari_segany.formats.rle import RunLengths
from napari_segany.formats.session_steps import SavedAnswer, SavedEach, SavedQuestion
from napari_segany.widgets.geometry import Plane


@dataclass(frozen=True, eq=False)
class Asked:
    """What a predictor was asked; the arguments as it got them.

    Attributes
    ----------
    arguments : Mapping
        "points", "labels", "box" and "mask" of `Predictor.predict`; a mask may be (H, W) bool, or logits.
    refines : int, optional
        Which candidate of the question before the logits are of.
    contrast_limits : tuple of float, optional
        What the embedding was computed with.
    window : Window, optional
        Where it was asked on a large plane.
    """

    arguments: Mapping[str, Any]
    refines: int | None
    contrast_limits: tuple[float, float] | None
    window: Window | None = None

    @classmethod
    def of(cls, saved: SavedQuestion) -> Asked:
        """Return what was saved; logits that it refines come with the answer before."""
        arguments: dict[str, Any] = {}
        if saved.points:
            arguments.update(points=list(saved.points), labels=list(saved.labels))
        if saved.box is not None:
            arguments["box"] = saved.box
        if saved.mask is not None and saved.refines is None:
            arguments["mask"] = saved.mask.decode()
        window = None if saved.window is None else Window(saved.window[0], saved.window[1:])
        return cls(arguments, saved.refines, saved.contrast_limits, window)

    def saved(self) -> SavedQuestion:
        """Return it as it is saved."""
        mask = self.arguments.get("mask")
        box = self.arguments.get("box")
        return SavedQuestion(
            points=tuple((float(row), float(col)) for row, col in self.arguments.get("points", ())),
            labels=tuple(int(label) for label in self.arguments.get("labels", ())),
            box=None if box is None else (float(box[0]), float(box[1]), float(box[2]), float(box[3])),
            mask=RunLengths.from_mask(mask) if self.refines is None and mask is not None else None,
            refines=self.refines,
            contrast_limits=self.contrast_limits,
            window=None if self.window is None else (self.window.level, *self.window.box),
        )

    def refined(self, before: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        """Return which of the (N, h, w) logits of the answer before it refines; None where it refines none.

        Raises
        ------
        ValueError
            Where there are no such logits.
        """
        if self.refines is None:
            return None
        if before is None or not 0 <= self.refines < len(before):
            raise ValueError("the saved session refines a mask that the model does not offer")
        return np.asarray(before[self.refines])


@dataclass(frozen=True)
class Answerer:
    """What answers.

    Attributes
    ----------
    model, device : str
        The model's name, and where it computes.
    weights : str
        Digest of its weights; "" where not known.
    rounded : bool
        Whether its embeddings of the image are in half precision.
    precision : str
        In which they were computed: "float32" or "bfloat16".
    """

    model: str
    device: str
    weights: str = ""
    rounded: bool = False
    precision: str = FLOAT32


@dataclass(frozen=True, eq=False)
class Accepted:
    """How an accepted object came about.

    Attributes
    ----------
    plane : Plane
        Where.
    asked : tuple of Asked
        The questions, each refining the one before.
    chosen : int
        Which candidate of the last answer.
    answerer : Answerer
        What answered.
    label : int
        The object's number.
    overlap : str
        What became of pixels of others.
    cleaning : CleanUp or None
        What was done to the mask first.
    """

    plane: Plane
    asked: tuple[Asked, ...]
    chosen: int
    answerer: Answerer
    label: int
    overlap: OverlapRule
    cleaning: CleanUp | None

    @property
    def planes(self) -> tuple[Plane, ...]:
        """What it is about."""
        return (self.plane,)

    def saved(self) -> tuple[SavedAnswer, ...]:
        """Return it as it is saved."""
        answer = SavedAnswer(
            axes=self.plane.axes,
            index=self.plane.index,
            questions=tuple(one.saved() for one in self.asked),
            chosen=self.chosen,
            **asdict(self.answerer),
            label=self.label,
            overlap=self.overlap,
            cleaning=None if self.cleaning is None else asdict(self.cleaning),
        )
        return (answer,)


@dataclass(frozen=True, eq=False)
class EachOfPlane:
    """Points or boxes of a plane that became an object each.

    Attributes
    ----------
    plane : Plane
        Where.
    positions : numpy.ndarray
        (N, 2) points (row, col), or (N, 4) boxes.
    labels : tuple of int
        The number of each one's object; 0 for none.
    answerer : Answerer
        What answered.
    """

    plane: Plane
    positions: NDArray[np.float64]
    labels: tuple[int, ...]
    answerer: Answerer


@dataclass(frozen=True, eq=False)
class AcceptedEach:
    """How many objects came about in one pass.

    Attributes
    ----------
    parts : tuple of EachOfPlane
        What was asked, in the order in which it was written.
    policy : str
        Which of three masks a point got.
    contrast_limits : tuple of float, optional
        What the embeddings were computed with.
    overlap, cleaning
        As in `Accepted`.
    """

    parts: tuple[EachOfPlane, ...]
    policy: MaskPolicy
    contrast_limits: tuple[float, float] | None
    overlap: OverlapRule
    cleaning: CleanUp | None

    @property
    def planes(self) -> tuple[Plane, ...]:
        """What it is about."""
        return tuple(part.plane for part in self.parts)

    def saved(self) -> tuple[SavedEach, ...]:
        """Return it as it is saved, a step for each plane."""
        cleaning = None if self.cleaning is None else asdict(self.cleaning)
        return tuple(_saved_each(self, part, cleaning) for part in self.parts)


def _saved_each(whole: AcceptedEach, part: EachOfPlane, cleaning: dict[str, Any] | None) -> SavedEach:
    positions = tuple(tuple(values) for values in part.positions.tolist())
    are_points = part.positions.shape[1] == 2
    return SavedEach(
        axes=part.plane.axes,
        index=part.plane.index,
        points=positions if are_points else (),
        boxes=() if are_points else positions,
        labels=part.labels,
        policy=whole.policy,
        contrast_limits=whole.contrast_limits,
        **asdict(part.answerer),
        overlap=whole.overlap,
        cleaning=cleaning,
    )


def without_logits(arguments: Mapping[str, Any], refine: NDArray[np.float32] | None) -> dict[str, Any]:
    """Return arguments as they are kept: logits that refine are known by the question before, and not kept."""
    return {name: value for name, value in arguments.items() if not (name == "mask" and value is refine)}
