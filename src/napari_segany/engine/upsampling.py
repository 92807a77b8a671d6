"""Masks at the size of an image from low-resolution logits, evaluated only where the outline runs. Knows no model.

The two bilinear steps of the published models (to the model's input; its used part to the image) compose to three
taps along each axis. A pixel is then a convex combination of 3 x 3 logits, and of 3 x 3 pixels of the model's input
between them: a block of pixels that share these, all of them above a threshold or all below it, is decided without
being upsampled. The result is that of the full upsampling, in time and memory of the outline instead of the image.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.upsampled_axis import Axis, Float, Index
from napari_segany.generators import drain

_PIXELS_AT_A_TIME = 1 << 19
_STRIDE = 4  # pixels of the model input along the side of a logit
_NEAREST = np.float32(0.5 / _STRIDE)  # of the way to the next logit: where the first pixel after a logit lies

Box = tuple[int, int, int, int]
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


@dataclass(frozen=True, eq=False)
class WindowBlocks:
    """The blocks that a window decides, h along rows and w along columns.

    Attributes
    ----------
    rows, cols : slice
        Which of those of the axes.
    lowest, highest : numpy.ndarray
        (h, w) float32; no pixel of the block is below or above.
    """

    rows: slice
    cols: slice
    lowest: Float
    highest: Float


@dataclass(frozen=True, eq=False)
class ChosenBlocks:
    """M blocks of one window or of several, whose values follow each other.

    Attributes
    ----------
    rows, cols : numpy.ndarray
        (M,) which of those of the axes.
    lines, columns : numpy.ndarray
        (M, 3): where the rows and columns of their logits lie in the values; a place is the sum of both.
    """

    rows: Index
    cols: Index
    lines: Index
    columns: Index

    def __len__(self) -> int:
        """Return how many blocks there are."""
        return len(self.rows)


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
        self.rows, self.cols = (
            Axis.build(low, _STRIDE * low, used, pixels)
            for low, used, pixels in zip(logits_shape, input_shape, image_shape, strict=True)
        )
        # Products of small matrices are three times as fast where both are laid out as they are read.
        self._across, self._across_once = (
            np.ascontiguousarray(weights.transpose(0, 2, 1)) for weights in (self.cols.weights, self.cols.once)
        )

    def window(self, logits: NDArray[np.floating], least: float) -> LogitWindow:
        """Return what is needed of (h, w) logits for thresholds of `least` and higher."""
        values = logits.astype(np.float32, copy=False)
        above = values[: self.rows.logits[-1, 2] + 1, : self.cols.logits[-1, 2] + 1] > least
        rows, cols = (np.logical_or.reduce(above, axis=axis).nonzero()[0] for axis in (1, 0))
        if not len(rows):
            return LogitWindow(np.zeros((0, 0), np.float32), (0, 0))
        (top, bottom), (left, right) = self.rows.around(rows[0], rows[-1]), self.cols.around(cols[0], cols[-1])
        return LogitWindow(values[top:bottom, left:right].copy(), (top, left))

    def mask(self, window: LogitWindow, threshold: float, box: Box) -> NDArray[np.bool_]:
        """Return the part of the mask within a box (row_min, col_min, row_max, col_max) that encloses the mask."""
        return drain(self.mask_steps(window, threshold, box))

    def mask_steps(self, window: LogitWindow, threshold: float, box: Box) -> Parts[NDArray[np.bool_]]:
        """Do the same and yield after every part of it."""
        blocks = self.blocks(window)
        inside = blocks.lowest > threshold
        mixed = self.chosen(window, blocks, ~inside & (blocks.highest > threshold))
        top, left = self.rows.edges[blocks.rows.start], self.cols.edges[blocks.cols.start]
        heights, widths = np.diff(self.rows.edges)[blocks.rows], np.diff(self.cols.edges)[blocks.cols]
        mask = np.repeat(np.repeat(inside, heights, axis=0), widths, axis=1)
        for some, pixels in self.evaluated(window.values, mixed):
            mask[self._positions(mixed, some, (top, left))] = pixels > threshold
            yield
        return mask[box[0] - top : box[2] - top, box[1] - left : box[3] - left]

    def pixels(self, window: LogitWindow) -> tuple[Float, Box]:
        """Return the logits of all pixels that the window decides, and the box (row_min, col_min, ...) of them."""
        blocks = self.blocks(window)
        axes = (self.rows, blocks.rows), (self.cols, blocks.cols)
        sides = [axis.edges[part.start : part.stop + 1] for axis, part in axes]
        if min(len(side) for side in sides) < 2:
            return np.zeros((0, 0), np.float32), (0, 0, 0, 0)
        top, left, bottom, right = (int(side[end]) for end in (0, -1) for side in sides)
        result = np.empty((bottom - top, right - left), np.float32)
        every = self.chosen(window, blocks, np.ones((len(sides[0]) - 1, len(sides[1]) - 1), bool))
        for some, pixels in self.evaluated(window.values, every):
            result[self._positions(every, some, (top, left))] = pixels
        return result, (top, left, bottom, right)

    def blocks(self, window: LogitWindow) -> WindowBlocks:
        """Return the blocks that a window decides."""
        (row, col), (height, width) = window.origin, window.values.shape
        rows, cols = self.rows.within(row, height), self.cols.within(col, width)
        down, across = self.rows.logits[rows, 0] - row, self.cols.logits[cols, 0] - col
        lines = _Lines.between(window.values, starts=row == 0)
        lowest, highest = (
            _Lines.between(lines.of_blocks(function, down).T, starts=col == 0).of_blocks(function, across)
            for function in (np.minimum, np.maximum)
        )
        return WindowBlocks(rows, cols, lowest.T, highest.T)

    def box_around(self, blocks: WindowBlocks, chosen: NDArray[np.bool_]) -> Box:
        """Return the box around the chosen blocks (h, w); one that every pixel widens where there are none."""
        rows, cols = (np.logical_or.reduce(chosen, axis=axis).nonzero()[0] for axis in (1, 0))
        if not len(rows):
            return *self.image_shape, 0, 0
        row_edges, col_edges = self.rows.edges[blocks.rows.start :], self.cols.edges[blocks.cols.start :]
        return (
            int(row_edges[rows[0]]),
            int(col_edges[cols[0]]),
            int(row_edges[rows[-1] + 1]),
            int(col_edges[cols[-1] + 1]),
        )

    def chosen(
        self, window: LogitWindow, blocks: WindowBlocks, chosen: NDArray[np.bool_], before: int = 0
    ) -> ChosenBlocks:
        """Return the chosen blocks (h, w) of a window, whose values follow `before` others."""
        rows, cols = chosen.nonzero()
        rows += blocks.rows.start
        cols += blocks.cols.start
        lines, columns = self.rows.logits.take(rows, axis=0), self.cols.logits.take(cols, axis=0)
        lines -= window.origin[0]
        lines *= window.values.shape[1]
        columns += before - window.origin[1]
        return ChosenBlocks(rows, cols, lines, columns)

    def evaluated(self, values: Float, blocks: ChosenBlocks, *, once: bool = False) -> Iterator[tuple[slice, Float]]:
        """Yield which of the blocks, some at a time, and their pixels (M, P, Q) from the values of their windows.

        Shorter blocks repeat their last pixel; with `once` it is not a number in repetitions.
        """
        down, across = (self.rows.once, self._across_once) if once else (self.rows.weights, self._across)
        step = max(1, _PIXELS_AT_A_TIME // (down.shape[1] * across.shape[2]))
        for start in range(0, len(blocks), step):
            some = slice(start, start + step)
            nine = values.take(blocks.lines[some, :, None] + blocks.columns[some, None])  # (M, 3, 3)
            lined = down.take(blocks.rows[some], axis=0) @ nine
            yield some, np.matmul(lined, across.take(blocks.cols[some], axis=0), dtype=np.float32)

    def _positions(self, blocks: ChosenBlocks, some: slice, corner: tuple[int, int]) -> tuple[Index, Index]:
        """Return where the pixels of some blocks lie in an array with this corner."""
        rows, cols = self.rows.pixels[blocks.rows[some]], self.cols.pixels[blocks.cols[some]]
        return (rows - corner[0])[:, :, None], (cols - corner[1])[:, None, :]


@dataclass(frozen=True, eq=False)
class _Lines:
    """Of N lines of logits: what the pixels of the model's input next to each have, (N, w) each.

    A pixel of the image lies between two neighbouring ones of the input. In a block the first of them follow a line,
    from the one after its first logit to the one before its second; the last lie between that and the one after the
    second.
    """

    after: Float
    before_next: Float

    @classmethod
    def between(cls, values: Float, *, starts: bool) -> _Lines:
        """Take (N, w) logits; `starts` tells that none is before them: pixels there have the value of the first."""
        step = np.zeros_like(values)
        np.subtract(values[1:], values[:-1], out=step[:-1])
        step *= _NEAREST
        after = values + step
        before_next = np.concatenate([values[1:], values[-1:]])
        before_next -= step
        if starts and len(after):
            after[0] = values[0]
        return cls(after, before_next)

    def of_blocks(self, function: np.ufunc, first: Index) -> Float:
        """Return the lowest or highest (B, w) of the pixels of blocks, by the first logit of each."""
        if not len(first):
            return self.after[:0]
        start, stop = int(first[0]), int(first[-1]) + 1
        found: Float = function(self.after[start:stop], self.before_next[start:stop])
        later = self.after[start + 1 : stop + 1]
        function(found[: len(later)], later, out=found[: len(later)])  # the last logit stands for those beyond it
        return found if len(found) == len(first) else found[first - start]
