"""Which of many overlapping masks are taken, most similar first, so that no two take the same pixels. Numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
