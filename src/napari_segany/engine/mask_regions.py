"""Connected regions of many masks at once, from their run lengths: how small the smallest are, masks without those.

Regions are connected over edges and corners. The work grows with the outlines of the masks, not with their area.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.rle import RunLengths

Index = NDArray[np.int64]

NO_REGION = np.iinfo(np.int64).max
"""Size of the smallest region of a mask that has none which could be filled or dropped."""

_RUNS_AT_A_TIME = 200_000


@dataclass(frozen=True, eq=False)
class _Pieces:
    """The runs of N masks of (H, W) pixels, cut so that each lies in one column or fills whole ones, in their order.

    Attributes
    ----------
    size : tuple of int
        (H, W).
    mask : numpy.ndarray
        (P,) number of the mask.
    value : numpy.ndarray
        (P,) bool: object or background.
    first, last : numpy.ndarray
        (P,) the columns, those of the second mask behind those of the first.
    top, bottom : numpy.ndarray
        (P,) the rows in these columns, half-open.
    """

    size: tuple[int, int]
    mask: Index
    value: NDArray[np.bool_]
    first: Index
    last: Index
    top: Index
    bottom: Index

    @classmethod
    def of_masks(cls, masks: Sequence[RunLengths]) -> _Pieces:
        """Cut the runs of masks of one size."""
        counts = np.array([len(mask.counts) for mask in masks])
        lengths = np.concatenate([mask.counts for mask in masks]).astype(np.int64)
        value = (np.arange(len(lengths)) - np.repeat(np.cumsum(counts) - counts, counts)) % 2 == 1
        return cls.of_runs(masks[0].size, np.repeat(np.arange(len(masks)), counts), value, lengths)

    @classmethod
    def of_runs(cls, size: tuple[int, int], number: Index, value: NDArray[np.bool_], lengths: Index) -> _Pieces:
        """Cut runs, (R,) each: the number of the mask, whether they are object, and their pixels."""
        rows = size[0]
        ends = np.cumsum(lengths)
        kept = lengths > 0
        begin, end, number, value = (ends - lengths)[kept], ends[kept], number[kept], value[kept]
        (first, top), (last, bottom) = np.divmod(begin, rows), np.divmod(end - 1, rows)
        bottom += 1
        # a run over several columns: its part in the first one, whole columns, its part in the last one
        several = first < last
        head, tail = several & (top > 0), several & (bottom < rows)
        middle_first, middle_last = first + head, last - tail
        middle = several & (middle_first <= middle_last)
        single = ~several
        zero, full = np.zeros_like(top), np.full_like(top, rows)
        parts = (
            (single, first, last, top, bottom),
            (head, first, first, top, full),
            (middle, middle_first, middle_last, zero, full),
            (tail, last, last, zero, bottom),
        )
        columns = [np.concatenate([part[place][part[0]] for part in parts]) for place in range(1, 5)]
        order = np.argsort(columns[0] * rows + columns[2], kind="stable")
        number, value = (np.concatenate([what[part[0]] for part in parts])[order] for what in (number, value))
        return cls(size, number, value, *(column[order] for column in columns))

    @property
    def area(self) -> Index:
        """(P,) pixels."""
        return (self.bottom - self.top) * (self.last - self.first + 1)

    def regions(self, value: bool) -> tuple[Index, Index]:
        """Return the pieces (Q,) of object or background, and for each the number of its region."""
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import connected_components

        members = np.flatnonzero(self.value == value)
        rows, columns = self.size
        first, last = self.first[members], self.last[members]
        top, bottom = self.top[members], self.bottom[members]
        # neighbours in the next column: those that end at or below the top, and begin at or above the bottom
        stride = rows + 1
        low = np.searchsorted(first * stride + bottom, (last + 1) * stride + top, side="left")
        high = np.searchsorted(first * stride + top, (last + 1) * stride + bottom, side="right")
        count = np.where((last + 1) % columns == 0, 0, np.maximum(high - low, 0))
        ends = np.cumsum(count)
        others = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - count - low, count)
        links = csr_array(
            (np.ones(len(others), np.int8), others, np.concatenate([[0], ends])), (len(members), len(members))
        )
        return members, connected_components(links, directed=False)[1].astype(np.int64)

    def runs(self) -> tuple[Index, NDArray[np.bool_], Index]:
        """Return what `of_runs` takes, with pieces of one value that follow each other as one run."""
        begins = np.ones(len(self.value), bool)
        begins[1:] = (self.value[1:] != self.value[:-1]) | (self.mask[1:] != self.mask[:-1])
        starts = np.flatnonzero(begins)
        lengths = np.add.reduceat(self.area, starts) if len(starts) else np.zeros(0, np.int64)
        return self.mask[starts], self.value[starts], lengths

    def masks(self, count: int) -> list[RunLengths]:
        """Return the masks, (H, W) each."""
        number, value, lengths = self.runs()
        edges = np.searchsorted(number, np.arange(count + 1))
        result = []
        for begin, end in pairwise(edges.tolist()):
            runs = lengths[begin:end]
            if end > begin and value[begin]:
                runs = np.concatenate([[0], runs])
            result.append(RunLengths(runs.astype(np.uint32), self.size))
        return result


def smallest_regions(masks: Sequence[RunLengths]) -> tuple[Index, Index]:
    """Return for each mask, (N,), the pixels of its smallest hole and of its smallest island.

    Background that reaches the edge of the image counts as a hole too; a mask that is all one island has none.
    `NO_REGION` stands for what is not there.

    Parameters
    ----------
    masks : sequence of RunLengths
        Masks of one size.
    """
    holes, islands = (np.full(len(masks), NO_REGION) for _ in range(2))
    for chosen in _portions(masks):
        pieces = _Pieces.of_masks(masks[chosen])
        for value, least in ((False, holes), (True, islands)):
            of, areas = _region_areas(pieces, value)[2:]
            of += chosen.start
            np.minimum.at(least, of, areas)
            if value:
                least[np.bincount(of, minlength=len(masks)) == 1] = NO_REGION
    return holes, islands


@dataclass(frozen=True, eq=False)
class CleanedMask:
    """A mask without its small regions, and for which limits it comes out like this.

    Attributes
    ----------
    mask : RunLengths
        What is left.
    above, up_to : int
        The largest region that was taken away and the smallest that stayed, in pixels: every limit that is larger
        than the first and not larger than the second gives this mask.
    """

    mask: RunLengths
    above: int
    up_to: int

    def holds_for(self, least_area: int) -> bool:
        """Whether this limit gives this mask."""
        return self.above < least_area <= self.up_to


def without_small_regions(masks: Sequence[RunLengths], least_area: int) -> list[CleanedMask]:
    """Return masks with holes of fewer pixels than `least_area` filled, then islands of fewer dropped.

    A mask of small islands only keeps its largest.

    Parameters
    ----------
    masks : sequence of RunLengths
        Masks of one size.
    least_area : int
        Pixels.
    """
    result: list[CleanedMask] = []
    for chosen in _portions(masks):
        count = chosen.stop - chosen.start
        limits = _Limits(count)
        pieces = _Pieces.of_masks(masks[chosen])
        members, region, of, areas = _region_areas(pieces, False)
        filled = areas < least_area
        limits.narrow(of, areas, filled)
        whole = _with(pieces, members[filled[region]], True)
        pieces = _Pieces.of_runs(whole.size, *whole.runs())
        members, region, of, areas = _region_areas(pieces, True)
        dropped = areas < least_area
        largest = _largest(pieces, members, region, of, areas)
        dropped[largest] = False
        others = np.delete(np.arange(len(areas)), largest)  # the largest stays at any limit
        limits.narrow(of[others], areas[others], dropped[others])
        cleaned = _with(pieces, members[dropped[region]], False).masks(count)
        result += map(CleanedMask, cleaned, limits.above.tolist(), limits.up_to.tolist())
    return result


class _Limits:
    """For each of N masks the largest region that was taken away and the smallest that stayed."""

    def __init__(self, count: int) -> None:
        self.above, self.up_to = np.zeros(count, np.int64), np.full(count, NO_REGION)

    def narrow(self, of: Index, areas: Index, gone: NDArray[np.bool_]) -> None:
        """Take note of regions: the mask of each, its pixels, and whether it was taken away."""
        np.maximum.at(self.above, of[gone], areas[gone])
        np.minimum.at(self.up_to, of[~gone], areas[~gone])


def _region_areas(pieces: _Pieces, value: bool) -> tuple[Index, Index, Index, Index]:
    """Return pieces, the region of each, and for each region its mask and its pixels."""
    members, region = pieces.regions(value)
    count = int(region.max()) + 1 if len(region) else 0
    of = np.zeros(count, np.int64)
    of[region] = pieces.mask[members]
    areas = np.zeros(count, np.int64)
    np.add.at(areas, region, pieces.area[members])
    return members, region, of, areas


def _largest(pieces: _Pieces, members: Index, region: Index, of: Index, areas: Index) -> Index:
    """Return the largest region of each mask; of equal ones that which a reader of rows meets first."""
    place = np.full(len(areas), NO_REGION)
    columns = int(pieces.last.max(initial=0)) + 1
    np.minimum.at(place, region, pieces.top[members] * columns + pieces.first[members])
    order = np.lexsort((place, -areas, of))
    leads = np.ones(len(order), bool)
    leads[1:] = of[order][1:] != of[order][:-1]
    largest: Index = order[leads]
    return largest


def _with(pieces: _Pieces, chosen: Index, value: bool) -> _Pieces:
    values = pieces.value.copy()
    values[chosen] = value
    return replace(pieces, value=values)


def _portions(masks: Sequence[RunLengths]) -> Iterator[slice]:
    """Yield masks that have not too many runs together."""
    start, runs = 0, 0
    for number, mask in enumerate(masks):
        if number > start and runs + len(mask.counts) > _RUNS_AT_A_TIME:
            yield slice(start, number)
            start, runs = number, 0
        runs += len(mask.counts)
    if len(masks):
        yield slice(start, len(masks))
