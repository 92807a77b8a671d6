"""What propagation is asked and what it answers, as frozen values: prompts on slices, masks on slices, why they end.

Knows neither a model nor a user interface. A slice is a plane of a stack along its first axis, z or time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.progress import Progress
from napari_segany.engine.prompts import FOREGROUND, Prompt
from napari_segany.formats.painting import PaintingRule, paint
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths

MAX_ID = int(np.iinfo(np.uint32).max)

Reason = Literal["overlap", "predicted_iou", "vanished", "taken", "seam", "divided"]

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "overlap": "the mask overlaps too little with that of the slice before",
        "predicted_iou": "the predicted IoU is too low",
        "vanished": "the object has vanished",
        "taken": "the mask is that of another object",
        "seam": "the masks from both sides do not fit together here",
        "divided": "the object has divided",
    }
)
"""What each reason means, for users."""


@dataclass(frozen=True, eq=False)
class SlicePrompt:
    """What the user says of one object on one slice.

    Attributes
    ----------
    object_id : int
        Its label, 1 to `MAX_ID`.
    slice_index : int
        The slice, from 0.
    prompt : Prompt or None
        What to ask there. Background points alone say that the object is not there: nothing goes past this slice.
    accepted : RunLengths or None
        A mask that is right as it is and is not asked for again.

    Raises
    ------
    ValueError
        For an id or a slice out of range, a batch of prompts, or neither a prompt nor a mask.
    """

    object_id: int
    slice_index: int
    prompt: Prompt | None = None
    accepted: RunLengths | None = None

    def __post_init__(self) -> None:
        """Check what can be checked without the stack."""
        if not 1 <= self.object_id <= MAX_ID:
            raise ValueError(f"the object's number is {self.object_id}; give one from 1 to {MAX_ID}")
        if self.slice_index < 0:
            raise ValueError(f"the slice is {self.slice_index}; slices count from 0")
        if self.prompt is None and self.accepted is None:
            raise ValueError(f"object {self.object_id} has neither a prompt nor a mask on slice {self.slice_index}")
        if self.prompt is not None and self.prompt.batch_size is not None:
            raise ValueError(
                f"the prompt on slice {self.slice_index} is a batch of {self.prompt.batch_size}; give each object "
                "its own prompt"
            )
        if self.accepted is not None and self.accepted.area == 0:
            raise ValueError(
                f"the mask of object {self.object_id} on slice {self.slice_index} is empty; to say that the object "
                "is not there give a background point alone"
            )

    @property
    def image_shape(self) -> tuple[int, int]:
        """(H, W) of the slice it is meant for."""
        if self.prompt is not None:
            return self.prompt.image_shape
        return self.accepted.size if self.accepted is not None else (0, 0)

    @property
    def is_stop(self) -> bool:
        """Whether it says that the object is not on this slice."""
        prompt = self.prompt
        if prompt is None or self.accepted is not None or prompt.box is not None or prompt.mask is not None:
            return False
        return prompt.labels is not None and not bool((prompt.labels == FOREGROUND).any())

    @property
    def key(self) -> tuple[int, int]:
        """(object, slice)."""
        return self.object_id, self.slice_index


@dataclass(frozen=True, eq=False)
class SliceMask:
    """The mask of one object on one slice.

    Attributes
    ----------
    object_id, slice_index : int
        Whose, and where.
    origin : int
        The prompted slice that it came from; `slice_index` itself for a prompted one.
    record : MaskRecord
        Mask and scores. A propagated mask has no prompt of its own; an accepted one has no scores.
    overlap : float or None
        IoU with the mask of the slice before, on the way from the origin; None for a prompted one.
    """

    object_id: int
    slice_index: int
    origin: int
    record: MaskRecord
    overlap: float | None = None


@dataclass(frozen=True)
class PropagationEnd:
    """Where an object stopped by itself, before the end of the stack or of the prompted stretch.

    Attributes
    ----------
    object_id, slice_index : int
        Whose, and the first slice that it did not reach ("seam": the last before the masks of the other side).
    step : int
        1 on the way forwards, -1 on the way backwards, 0 where the prompt itself found nothing; 1 for a seam.
    reason : str
        One of `REASONS`.
    """

    object_id: int
    slice_index: int
    step: int
    reason: Reason


@dataclass(frozen=True)
class Division:
    """An object that has divided.

    Attributes
    ----------
    parent : int
        The object until then.
    children : tuple of int
        The objects from then on.
    slice_index : int
        The first slice of the children.
    """

    parent: int
    children: tuple[int, int]
    slice_index: int


@dataclass(frozen=True, eq=False)
class Propagation:
    """Objects through a stack.

    Attributes
    ----------
    shape : tuple of int
        (Z, H, W) of the stack; colours do not count.
    prompts : tuple of SlicePrompt
        What it was made from.
    slices : Mapping
        Masks of each slice that has any, by ascending object.
    ends : tuple of PropagationEnd
        Where objects stopped, and why.
    divisions : tuple of Division
        Objects that divided.
    """

    shape: tuple[int, int, int]
    prompts: tuple[SlicePrompt, ...]
    slices: Mapping[int, tuple[SliceMask, ...]] = field(default_factory=lambda: MappingProxyType({}))
    ends: tuple[PropagationEnd, ...] = ()
    divisions: tuple[Division, ...] = ()

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Objects that have a mask anywhere, ascending."""
        return tuple(sorted({mask.object_id for masks in self.slices.values() for mask in masks}))

    def masks_of(self, object_id: int) -> Iterator[SliceMask]:
        """Return the masks of an object by ascending slice."""
        for index in sorted(self.slices):
            for mask in self.slices[index]:
                if mask.object_id == object_id:
                    yield mask

    def mask(self, object_id: int, slice_index: int) -> SliceMask | None:
        """Return the mask of an object on a slice, None where it has none."""
        return next((mask for mask in self.slices.get(slice_index, ()) if mask.object_id == object_id), None)

    def slice_labels(self, slice_index: int, rule: PaintingRule = "smaller") -> NDArray[np.uint32]:
        """Return one slice of the label stack.

        Parameters
        ----------
        slice_index : int
            The slice.
        rule : str
            Which mask shows where several overlap; see `formats.painting.paint`.

        Returns
        -------
        numpy.ndarray
            (H, W) uint32; an object has the same number on all slices, background is 0.
        """
        masks = self.slices.get(slice_index, ())
        records, numbers = [mask.record for mask in masks], [mask.object_id for mask in masks]
        labels: NDArray[np.uint32] = paint(records, numbers, self.shape[1:], rule).astype(np.uint32, copy=False)
        return labels

    def labels(self, out: Any = None, rule: PaintingRule = "smaller") -> Any:
        """Return the label stack, painted slice by slice.

        Parameters
        ----------
        out : array-like, optional
            (Z, H, W) array that takes `out[index] = slice`, such as a zarr array or a memory map; a numpy array of
            uint32 is made where it is not given. A stack that is larger than memory is never held as a whole.
        rule : str
            As `slice_labels`.

        Raises
        ------
        ValueError
            For an array of another shape.
        """
        target = np.zeros(self.shape, np.uint32) if out is None else out
        if tuple(target.shape) != self.shape:
            raise ValueError(f"the array has the shape {tuple(target.shape)} and the stack {self.shape}")
        for index in range(self.shape[0]):
            target[index] = self.slice_labels(index, rule)
        return target


@dataclass(frozen=True)
class PropagationProgress(Progress):
    """One step of propagation; `done` and `total` count masks, of which stopped objects need no more.

    Attributes
    ----------
    changed : int or None
        The slice that was just answered; None while nothing new is there.
    upcoming : tuple of int
        Slices whose embeddings are wanted next, soonest first.
    so_far : Propagation or None
        Everything up to now, for the one who closes the work here.
    """

    changed: int | None = None
    upcoming: tuple[int, ...] = ()
    so_far: Propagation | None = None
