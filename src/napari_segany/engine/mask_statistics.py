"""Area, box and stability of masks at the size of the image, exactly, without drawing them. Knows no model.

Blocks of pixels that no threshold crosses are counted whole; those of all masks that one does cross are evaluated
together, since a mask alone has too few of them to be worth the calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.upsampled_axis import Index
from napari_segany.engine.upsampling import Box, ChosenBlocks, LogitWindow, Parts, Upsampling
from napari_segany.generators import drain


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


def mask_statistics(upsampling: Upsampling, window: LogitWindow, threshold: float, offset: float) -> MaskStatistics:
    """Count the pixels of a mask above the threshold and `offset` around it, and find its box, exactly."""
    return drain(statistics_steps(upsampling, [window], threshold, offset))[0]


def statistics_steps(
    upsampling: Upsampling, windows: Sequence[LogitWindow], threshold: float, offset: float
) -> Parts[list[MaskStatistics]]:
    """Do the same for several masks, and yield after every part of it: noise in a large image takes long.

    Parameters
    ----------
    upsampling : Upsampling
        From the logits to the image.
    windows : sequence of LogitWindow
        Of thresholds down to `threshold - offset`.
    threshold, offset : float
        The threshold of the masks, and how far it is raised and lowered.
    """
    limits = np.array([threshold, threshold + offset, threshold - offset], np.float32)
    each = limits[:, None, None]
    counts = np.zeros((3, len(windows)), np.int64)
    boxes = np.zeros((len(windows), 4), np.int64)
    crossed, before = [], 0
    for number, window in enumerate(windows):
        blocks = upsampling.blocks(window)
        above, reaching = blocks.lowest > each, blocks.highest > each
        boxes[number] = upsampling.box_around(blocks, above[0])
        mixed = np.logical_or.reduce(above ^ reaching, axis=0)
        above &= ~mixed
        heights, widths = upsampling.rows.lengths[blocks.rows], upsampling.cols.lengths[blocks.cols]
        counts[:, number] = above @ widths @ heights
        crossed.append(upsampling.chosen(window, blocks, mixed, before))
        before += window.values.size
        yield
    if not windows:
        return []
    every = _joined(crossed)
    owners = np.repeat(np.arange(len(windows)), [len(one) for one in crossed])
    values = np.concatenate([window.values.ravel() for window in windows])
    for some, pixels in upsampling.evaluated(values, every, once=True):
        owner, masks = owners[some], [pixels > limit for limit in limits]
        ends = np.flatnonzero(np.diff(owner, prepend=-1, append=-1))
        for first, last in pairwise(ends):
            counts[:, owner[first]] += [np.count_nonzero(mask[first:last]) for mask in masks]
        _widen(boxes, owner, upsampling, (every.rows[some], every.cols[some]), masks[0])
        yield
    boxes[counts[0] == 0] = 0
    return [
        MaskStatistics(area, inner, outer, (top, left, bottom, right))
        for (area, inner, outer), (top, left, bottom, right) in zip(counts.T.tolist(), boxes.tolist(), strict=True)
    ]


def _joined(parts: Sequence[ChosenBlocks]) -> ChosenBlocks:
    """Return the blocks of several windows as one value."""
    fields = zip(*((part.rows, part.cols, part.lines, part.columns) for part in parts), strict=True)
    return ChosenBlocks(*(np.concatenate(field) for field in fields))


def _widen(
    boxes: Index, owner: Index, upsampling: Upsampling, blocks: tuple[Index, Index], mask: NDArray[np.bool_]
) -> None:
    """Let boxes (N, 4) enclose the masks (M, P, Q) in M blocks of their owners (M,), in place."""
    edges = boxes.take(owner, axis=0).T
    leaves = np.zeros(len(owner), np.bool_)
    for number, axis in enumerate((upsampling.rows, upsampling.cols)):
        leaves |= axis.edges.take(blocks[number]) < edges[number]
        leaves |= axis.edges.take(blocks[number] + 1) > edges[number + 2]
    some = leaves.nonzero()[0]
    own, hit = owner[some], np.ascontiguousarray(mask[some].transpose(1, 2, 0))  # along the longest axis
    for number, axis, across in ((0, upsampling.rows, 1), (1, upsampling.cols, 0)):
        positions, along = axis.pixels.take(blocks[number][some], axis=0).T, np.logical_or.reduce(hit, axis=across)
        np.minimum.at(boxes[:, number], own, np.where(along, positions, np.iinfo(np.int64).max).min(axis=0))
        np.maximum.at(boxes[:, number + 2], own, np.where(along, positions + 1, 0).max(axis=0))
