"""Masks at the size of an image from low-resolution logits, evaluated only where the outline runs. Knows no model.

The two bilinear steps of the published models (to the model's input; its used part to the image) compose to three
taps along each axis. A pixel is then a convex combination of 3 x 3 logits: a block of pixels that share nine logits,
all of them above a threshold or all below it, is decided without being upsampled. The result is that of the full
upsampling, in time and memory of the outline instead of the image.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
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
        (B, 3) all three; the last logit of the axis stands for those beyond it.
    pixels : numpy.ndarray
        (B, P) pixels of each block; a shorter block repeats its last one.
    weights : numpy.ndarray
        (B, P, 3) float32 of the three logits in each pixel.
    valid : numpy.ndarray
        (B, P) bool: the pixel is no repetition.
    """

    edges: Index
    first: Index
    logits: Index
    pixels: Index
    weights: Float
    valid: NDArray[np.bool_]

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
        starts = np.flatnonzero(np.concatenate([[True], first[1:] != first[:-1]]))
        edges = np.concatenate([starts, [pixels]])
        offsets = np.arange(np.diff(edges).max())
        raw = starts[:, None] + offsets
        members = np.minimum(raw, edges[1:, None] - 1)
        return cls(
            edges=edges,
            first=first[starts],
            logits=np.minimum(first[starts][:, None] + np.arange(3), low - 1),
            pixels=members,
            weights=weights.astype(np.float32)[members],
            valid=raw < edges[1:, None],
        )

    def within(self, origin: int, length: int) -> slice:
        """Return the blocks whose logits all lie within a stretch of the logits."""
        inside = np.flatnonzero((self.logits[:, 0] >= origin) & (self.logits[:, 2] < origin + length))
        return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)


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
        high = np.argwhere(self._extreme(values, self._all_blocks(), np.maximum) > least)
        if not len(high):
            return LogitWindow(np.zeros((0, 0), np.float32), (0, 0))
        (top, left), (bottom, right) = high.min(axis=0), high.max(axis=0)
        row, col = int(self._rows.first[top]), int(self._cols.first[left])
        part = values[row : int(self._rows.logits[bottom, 2]) + 1, col : int(self._cols.logits[right, 2]) + 1]
        return LogitWindow(part.copy(), (row, col))

    def statistics(self, window: LogitWindow, threshold: float, offset: float) -> MaskStatistics:
        """Count pixels above the threshold and `offset` around it, and find the box, exactly."""
        return _result(self.statistics_steps(window, threshold, offset))

    def statistics_steps(self, window: LogitWindow, threshold: float, offset: float) -> Parts[MaskStatistics]:
        """Do the same and yield after every part of it: a mask of noise in a large image takes long."""
        low, blocks = window.values, self._blocks(window)
        low_of = self._extreme(low, blocks, np.minimum, window.origin)
        high_of = self._extreme(low, blocks, np.maximum, window.origin)
        inside = low_of > threshold + offset
        mixed = ~inside & (high_of > threshold - offset)
        heights, widths = np.diff(self._rows.edges)[blocks[0]], np.diff(self._cols.edges)[blocks[1]]
        sure = int((inside * (heights[:, None] * widths)).sum())
        area, inner, outer = sure, sure, sure
        box = self._box_of_blocks(inside, blocks)
        for rows, cols, pixels in self._evaluated(low, window.origin, blocks, mixed):
            valid = self._rows.valid[rows][:, :, None] & self._cols.valid[cols][:, None, :]
            inner += int(np.count_nonzero((pixels > threshold + offset) & valid))
            outer += int(np.count_nonzero((pixels > threshold - offset) & valid))
            mask = (pixels > threshold) & valid
            area += int(np.count_nonzero(mask))
            box = self._widened(box, rows, cols, mask)
            yield
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
            positions = (self._rows.pixels[rows] - top)[:, :, None], (self._cols.pixels[cols] - left)[:, None, :]
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
            result[(self._rows.pixels[rows] - top)[:, :, None], (self._cols.pixels[cols] - left)[:, None, :]] = pixels
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
        """Return the box around a box and the pixels (M, P, Q) of some blocks; looks only at blocks that leave it."""
        top, left, bottom, right = box
        row_of, col_of = self._rows.pixels[rows], self._cols.pixels[cols]
        leaves = (row_of[:, 0] < top) | (row_of[:, -1] >= bottom) | (col_of[:, 0] < left) | (col_of[:, -1] >= right)
        mask = mask[leaves]
        if not mask.any():
            return box
        hit_rows, hit_cols = row_of[leaves][mask.any(axis=2)], col_of[leaves][mask.any(axis=1)]
        return (
            min(top, int(hit_rows.min())),
            min(left, int(hit_cols.min())),
            max(bottom, int(hit_rows.max()) + 1),
            max(right, int(hit_cols.max()) + 1),
        )

    def _all_blocks(self) -> tuple[slice, slice]:
        return slice(0, len(self._rows.first)), slice(0, len(self._cols.first))

    def _blocks(self, window: LogitWindow) -> tuple[slice, slice]:
        (row, col), (height, width) = window.origin, window.values.shape
        return self._rows.within(row, height), self._cols.within(col, width)

    def _extreme(
        self, low: Float, blocks: tuple[slice, slice], function: np.ufunc, origin: tuple[int, int] = (0, 0)
    ) -> Float:
        """Return the smallest or the largest of the nine logits of each block, (block rows, block columns)."""
        rows, cols = self._rows.logits[blocks[0]] - origin[0], self._cols.logits[blocks[1]] - origin[1]
        lines = function(function(low[rows[:, 0]], low[rows[:, 1]]), low[rows[:, 2]])
        result: Float = function(function(lines[:, cols[:, 0]], lines[:, cols[:, 1]]), lines[:, cols[:, 2]])
        return result

    def _evaluated(
        self, low: Float, origin: tuple[int, int], blocks: tuple[slice, slice], chosen: NDArray[np.bool_]
    ) -> Iterator[tuple[Index, Index, Float]]:
        """Yield block rows (M,), block columns (M,) and pixels (M, P, Q) of the chosen blocks, some at a time."""
        every_row, every_col = np.nonzero(chosen)
        every_row, every_col = every_row + blocks[0].start, every_col + blocks[1].start
        size = self._rows.pixels.shape[1] * self._cols.pixels.shape[1]
        step = max(1, _PIXELS_AT_A_TIME // size)
        for start in range(0, len(every_row), step):
            rows, cols = every_row[start : start + step], every_col[start : start + step]
            lines, columns = self._rows.logits[rows] - origin[0], self._cols.logits[cols] - origin[1]
            nine = low[lines[:, :, None], columns[:, None, :]]  # (M, 3, 3)
            down = self._rows.weights[rows] @ nine  # (M, P, 3)
            yield rows, cols, down @ self._cols.weights[cols].transpose(0, 2, 1)


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
