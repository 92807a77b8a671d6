"""Masks at the size of an image from low-resolution logits, evaluated only where the outline runs. Knows no model.

The two bilinear steps of the published models (to the model's input; its used part to the image) compose to three
taps along each axis. A pixel is then a convex combination of 3 x 3 logits: a block of pixels that share nine logits,
all of them above a threshold or all below it, is decided without being upsampled. The result is that of the full
upsampling, in time and memory of the outline instead of the image.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_PIXELS_AT_A_TIME = 1 << 19
_STRIDE = 4  # pixels of the model input along the side of a logit

Box = tuple[int, int, int, int]
Float = NDArray[np.float32]
Index = NDArray[np.int64]
Result = TypeVar("Result")
Parts = Generator[None, None, Result]


@dataclass(frozen=True, eq=False)
class LogitWindow:
    """The part of low-resolution logits around an object; whatever lies outside is below every threshold in use.

    Attributes
    ----------
    values : numpy.ndarray
        (h, w) float32.
    origin : tuple of int
        (row, col) of the part within all logits.
    """

    values: Float
    origin: tuple[int, int]


@dataclass(frozen=True)
class MaskStatistics:
    """What is known of a mask at the size of the image.

    Attributes
    ----------
    area : int
        Pixels above the threshold.
    inner, outer : int
        Pixels above the raised and above the lowered threshold.
    box : tuple of int
        (row_min, col_min, row_max, col_max) of the mask, half-open; (0, 0, 0, 0) for an empty one.
    """

    area: int
    inner: int
    outer: int
    box: Box

    @property
    def stability_score(self) -> float:
        """IoU of the mask thresholded higher and lower; 0 where even the lower threshold leaves no pixel."""
        return self.inner / self.outer if self.outer else 0.0


@dataclass(frozen=True, eq=False)
class _Axis:
    """One axis in B blocks of at most P pixels that share their three logits.

    Attributes
    ----------
    edges : numpy.ndarray
        (B + 1,) first pixel of each block, and the number of pixels.
    first : numpy.ndarray
        (B,) the first of the three logits of each block.
    logits : numpy.ndarray
        (3, B) all three; the last logit of the axis stands for those beyond it.
    pixels : numpy.ndarray
        (P, B) pixels of each block; a shorter block repeats its last one.
    weights : numpy.ndarray
        (3, P, B) float32 of the three logits in each pixel.
    once : numpy.ndarray
        (3, P, B) the same, and not a number in repetitions, so that no comparison finds them.
    """

    edges: Index
    first: Index
    logits: Index
    pixels: Index
    weights: Float
    once: Float

    @classmethod
    def build(cls, low: int, model: int, used: int, pixels: int) -> _Axis:
        """Compose `low` logits -> `model` pixels of the input, of which `used` -> `pixels` of the image."""
        inner_a, inner_b, inner_share = _bilinear(low, model)
        outer_a, outer_b, outer_share = _bilinear(used, pixels)
        first = inner_a[outer_a]
        weights = np.zeros((pixels, 3))
        every = np.arange(pixels)
        for middle, outer in ((outer_a, 1 - outer_share), (outer_b, outer_share)):
            for logit, inner in ((inner_a[middle], 1 - inner_share[middle]), (inner_b[middle], inner_share[middle])):
                # A logit further than two away only ever comes with no weight.
                np.add.at(weights, (every, np.clip(logit - first, 0, 2)), outer * inner)
        edges = np.flatnonzero(np.concatenate([[True], first[1:] != first[:-1], [True]]))
        # The outermost blocks are longer than all others, which would be filled up to their length.
        longest = int(np.ceil(np.mean(np.diff(edges))))
        starts = np.concatenate([np.arange(*ends, longest) for ends in pairwise(edges)])
        edges = np.concatenate([starts, [pixels]])
        raw = starts + np.arange(np.diff(edges).max())[:, None]
        members = np.minimum(raw, edges[1:] - 1)
        shared = np.ascontiguousarray(weights.astype(np.float32).T[:, members])
        return cls(
            edges=edges,
            first=first[starts],
            logits=np.minimum(first[starts] + np.arange(3)[:, None], low - 1),
            pixels=members,
            weights=shared,
            once=np.where(raw >= edges[1:], np.float32(np.nan), shared),
        )

    def around(self, first: int, last: int) -> tuple[int, int]:
        """Return from where to where logits belong to the blocks that use those from the first to the last."""
        top, bottom = self.logits[2].searchsorted(first), self.logits[0].searchsorted(last, "right") - 1
        return int(self.logits[0, top]), int(self.logits[2, bottom]) + 1

    def within(self, origin: int, length: int) -> slice:
        """Return the blocks whose logits all lie within a stretch of the logits."""
        start = int(self.logits[0].searchsorted(origin))
        return slice(start, max(start, int(self.logits[2].searchsorted(origin + length))))


class Upsampling:
    """The way from the low-resolution logits of one image (or crop) to its pixels.

    Parameters
    ----------
    logits_shape : (int, int)
        (h, w) of the logits, which stand for the whole padded model input, four times as large.
    input_shape : (int, int)
        (rows, cols) of the image within the model input.
    image_shape : (int, int)
        (H, W) of the image.
    """

    def __init__(
        self,
        logits_shape: tuple[int, int],
        input_shape: tuple[int, int],
        image_shape: tuple[int, int],
    ) -> None:
        self.image_shape = image_shape
        self._logits_shape = logits_shape
        self._rows, self._cols = (
            _Axis.build(low, _STRIDE * low, used, pixels)
            for low, used, pixels in zip(logits_shape, input_shape, image_shape, strict=True)
        )

    def window(self, logits: NDArray[np.floating], least: float) -> LogitWindow:
        """Return what is needed of (h, w) logits for thresholds of `least` and higher."""
        values = logits.astype(np.float32, copy=False)
        above = values[: self._rows.logits[2, -1] + 1, : self._cols.logits[2, -1] + 1] > least
        rows, cols = np.flatnonzero(above.any(axis=1)), np.flatnonzero(above.any(axis=0))
        if not len(rows):
            return LogitWindow(np.zeros((0, 0), np.float32), (0, 0))
        (top, bottom), (left, right) = self._rows.around(rows[0], rows[-1]), self._cols.around(cols[0], cols[-1])
        return LogitWindow(values[top:bottom, left:right].copy(), (top, left))

    def statistics(self, window: LogitWindow, threshold: float, offset: float) -> MaskStatistics:
        """Count pixels above the threshold and `offset` around it, and find the box, exactly."""
        return _result(self.statistics_steps(window, threshold, offset))

    def statistics_steps(self, window: LogitWindow, threshold: float, offset: float) -> Parts[MaskStatistics]:
        """Do the same and yield after every part of it: a mask of noise in a large image takes long."""
        low, blocks = window.values, self._blocks(window)
        low_of = self._extreme(low, blocks, np.minimum, window.origin)
        high_of = self._extreme(low, blocks, np.maximum, window.origin)
        heights, widths = np.diff(self._rows.edges)[blocks[0]], np.diff(self._cols.edges)[blocks[1]]
        pixels_of = heights[:, None] * widths
        limits = (threshold, threshold + offset, threshold - offset)
        crossed = np.logical_or.reduce([(low_of <= limit) & (high_of > limit) for limit in limits])
        counts = [int(pixels_of[(low_of > limit) & ~crossed].sum()) for limit in limits]
        box = self._box_of_blocks((low_of > threshold) & ~crossed, blocks)
        for rows, cols, pixels in self._evaluated(low, window.origin, blocks, crossed, once=True):
            masks = [pixels > limit for limit in limits]
            counts = [count + int(np.count_nonzero(mask)) for count, mask in zip(counts, masks, strict=True)]
            box = self._widened(box, rows, cols, masks[0])
            yield
        area, inner, outer = counts
        return MaskStatistics(area, inner, outer, (0, 0, 0, 0) if area == 0 else box)

    def mask(self, window: LogitWindow, threshold: float, box: Box) -> NDArray[np.bool_]:
        """Return the part of the mask within a box (row_min, col_min, row_max, col_max) that encloses the mask."""
        return _result(self.mask_steps(window, threshold, box))

    def mask_steps(self, window: LogitWindow, threshold: float, box: Box) -> Parts[NDArray[np.bool_]]:
        """Do the same and yield after every part of it."""
        low, blocks = window.values, self._blocks(window)
        inside = self._extreme(low, blocks, np.minimum, window.origin) > threshold
        mixed = ~inside & (self._extreme(low, blocks, np.maximum, window.origin) > threshold)
        top, left = self._rows.edges[blocks[0].start], self._cols.edges[blocks[1].start]
        heights, widths = np.diff(self._rows.edges)[blocks[0]], np.diff(self._cols.edges)[blocks[1]]
        mask = np.repeat(np.repeat(inside, heights, axis=0), widths, axis=1)
        for rows, cols, pixels in self._evaluated(low, window.origin, blocks, mixed):
            positions = self._rows.pixels[:, None, rows] - top, self._cols.pixels[None, :, cols] - left
            mask[positions] = pixels > threshold
            yield
        return mask[box[0] - top : box[2] - top, box[1] - left : box[3] - left]

    def pixels(self, window: LogitWindow) -> tuple[Float, Box]:
        """Return the logits of all pixels that the window decides, and the box (row_min, col_min, ...) of them."""
        blocks = self._blocks(window)
        axes = zip((self._rows, self._cols), blocks, strict=True)
        sides = [axis.edges[part.start : part.stop + 1] for axis, part in axes]
        if min(len(side) for side in sides) < 2:
            return np.zeros((0, 0), np.float32), (0, 0, 0, 0)
        top, left, bottom, right = (int(side[end]) for end in (0, -1) for side in sides)
        result = np.empty((bottom - top, right - left), np.float32)
        every = np.ones((len(sides[0]) - 1, len(sides[1]) - 1), bool)
        for rows, cols, pixels in self._evaluated(window.values, window.origin, blocks, every):
            positions = self._rows.pixels[:, None, rows] - top, self._cols.pixels[None, :, cols] - left
            result[positions] = pixels
        return result, (top, left, bottom, right)

    def _box_of_blocks(self, chosen: NDArray[np.bool_], blocks: tuple[slice, slice]) -> Box:
        """Return the box around the pixels of the chosen blocks; one that every pixel widens where there are none."""
        rows, cols = (np.flatnonzero(chosen.any(axis=other)) for other in (1, 0))
        if not len(rows):
            return *self.image_shape, 0, 0
        row_edges, col_edges = self._rows.edges[blocks[0].start :], self._cols.edges[blocks[1].start :]
        return (
            int(row_edges[rows[0]]),
            int(col_edges[cols[0]]),
            int(row_edges[rows[-1] + 1]),
            int(col_edges[cols[-1] + 1]),
        )

    def _widened(self, box: Box, rows: Index, cols: Index, mask: NDArray[np.bool_]) -> Box:
        """Return the box around a box and the mask in (P, Q, M) pixels of M blocks."""
        if not mask.any():
            return box
        top, bottom = _reach(self._rows.pixels.take(rows, axis=1), mask, across=1)
        left, right = _reach(self._cols.pixels.take(cols, axis=1), mask, across=0)
        return min(box[0], top), min(box[1], left), max(box[2], bottom), max(box[3], right)

    def _blocks(self, window: LogitWindow) -> tuple[slice, slice]:
        (row, col), (height, width) = window.origin, window.values.shape
        return self._rows.within(row, height), self._cols.within(col, width)

    def _extreme(
        self, low: Float, blocks: tuple[slice, slice], function: np.ufunc, origin: tuple[int, int] = (0, 0)
    ) -> Float:
        """Return the smallest or the largest of the nine logits of each block, (block rows, block columns)."""
        lines = _of_three(low, self._rows.logits[:, blocks[0]] - origin[0], function)
        return _of_three(lines.T, self._cols.logits[:, blocks[1]] - origin[1], function).T

    def _evaluated(
        self,
        low: Float,
        origin: tuple[int, int],
        blocks: tuple[slice, slice],
        chosen: NDArray[np.bool_],
        *,
        once: bool = False,
    ) -> Iterator[tuple[Index, Index, Float]]:
        """Yield block rows (M,), block columns (M,) and pixels (P, Q, M) of the chosen blocks, some at a time.

        Shorter blocks repeat their last pixel; with `once` it is not a number in repetitions. Blocks lie along the
        last axis: it is long, while a block has a few pixels only.
        """
        every_row, every_col = np.nonzero(chosen)
        every_row, every_col = every_row + blocks[0].start, every_col + blocks[1].start
        size = len(self._rows.pixels) * len(self._cols.pixels)
        step = max(1, _PIXELS_AT_A_TIME // size)
        for start in range(0, len(every_row), step):
            rows, cols = every_row[start : start + step], every_col[start : start + step]
            lines, columns = self._rows.logits.take(rows, axis=1), self._cols.logits.take(cols, axis=1)
            lines -= origin[0]
            columns -= origin[1]
            nine = low.take(low.shape[1] * lines[:, None] + columns)  # (3, 3, M)
            weights = (self._rows.once, self._cols.once) if once else (self._rows.weights, self._cols.weights)
            down, across = weights[0].take(rows, axis=2), weights[1].take(cols, axis=2)  # (3, P, M), (3, Q, M)
            lined = np.einsum("kpm,klm->plm", down, nine)
            pixels: Float = np.einsum("plm,lqm->pqm", lined, across)
            yield rows, cols, pixels


def _reach(pixels: Index, mask: NDArray[np.bool_], *, across: int) -> tuple[int, int]:
    """Return from where to where a mask (P, Q, M), which is not empty, lies along pixels (P, M) or (Q, M)."""
    hit = np.logical_or.reduce(mask, axis=across)
    last = int((pixels * hit).max())
    return last - int(((last - pixels) * hit).max()), last + 1


def _of_three(values: Float, indices: Index, function: np.ufunc) -> Float:
    """Join the three rows of each triple (3, N) of indices by a function, neighbouring ones without copying them."""
    if not indices.size or indices[2, -1] - indices[0, -1] < 2:
        triple = function(function(values[indices[0]], values[indices[1]]), values[indices[2]])
        return np.asarray(triple)
    first, last = int(indices[0, 0]), int(indices[2, -1]) + 1
    lines: Float = function(
        function(values[first : last - 2], values[first + 1 : last - 1]), values[first + 2 : last]
    )
    return lines if len(lines) == indices.shape[1] else lines[indices[0] - first]


def _result(parts: Parts[Result]) -> Result:
    """Do all parts of some work."""
    while True:
        try:
            next(parts)
        except StopIteration as end:
            result: Result = end.value
            return result


def _bilinear(source: int, target: int) -> tuple[Index, Index, NDArray[np.float64]]:
    """Return for each target pixel its two source pixels and the share of the second, without aligned corners."""
    position = np.maximum((np.arange(target) + 0.5) * (source / target) - 0.5, 0)
    first = np.minimum(position.astype(np.int64), source - 1)
    return first, np.minimum(first + 1, source - 1), position - first
