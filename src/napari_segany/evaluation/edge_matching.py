"""Boundary pixels of two drawings paired one to one: how many lie on each other within a tolerance. Arrays only.

The measure is that of Martin, Fowlkes and Malik 2004 (doi:10.1109/TPAMI.2004.1273918): a pixel that is found counts
once, whoever is near. Theirs is the cheapest assignment; here pairs are taken by rising distance and then moved along
augmenting paths until no further pair fits, so that the number of pairs is the largest possible (Berge 1957).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 0.0075
"""Of the image's diagonal, as BSDS500's benchmark has it."""

Flags = NDArray[np.bool_]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class EdgeMatch:
    """How a drawing agrees with those of several annotators.

    Attributes
    ----------
    edges : int
        Pixels of the drawing.
    correct : int
        Those of them that are paired with a pixel of at least one annotator.
    found : int
        Pixels of the annotators that are paired, summed over annotators.
    truth : int
        Pixels of the annotators, summed.
    """

    edges: int
    correct: int
    found: int
    truth: int


def match_edges(edges: Flags, truths: Sequence[Flags] | Flags, tolerance: float) -> EdgeMatch:
    """Compare a drawing of thin edges with each annotator's.

    Parameters
    ----------
    edges : numpy.ndarray
        (H, W) bool.
    truths : sequence of numpy.ndarray
        (H, W) bool each, one for each annotator.
    tolerance : float
        Greatest distance of a pair, in pixels.

    Raises
    ------
    ValueError
        For drawings of different sizes.
    """
    correct = np.zeros(int(np.count_nonzero(edges)), bool)
    found = 0
    for truth in truths:
        if truth.shape != edges.shape:
            raise ValueError(f"the edges have the size {edges.shape} and an annotator's {truth.shape}")
        partners = pair_pixels(edges, truth, tolerance)
        correct |= partners >= 0
        found += int(np.count_nonzero(partners >= 0))
    total = sum(int(np.count_nonzero(truth)) for truth in truths)
    return EdgeMatch(len(correct), int(np.count_nonzero(correct)), found, total)


def pair_pixels(first: Flags, second: Flags, tolerance: float) -> Index:
    """Pair the pixels of two drawings, each with one at most, as many as possible.

    Parameters
    ----------
    first, second : numpy.ndarray
        (H, W) bool.
    tolerance : float
        Greatest distance of a pair, in pixels.

    Returns
    -------
    numpy.ndarray
        (N,) for the N pixels of `first` in reading order: the number of the partner among the pixels of `second`, or
        -1.
    """
    neighbours = _neighbours(second, first, tolerance)  # of each pixel of `second`, in `first`
    partner_of_second = np.full(len(neighbours), -1, np.int64)
    partner_of_first = np.full(int(np.count_nonzero(first)), -1, np.int64)
    free = np.arange(len(neighbours))
    # All pairs of one column lie the same way apart: no two of them share a pixel, and they can be taken at once.
    for column in range(neighbours.shape[1] if partner_of_first.size else 0):
        near = neighbours[free, column]
        fits = (near >= 0) & (partner_of_first[near] < 0)
        partner_of_second[free[fits]] = near[fits]
        partner_of_first[near[fits]] = free[fits]
        free = free[~fits]
    roots = free[(neighbours[free] >= 0).any(axis=1)]
    return _augmented(neighbours, roots, partner_of_second.tolist(), partner_of_first.tolist())


def _neighbours(of: Flags, among: Flags, tolerance: float) -> Index:
    """Return (N, K) numbers of the pixels within the tolerance of each of N, nearest first; -1 for none."""
    reach = int(tolerance)
    rows, cols = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    squared = (rows**2 + cols**2).ravel()
    nearest = np.argsort(squared, kind="stable")
    nearest = nearest[squared[nearest] <= tolerance**2]
    padded = np.pad(among, reach)
    numbers = np.full(padded.shape, -1, np.int64)
    numbers[padded] = np.arange(int(np.count_nonzero(among)))
    places = np.flatnonzero(np.pad(of, reach))
    shifts = (rows * padded.shape[1] + cols).ravel()[nearest]
    result: Index = numbers.ravel()[places[:, None] + shifts]
    return result


def _augmented(neighbours: Index, roots: Index, partner_of_second: list[int], partner_of_first: list[int]) -> Index:
    """Enlarge a matching along shortest augmenting paths from the roots, pixels of `second` without a partner.

    What a search in vain has reached leads nowhere later either, and is not looked at again.
    """
    lists: dict[int, list[int]] = {}
    exhausted = [False] * len(partner_of_first)
    for root in roots.tolist():
        came_from: dict[int, int] = {}
        end = -1
        waiting = [root]
        for pixel in waiting:
            if pixel not in lists:
                near = neighbours[pixel]
                lists[pixel] = near[near >= 0].tolist()
            for other in lists[pixel]:
                if other in came_from or exhausted[other]:
                    continue
                came_from[other] = pixel
                if partner_of_first[other] < 0:
                    end = other
                    break
                waiting.append(partner_of_first[other])
            if end >= 0:
                break
        if end < 0:
            for other in came_from:
                exhausted[other] = True
        while end >= 0:
            pixel = came_from[end]
            partner_of_first[end] = pixel
            partner_of_second[pixel], end = end, partner_of_second[pixel]
    return np.array(partner_of_first, np.int64)
