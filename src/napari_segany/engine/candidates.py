"""Every answer of the model to the points of an image, kept small: what filtering chooses from, again and again.

No mask is held at the size of the image: a candidate is its scores, box and area, and the low-resolution logits
around the object. Its run lengths are written when they are first asked for, and kept; so is how small the smallest
of its holes and islands are, so that a limit on those is a comparison.

Two threads may work on the same candidates, one that filters and one that prepares: what is kept only ever grows by
single assignments to dicts, which are whole or not there; of two that write the same mask, both go on with the first;
and nobody reads back what he has computed himself, so that what gets lost between them is time and no result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.crops import Box, Crop
from napari_segany.engine.mask_regions import CleanedMask, smallest_regions, without_small_regions
from napari_segany.engine.mask_statistics import MaskStatistics
from napari_segany.engine.progress import Progress, Steps, drain, relabelled
from napari_segany.engine.upsampling import LogitWindow, Upsampling
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths

_LARGEST_BOX = 1 << 18  # pixels up to which every mask is written in advance
_MOST_CLEANED = 4  # forms of a mask, by different limits, that are kept
_LONGEST_RUNS = 1 << 14  # bytes up to which what was written in advance is kept
_MASKS_AT_A_TIME = 64
_PIXELS_AT_A_TIME = 1 << 21


@dataclass(frozen=True, eq=False)
class Candidate:
    """One mask as the model proposed it.

    Attributes
    ----------
    crop : int
        Number of its crop.
    point : tuple of float
        (row, col) in pixels of the image that was asked.
    predicted_iou : float
        The model's own estimate.
    statistics : MaskStatistics
        Pixel counts, and the box in pixels of the crop.
    logits : LogitWindow
        The logits around it.
    """

    crop: int
    point: tuple[float, float]
    predicted_iou: float
    statistics: MaskStatistics
    logits: LogitWindow


@dataclass(frozen=True, eq=False)
class RawCandidates:
    """All candidates of one image, in the order in which they were asked.

    Attributes
    ----------
    image_shape : tuple of int
        (H, W) of the image.
    settings : AutomaticSettings
        What was asked; filtering may change all but the points, the crops and the offset.
    crops : tuple of Crop
        The parts of the image.
    upsamplings : tuple of Upsampling
        For each crop the way from its logits to its pixels.
    items : tuple of Candidate
        The candidates.
    mask_threshold : float
        Logits above it are the object.
    allowed : RunLengths or None
        The pixels that may be labelled; None for all.
    """

    image_shape: tuple[int, int]
    settings: AutomaticSettings
    crops: tuple[Crop, ...]
    upsamplings: tuple[Upsampling, ...]
    items: tuple[Candidate, ...]
    mask_threshold: float
    allowed: RunLengths | None = None
    _run_lengths: dict[int, RunLengths] = field(default_factory=dict, repr=False)
    _too_long: set[int] = field(default_factory=set, repr=False)
    _smallest: dict[int, int] = field(default_factory=dict, repr=False)  # pixels of the smallest hole or island
    _cleaned: dict[int, tuple[CleanedMask, ...]] = field(default_factory=dict, repr=False)
    _records: dict[int, tuple[tuple[RunLengths, MaskRecord], ...]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.items)

    @cached_property
    def crop_boxes(self) -> NDArray[np.int64]:
        """(N, 4) box of each candidate's crop, half-open."""
        return _array([self.crops[item.crop].box for item in self.items], 4)

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """(N, 4) box of each mask in pixels of the image, half-open; zeros for an empty mask."""
        boxes = _array([item.statistics.box for item in self.items], 4)
        shifts = np.tile(self.crop_boxes[:, :2], 2)
        return np.where(self.areas[:, None] > 0, boxes + shifts, 0)

    @cached_property
    def areas(self) -> NDArray[np.int64]:
        """(N,) pixels of each mask."""
        return np.array([item.statistics.area for item in self.items], np.int64)

    @cached_property
    def predicted_iou(self) -> NDArray[np.float32]:
        """(N,) the model's own estimates."""
        return np.array([item.predicted_iou for item in self.items], np.float32)

    @cached_property
    def stability_score(self) -> NDArray[np.float32]:
        """(N,) stability scores at the offset of the settings."""
        return np.array([item.statistics.stability_score for item in self.items], np.float32)

    @property
    def nbytes(self) -> int:
        """Memory held by logits and run lengths, in bytes."""
        # Copies, for another thread may be at work.
        kept = {id(one): one for one in self._run_lengths.copy().values()}
        kept |= {id(one.mask): one.mask for forms in self._cleaned.copy().values() for one in forms}
        kept |= {id(record.rle): record.rle for forms in self._records.copy().values() for _, record in forms}
        lengths = sum(one.counts.nbytes for one in kept.values())
        return lengths + sum(item.logits.values.nbytes for item in self.items)

    def run_lengths(self, index: int) -> RunLengths:
        """Return one mask as run lengths of the size of the image."""
        return drain(self._kept_steps(index, Progress(0, 0)))

    def write_steps(self, indices: Sequence[int]) -> Steps[None]:
        """Write the run lengths of some masks, unless they are there."""
        missing = [index for index in indices if index not in self._run_lengths]
        for done, index in enumerate(missing):
            progress = Progress(done, len(missing), f"Writing mask {done + 1} of {len(missing)}")
            yield progress
            yield from self._kept_steps(index, progress)

    @cached_property
    def is_large(self) -> NDArray[np.bool_]:
        """(N,) whether a mask has so many pixels that writing it takes long."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        return np.asarray(sides.prod(axis=1) > _LARGEST_BOX)

    def prepare_steps(self, indices: Sequence[int]) -> Steps[list[int]]:
        """Write and measure masks before a filter keeps them, and return the numbers of those that are there.

        Masks of many runs are left for the time when they are kept: they would take too much memory.
        """
        for done, index in enumerate(indices):
            if index in self._run_lengths or index in self._too_long:
                continue
            progress = Progress(done, len(indices), "Writing the masks")
            yield progress
            mask = yield from self._written_steps(index, progress)
            if mask.counts.nbytes > _LONGEST_RUNS:
                self._too_long.add(index)
            else:
                self._run_lengths.setdefault(index, mask)
        written = [index for index in indices if index in self._run_lengths]
        yield from self._measure_steps(written)
        return written

    def cleaned_steps(self, indices: Sequence[int], least_area: int) -> Steps[list[RunLengths]]:
        """Return some masks without holes and islands of fewer pixels; a mask that has none is itself.

        What was cleaned is kept for all limits that give the same, and how small its regions are for any.
        """
        yield from self.write_steps(indices)
        yield from self._measure_steps(indices)
        small = [index for index in indices if self._smallest[index] < least_area]
        forms = {index: self._known_form(index, least_area) for index in small}
        waiting = [index for index, form in forms.items() if form is None]
        for start in range(0, len(waiting), _MASKS_AT_A_TIME):
            yield Progress(start, len(waiting), "Cleaning the masks")
            part = waiting[start : start + _MASKS_AT_A_TIME]
            cleaned = without_small_regions([self._run_lengths[index] for index in part], least_area)
            for index, one in zip(part, cleaned, strict=True):
                forms[index] = one.mask
                self._cleaned[index] = (*self._cleaned.get(index, ()), one)[-_MOST_CLEANED:]
        return [forms.get(index) or self._run_lengths[index] for index in indices]

    def _known_form(self, index: int, least_area: int) -> RunLengths | None:
        """Return a mask as it was cleaned before, if it is the same for this limit."""
        forms = self._cleaned.get(index, ())
        return next((one.mask for one in forms if one.holds_for(least_area)), None)

    def _kept_steps(self, index: int, progress: Progress) -> Steps[RunLengths]:
        """Return the run lengths of one mask, and keep them; yields within large ones."""
        known = self._run_lengths.get(index)
        if known is None:
            mask = yield from self._written_steps(index, progress)
            known = self._run_lengths.setdefault(index, mask)
        return known

    def _written_steps(self, index: int, progress: Progress) -> Steps[RunLengths]:
        item = self.items[index]
        parts = self.upsamplings[item.crop].mask_steps(item.logits, self.mask_threshold, item.statistics.box)
        mask = yield from relabelled(parts, lambda _: progress)
        return (yield from _run_length_steps(mask, _as_box(self.boxes[index]), self.image_shape, progress))

    def _measure_steps(self, indices: Sequence[int]) -> Steps[None]:
        unknown = [index for index in indices if index not in self._smallest]
        for start in range(0, len(unknown), _MASKS_AT_A_TIME):
            yield Progress(start, len(unknown), "Measuring holes and islands")
            part = unknown[start : start + _MASKS_AT_A_TIME]
            smallest = np.minimum(*smallest_regions([self._run_lengths[index] for index in part]))
            self._smallest.update(zip(part, smallest.tolist(), strict=True))

    def record(self, index: int, mask: RunLengths, make: Callable[[int, RunLengths], MaskRecord]) -> MaskRecord:
        """Return what `make` makes of one mask as it is, or as it was cleaned, remembered for its last forms."""
        forms = self._records.get(index, ())
        known = next((record for one, record in forms if one is mask), None)
        if known is None:
            known = make(index, mask)
            self._records[index] = (*forms, (mask, known))[-1 - _MOST_CLEANED :]
        return known


def run_lengths_in_box(mask: NDArray[np.bool_], box: Box, image_shape: tuple[int, int]) -> RunLengths:
    """Return the run lengths of an (H, W) mask that is known within a box and empty elsewhere.

    Takes the time and memory of the box, not of the image.

    Parameters
    ----------
    mask : numpy.ndarray
        (row_max - row_min, col_max - col_min) bool.
    box : (int, int, int, int)
        (row_min, col_min, row_max, col_max), half-open.
    image_shape : (int, int)
        (H, W).
    """
    return drain(_run_length_steps(mask, box, image_shape, Progress(0, 0)))


def _run_length_steps(
    mask: NDArray[np.bool_], box: Box, image_shape: tuple[int, int], progress: Progress
) -> Steps[RunLengths]:
    """Do the work of `run_lengths_in_box`, some columns at a time."""
    height, width = image_shape
    edges = [np.zeros(1, np.int64)]
    at_a_time = max(1, _PIXELS_AT_A_TIME // max(1, mask.shape[0]))
    for start in range(0, mask.shape[1], at_a_time):
        part = mask[:, start : start + at_a_time].T
        columns = np.zeros((part.shape[0], part.shape[1] + 2), bool)
        columns[:, 1:-1] = part
        col, row = np.nonzero(columns[:, 1:] != columns[:, :-1])
        # A run that ends where the next column begins leaves a run of no pixels, which RunLengths removes.
        edges.append((col + start + box[1]) * height + box[0] + row)
        if start + at_a_time < mask.shape[1]:
            yield progress
    return RunLengths(np.diff(np.concatenate([*edges, [height * width]])), image_shape)


def _array(boxes: Sequence[Box], columns: int) -> NDArray[np.int64]:
    return np.array(boxes, np.int64).reshape(-1, columns)


def _as_box(values: NDArray[np.int64]) -> Box:
    top, left, bottom, right = (int(value) for value in values)
    return top, left, bottom, right
