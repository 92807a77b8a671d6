"""How good a ranking is: average precision, with ties counted fairly. Arrays in, numbers out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def average_precision(relevant: ArrayLike, scores: ArrayLike) -> float:
    """Return the average precision of a ranking: the precision at each relevant item, averaged.

    Items of equal score are retrieved together, so that their order in the list cannot matter (Manning et al. 2008,
    "Introduction to Information Retrieval", section 8.4, with thresholds instead of ranks).

    Parameters
    ----------
    relevant : array-like
        (N,) bool, at least one of them true.
    scores : array-like
        (N,) numbers; the highest is retrieved first.

    Raises
    ------
    ValueError
        For arrays of different lengths, scores that are NaN, or nothing relevant.
    """
    truth, values = np.asarray(relevant, bool), np.asarray(scores, float)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise ValueError(f"relevant has the shape {truth.shape} and scores {values.shape}; both must be (N,)")
    if np.isnan(values).any():
        raise ValueError("a score is NaN; every item needs a place in the ranking")
    if not truth.any():
        raise ValueError("no item is relevant; there is nothing to retrieve")
    order = np.argsort(-values, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
    found = np.cumsum(truth[order])[last_of_ties]
    precision = found / (last_of_ties + 1)
    return float(np.sum(np.diff(found, prepend=0) * precision) / truth.sum())
