"""Non-maximum suppression: which of many boxes no better box overlaps. Numpy only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Sides = NDArray[np.float64]

_BEST_AT_A_TIME = 64
_PAIRS_AT_A_TIME = 1 << 17
_SLACK = 0.5  # pixels, of which boxes have whole numbers: far above the rounding of products


def suppress(
    boxes: Indices, scores: NDArray[np.generic], threshold: float, *, apart: NDArray[np.bool_] | None = None
) -> Indices:
    """Return the boxes that no better box overlaps by more than an IoU, best first.

    Parameters
    ----------
    boxes : numpy.ndarray
        (N, 4) (row_min, col_min, row_max, col_max), half-open. Sides are measured between pixel centres, so one
        pixel less, as the published generator does.
    scores : numpy.ndarray
        (N,); of equal ones the first is the better.
    threshold : float
        IoU above which the lower score gives way.
    apart : numpy.ndarray, optional
        (N,) bool: boxes better than all others that are known not to overlap each other so far.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    if threshold >= 1:
        return order
    sides = (boxes[order] - np.array([0, 0, 1, 1])).astype(np.float64)
    settled = 0 if apart is None else int(np.count_nonzero(apart))
    kept, waiting = [np.arange(settled)], np.arange(settled, len(order))
    if settled:
        waiting = waiting[~_overlapped(sides[:settled], sides[waiting], threshold)]
    while len(waiting):
        best, waiting = waiting[:_BEST_AT_A_TIME], waiting[_BEST_AT_A_TIME:]
        best = best[_best(sides[best], threshold)]
        gives_way = _overlapped(sides[best], sides[waiting], threshold)
        waiting = waiting[~gives_way]
        kept.append(best)
        if np.count_nonzero(gives_way) < _BEST_AT_A_TIME:
            # Few give way, so that going through them a few at a time would look at nearly all pairs.
            kept.append(waiting[_best(sides[waiting], threshold)])
            break
    return order[np.concatenate(kept)]


def _best(sides: Sides, threshold: float) -> Indices:
    """Return which boxes, best first, no better one that stays overlaps."""
    stays = np.ones(len(sides), bool)
    pairs = [np.sort(pair, axis=0) for pair in _overlapping(sides, None, threshold)]
    better, worse = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), np.int64)
    small = better.astype(np.uint16) if len(sides) <= 1 << 16 else better  # sorted by counting
    order = np.argsort(small, kind="stable")
    better, worse = better[order], worse[order]
    starts = np.flatnonzero(np.diff(better, prepend=-1))
    ends = np.append(starts[1:], len(better))
    for box, begin, end in zip(better[starts].tolist(), starts.tolist(), ends.tolist(), strict=False):
        if stays[box]:
            stays[worse[begin:end]] = False
    return np.flatnonzero(stays)


def _overlapped(some: Sides, others: Sides, threshold: float) -> NDArray[np.bool_]:
    """Tell which of the others, (M,), one of some boxes overlaps."""
    result = np.zeros(len(others), bool)
    for _, other in _overlapping(some, others, threshold):
        result[other] = True
    return result


def _overlapping(some: Sides, others: Sides | None, threshold: float) -> Iterator[NDArray[np.int64]]:
    """Yield (2, K) numbers of boxes (top, left, bottom, right) that overlap by more than an IoU.

    Pairs are of some and others, or of two of the same where there are no others. Only those are looked at of which
    one begins in the rows of the other.
    """
    if others is None:
        yield from _pairs(some, some, threshold, same=True)
        return
    yield from _pairs(some, others, threshold)
    for pair in _pairs(others, some, threshold, after=True):
        yield pair[::-1]


def _pairs(
    first: Sides, second: Sides, threshold: float, *, same: bool = False, after: bool = False
) -> Iterator[NDArray[np.int64]]:
    """Yield pairs of which the second box begins in the rows of the first; with `after`, below its beginning.

    An IoU above the threshold needs more than that share of the first box's height in common, so that the second one
    begins before the rest of it.
    """
    by_top = np.argsort(second[:, 0], kind="stable")
    rows = by_top if same else np.arange(len(first))
    tops = second[by_top, 0]
    (top, left, bottom, right), others = (np.ascontiguousarray(box.T) for box in (first[rows], second[by_top]))
    begin = np.arange(1, len(rows) + 1) if same else np.searchsorted(tops, top, side="right" if after else "left")
    latest = np.minimum(bottom, bottom - threshold * (bottom - top) + _SLACK)
    count = np.maximum(np.searchsorted(tops, latest, side="left") - begin, 0)
    ends = np.cumsum(count)
    areas = (bottom - top) * (right - left), (others[2] - others[0]) * (others[3] - others[1])
    start = 0
    while start < len(rows):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _PAIRS_AT_A_TIME, side="right")))
        here = np.repeat(np.arange(start, stop), count[start:stop])
        there = np.arange(len(here)) + np.repeat(
            begin[start:stop] - (ends - count)[start:stop] + done, count[start:stop]
        )
        start = stop
        beside = np.flatnonzero((others[1, there] < right[here]) & (left[here] < others[3, there]))
        here, there = here[beside], there[beside]
        shared = np.minimum(right[here], others[3, there]) - np.maximum(left[here], others[1, there])
        shared *= np.minimum(bottom[here], others[2, there]) - others[0, there]
        over = shared > threshold * (areas[0][here] + areas[1][there] - shared)
        if over.any():
            yield np.stack([rows[here[over]], by_top[there[over]]])
