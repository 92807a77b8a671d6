"""The object under work as values: prompts, candidates, draft. Knows neither napari nor Qt nor torch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.tiling import Window
from napari_segany.widgets.provenance import Asked

Point = tuple[float, float]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class ObjectPrompt:
    """An object of a Labels layer that serves as mask prompt.

    Attributes
    ----------
    mask : numpy.ndarray
        (H, W) bool on the plane of the image.
    layer : str
        Name of the Labels layer.
    label : int
        The object's label there.
    layer_id : str
        The layer's unique id, by which it is known under another name too; empty where that is not known.
    """

    mask: NDArray[np.bool_]
    layer: str
    label: int
    layer_id: str = ""

    @property
    def box(self) -> Box:
        """The object's outline box, (row_min, col_min, row_max, col_max) through its outermost pixels' far edges."""
        rows, cols = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        return float(rows[0]) - 0.5, float(cols[0]) - 0.5, float(rows[-1]) + 0.5, float(cols[-1]) + 0.5


@dataclass(frozen=True)
class Prompts:
    """All prompts of one object.

    Attributes
    ----------
    points : tuple of (row, col)
        Clicks, in pixels of the plane.
    labels : tuple of int
        1 foreground, 0 background, one for each point.
    box : tuple of float, optional
        (row_min, col_min, row_max, col_max).
    mask : ObjectPrompt, optional
        An existing object.
    """

    points: tuple[Point, ...] = ()
    labels: tuple[int, ...] = ()
    box: Box | None = None
    mask: ObjectPrompt | None = None

    def __bool__(self) -> bool:
        return bool(self.points) or self.box is not None or self.mask is not None

    def extends(self, earlier: Prompts | None) -> bool:
        """Return whether these are the earlier prompts with more added, none moved and none taken away."""
        if earlier is None or not earlier or self == earlier:
            return False
        kept = Counter(zip(self.points, self.labels, strict=True)) >= Counter(
            zip(earlier.points, earlier.labels, strict=True)
        )
        return kept and earlier.box in (None, self.box) and earlier.mask in (None, self.mask)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; of a mask prompt, where it came from."""
        mask = None if self.mask is None else {"layer": self.mask.layer, "label": self.mask.label}
        return {
            "points": [list(point) for point in self.points],
            "labels": list(self.labels),
            "box": None if self.box is None else list(self.box),
            "mask": mask,
        }


@dataclass(frozen=True, eq=False)
class Recalled:
    """What an earlier session asked about a plane, to be asked again as it was.

    Attributes
    ----------
    asked : tuple of Asked
        The questions, each refining the one before; none where that is not known.
    prompts : Prompts
        What they were about in the end.
    chosen : int
        Which candidate of the last answer was shown.
    """

    asked: tuple[Asked, ...]
    prompts: Prompts
    chosen: int

    def serves(self, prompts: Prompts) -> bool:
        """Whether these prompts are the ones that were asked about, maybe with more added."""
        return prompts == self.prompts or prompts.extends(self.prompts)


@dataclass(frozen=True)
class InWindow:
    """Where on a large plane prompts were answered.

    Attributes
    ----------
    window : Window
        The part of the plane that was asked; logits of an answer are its own.
    level : int
        The finest level that was wanted, for how much of the plane was seen.
    is_refined : bool
        Whether it went on from the answer before.
    """

    window: Window
    level: int
    is_refined: bool


@dataclass(frozen=True, eq=False)
class Candidate:
    """One of the masks that the model offers for the current prompts.

    Attributes
    ----------
    mask : numpy.ndarray
        (H, W) bool on the plane.
    predicted_iou, stability_score : float
        The model's own estimate of the mask's IoU, and how little the mask depends on the threshold.
    logits : numpy.ndarray
        (h, w) low-resolution logits, which refine the next answer for the same object.
    thumbnail : numpy.ndarray
        (s, s, 3) uint8, the image around the mask.
    outline : numpy.ndarray
        (s, s) bool, the mask in the thumbnail.
    in_window : InWindow, optional
        Where it was found on a large plane.
    """

    mask: NDArray[np.bool_]
    predicted_iou: float
    stability_score: float
    logits: NDArray[np.float32]
    thumbnail: NDArray[np.uint8]
    outline: NDArray[np.bool_]
    in_window: InWindow | None = None


@dataclass(frozen=True, eq=False)
class Draft:
    """What has been asked and answered on one plane, until it is accepted or dropped.

    Attributes
    ----------
    mask_prompt : ObjectPrompt, optional
        The object in use as mask prompt (points and boxes are in their layers).
    answered : Prompts, optional
        The prompts that the candidates answer.
    candidates : tuple of Candidate
        Best first.
    selected : int
        Which one is shown.
    asked : tuple of Asked
        The questions that led to the candidates; none for masks that were there before.
    recalled : Recalled, optional
        What is to be asked before anything else, because a saved session goes on here.
    """

    mask_prompt: ObjectPrompt | None = None
    answered: Prompts | None = None
    candidates: tuple[Candidate, ...] = ()
    selected: int = 0
    asked: tuple[Asked, ...] = ()
    recalled: Recalled | None = None

    @property
    def replayable(self) -> tuple[Asked, ...]:
        """The questions, where replay can ask them: it knows whole planes only."""
        return () if any(one.window is not None for one in self.asked) else self.asked

    def unanswered(self) -> Draft:
        """Return the draft without its candidates (after a change of model)."""
        return replace(self, answered=None, candidates=(), selected=0, asked=(), recalled=None)

    def packed(self) -> PackedDraft:
        """Return the draft with its masks packed, to be kept for long."""
        return PackedDraft(
            replace(self, candidates=tuple(replace(one, mask=_NO_MASK) for one in self.candidates)),
            tuple(PackedMask.of(one.mask) for one in self.candidates),
        )


_NO_MASK = np.zeros((0, 0), bool)


@dataclass(frozen=True, eq=False)
class PackedMask:
    """An (H, W) mask as the bits of its bounding box.

    Attributes
    ----------
    shape : tuple of int
        (H, W) of the mask.
    box : tuple of int
        (row_min, col_min, row_max, col_max), half-open.
    bits : numpy.ndarray
        Eight pixels of the box in each uint8.
    """

    shape: tuple[int, ...]
    box: tuple[int, int, int, int]
    bits: NDArray[np.uint8]

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> PackedMask:
        """Pack a mask."""
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return cls(mask.shape, (0, 0, 0, 0), np.zeros(0, np.uint8))
        box = int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1
        return cls(mask.shape, box, np.packbits(mask[box[0] : box[2], box[1] : box[3]]))

    def unpacked(self) -> NDArray[np.bool_]:
        """Return the mask."""
        top, left, bottom, right = self.box
        sides = bottom - top, right - left
        mask = np.zeros(self.shape, bool)
        mask[top:bottom, left:right] = np.unpackbits(self.bits, count=sides[0] * sides[1]).reshape(sides)
        return mask


@dataclass(frozen=True, eq=False)
class PackedDraft:
    """A draft that takes little memory.

    Attributes
    ----------
    draft : Draft
        The draft, its candidates without their masks.
    masks : tuple of PackedMask
        Those masks.
    """

    draft: Draft
    masks: tuple[PackedMask, ...]

    @property
    def nbytes(self) -> int:
        """Memory that it takes, in bytes."""
        others = sum(one.logits.nbytes + one.thumbnail.nbytes + one.outline.nbytes for one in self.draft.candidates)
        prompt = self.draft.mask_prompt
        return others + sum(mask.bits.nbytes for mask in self.masks) + (0 if prompt is None else prompt.mask.nbytes)

    def unpacked(self) -> Draft:
        """Return the draft."""
        pairs = zip(self.draft.candidates, self.masks, strict=True)
        return replace(self.draft, candidates=tuple(replace(one, mask=mask.unpacked()) for one, mask in pairs))
