"""Which of many overlapping masks are taken, most similar first, so that no two take the same pixels. Numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.painting import COVERED_FRACTION
from napari_segany.formats.record import MaskRecord


@dataclass(frozen=True, eq=False)
class SeparateMasks:
    """Masks that do not overlap, in the order in which they were taken.

    Those above a threshold are the first ones: what is taken later never changes what was taken before.

    Attributes
    ----------
    numbers : tuple of int
        Which of the records.
    similarity : numpy.ndarray
        (N,) of each, descending.
    ranks : numpy.ndarray
        (H, W) int32: the place of the mask that has a pixel, from 1; 0 where there is none.
    """

    numbers: tuple[int, ...]
    similarity: NDArray[np.float32]
    ranks: NDArray[np.int32]

    def above(self, threshold: float) -> int:
        """Return how many reach a threshold."""
        return int((self.similarity >= threshold).sum())


@dataclass(frozen=True, eq=False)
class Offered:
    """The masks that reach a threshold, as far as no object has their pixels.

    Attributes
    ----------
    ranks : numpy.ndarray
        (H, W) int32: the place of the mask that gets a pixel, from 1; 0 where there is none.
    left : tuple of int
        The places of those that get any.
    """

    ranks: NDArray[np.int32]
    left: tuple[int, ...]

    def labelled(self, present: NDArray[Any], labels: Sequence[int]) -> NDArray[Any]:
        """Return (H, W) labels with a number for each of those that are left, the first ones if there are fewer.

        They are of a wider type than `present` where that is needed.
        """
        dtype = np.promote_types(present.dtype, np.min_scalar_type(max(labels, default=0)))
        numbers = np.zeros(max(self.left, default=0) + 1, dtype)
        for rank, label in zip(self.left, labels, strict=False):
            numbers[rank] = label
        return np.where(self.ranks > 0, numbers[self.ranks], present)


def offered(found: SeparateMasks, threshold: float, present: NDArray[Any]) -> Offered:
    """Return what of the masks above a threshold can be written into (H, W) labels that are there."""
    ranks = np.where((found.ranks <= found.above(threshold)) & (present == 0), found.ranks, 0).astype(np.int32)
    return Offered(ranks, tuple(int(rank) for rank in np.unique(ranks) if rank))


def separate(
    records: Sequence[MaskRecord], similarity: NDArray[np.float32], taken: NDArray[np.bool_]
) -> SeparateMasks:
    """Take masks, most similar first, but for those of which more than a tenth is taken already.

    Parameters
    ----------
    records : sequence of MaskRecord
        N masks of the size of the image.
    similarity : numpy.ndarray
        (N,); masks of -inf are never taken.
    taken : numpy.ndarray
        (H, W) bool, what other objects have.
    """
    ranks = np.where(taken, -1, 0).astype(np.int32)
    numbers: list[int] = []
    for number in np.argsort(-similarity, kind="stable").tolist():
        record = records[number]
        if not record.area or similarity[number] == -np.inf:
            continue
        top, left, bottom, right = record.bbox
        mask, there = record.rle.window(record.bbox), ranks[top:bottom, left:right]
        free = mask & (there == 0)
        if record.area - np.count_nonzero(free) <= COVERED_FRACTION * record.area:
            numbers.append(number)
            there[free] = len(numbers)
    return SeparateMasks(tuple(numbers), similarity[numbers].astype(np.float32), np.maximum(ranks, 0))
