"""Masks as run lengths in COCO's order: columns first, background first. Knows numpy only.

The format is that of COCO's mask API (Lin et al. 2014, doi:10.1007/978-3-319-10602-1_48): holes and separate parts
survive, and its compressed string is what SA-1B and pycocotools read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_LARGEST = 2**32 - 1  # pixels that a run of uint32 can hold
_PIXELS_AT_A_TIME = 16_000_000  # of whole columns, while a part of a mask is decoded


@dataclass(frozen=True, eq=False)
class RunLengths:
    """A bool mask as the lengths of its runs, column by column.

    Two run lengths are equal when their masks are: counts are brought to the one form without runs of no pixels
    (but for the first, when the mask begins with foreground).

    Attributes
    ----------
    counts : numpy.ndarray
        (R,) uint32, read-only: lengths of background, foreground, background, ... in column-major order.
    size : tuple of int
        (H, W) of the mask, in pixels.

    Raises
    ------
    ValueError
        For counts that do not add up to H * W, or a size that is not two non-negative integers.
    """

    counts: NDArray[np.uint32]
    size: tuple[int, int]

    def __post_init__(self) -> None:
        """Check the counts against the size and bring them to their one form."""
        size = _checked_size(self.size)
        counts = _array(self.counts)
        if counts.ndim != 1 or (counts.size and counts.dtype.kind not in "ui"):
            raise ValueError("the counts of run lengths are non-negative integers in one list")
        if counts.size and (int(counts.min()) < 0 or int(counts.max()) > _LARGEST):
            raise ValueError("the counts of run lengths are non-negative integers of 32 bits")
        total = int(counts.sum(dtype=np.int64))
        if total != size[0] * size[1]:
            raise ValueError(
                f"the run lengths add up to {total} pixels and the size {size} to {size[0] * size[1]}; "
                "the counts or the size are damaged"
            )
        counts = _without_empty_runs(counts.astype(np.uint32))
        counts.flags.writeable = False
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "size", size)

    def __eq__(self, other: object) -> bool:
        """Compare masks, not objects."""
        if not isinstance(other, RunLengths):
            return NotImplemented
        return self.size == other.size and np.array_equal(self.counts, other.counts)

    def __hash__(self) -> int:
        """Hash what `==` compares."""
        return hash((self.size, self.counts.tobytes()))

    @classmethod
    def from_mask(cls, mask: ArrayLike) -> RunLengths:
        """Encode an (H, W) bool mask.

        Raises
        ------
        ValueError
            For an array that is not 2-D, not bool, or has more than 2**32 - 1 pixels.
        """
        array = np.asarray(mask)
        if array.ndim != 2 or array.dtype != np.bool_:
            raise ValueError(
                f"the mask has the shape {array.shape} and type {array.dtype}; give an (H, W) array of bool, "
                "for example labels == 1"
            )
        rows, cols = array.shape
        filled = np.flatnonzero(array.any(axis=0))  # most of a large image is empty, and turning it takes long
        first, last = (int(filled[0]), int(filled[-1]) + 1) if len(filled) else (0, 0)
        flat = np.concatenate([[False], array[:, first:last].ravel(order="F"), [False]])
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + first * rows
        return cls(np.diff(changes, prepend=0, append=array.size), (rows, cols))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunLengths:
        """Read COCO's form: {"size": [H, W], "counts": [...] or the compressed string}.

        Raises
        ------
        ValueError
            For missing keys, damaged counts or a damaged string.
        """
        missing = {"size", "counts"} - set(values)
        if missing:
            raise ValueError(f"run lengths need 'size' and 'counts'; {', '.join(sorted(missing))} is missing")
        counts = values["counts"]
        if isinstance(counts, bytes):
            counts = counts.decode("ascii", errors="replace")
        if isinstance(counts, str):
            counts = decompress(counts)
        return cls(counts, values["size"])

    def to_dict(self) -> dict[str, Any]:
        """Return {"size": [H, W], "counts": compressed string}, as COCO and SA-1B files hold it."""
        return {"size": list(self.size), "counts": self.compressed()}

    def compressed(self) -> str:
        """Return the counts as COCO's compressed string."""
        return compress(self.counts)

    def decode(self) -> NDArray[np.bool_]:
        """Return the (H, W) bool mask."""
        rows, cols = self.size
        return self.window((0, 0, rows, cols))

    def window(self, box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
        """Return a part of the mask, in the time of its columns and the memory of the part.

        Parameters
        ----------
        box : (int, int, int, int)
            (row_min, col_min, row_max, col_max), half-open, within the mask.
        """
        row_min, col_min, row_max, col_max = box
        edges = np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])
        found = np.empty((row_max - row_min, col_max - col_min), np.bool_)
        step = max(1, _PIXELS_AT_A_TIME // max(1, self.size[0]))
        for left in range(col_min, col_max, step):
            right = min(left + step, col_max)
            found[:, left - col_min : right - col_min] = self._columns(edges, left, right)[:, row_min:row_max].T
        return found

    def _columns(self, edges: NDArray[np.int64], left: int, right: int) -> NDArray[np.bool_]:
        """Return (right - left, H) bool, whole columns; `edges` are the first pixels of all runs and the last end."""
        rows = self.size[0]
        begin, end = left * rows, right * rows
        first, last = np.searchsorted(edges[1:], [begin, end], side="right")
        clipped = np.clip(edges[first : last + 2], begin, end)
        values = np.arange(first, first + len(clipped) - 1) % 2 == 1
        return np.repeat(values, np.diff(clipped)).reshape(right - left, rows)

    @property
    def area(self) -> int:
        """Number of pixels of the object."""
        return int(self.counts[1::2].sum(dtype=np.int64))

    @cached_property
    def bbox(self) -> tuple[int, int, int, int]:
        """(row_min, col_min, row_max, col_max), half-open as in scikit-image; (0, 0, 0, 0) for an empty mask."""
        rows = self.size[0]
        ends = np.cumsum(self.counts, dtype=np.int64)[1::2]
        if len(ends) == 0:
            return 0, 0, 0, 0
        starts, last = ends - self.counts[1::2], ends - 1
        turns = starts // rows != last // rows  # a run that goes on in the next column touches both edges
        row_min = 0 if turns.any() else int((starts % rows).min())
        row_max = rows if turns.any() else int((last % rows).max()) + 1
        return row_min, int(starts[0] // rows), row_max, int(last[-1] // rows) + 1


def _array(values: ArrayLike) -> NDArray[Any]:
    """Return an array of integers, or of something else that is to be refused."""
    try:
        return np.asarray(values)
    except ValueError:  # lists of unequal lengths
        return np.array([None])


def _checked_size(size: Sequence[int]) -> tuple[int, int]:
    if not (type(size) is tuple and len(size) == 2 and type(size[0]) is type(size[1]) is int and min(size) >= 0):
        values = _array(size)
        if values.shape != (2,) or values.dtype.kind not in "ui" or (values.astype(np.int64) < 0).any():
            raise ValueError(f"the size of run lengths is {size!r}; give two non-negative integers (H, W)")
        size = tuple(values.tolist())
    rows, cols = size
    if rows * cols > _LARGEST:
        raise ValueError(f"a mask of {rows} x {cols} pixels is too large for run lengths of 32 bits; cut it in tiles")
    return rows, cols


def _without_empty_runs(counts: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Merge the neighbours of runs of no pixels; the first run is the background, present even when empty."""
    if len(counts) > 1 and counts[1:].all():
        return counts
    kept = np.flatnonzero(counts)
    if len(kept) == 0:
        return np.zeros(0, np.uint32)
    values = kept % 2
    first_of_run = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
    merged = np.add.reduceat(counts[kept], first_of_run, dtype=np.uint32)
    return np.concatenate([np.zeros(values[0], np.uint32), merged])


def compress(counts: ArrayLike) -> str:
    """Return run lengths as COCO's compressed string.

    From the fourth on, a run is told as its difference to the run before the last. A number is written in groups of
    five bits, lowest first, in characters from "0" on; 32 marks that more groups follow, 16 in the last one a minus.
    """
    numbers = np.array(counts, dtype=np.int64)
    numbers[3:] -= np.array(counts, dtype=np.int64)[1:-2]
    characters = np.zeros((len(numbers), 7), np.uint8)
    written = np.zeros(characters.shape, bool)
    going_on = np.ones(len(numbers), bool)
    for group in range(7):
        low = numbers & 31
        numbers >>= 5
        written[:, group] = going_on
        going_on = going_on & (numbers != np.where(low & 16, -1, 0))
        characters[:, group] = low + 32 * going_on + 48
    return characters[written].tobytes().decode("ascii")


def decompress(text: str) -> NDArray[np.int64]:
    """Return the run lengths of COCO's compressed string; see `compress`.

    Raises
    ------
    ValueError
        For characters outside of the format, or a string that ends within a number.
    """
    groups = np.frombuffer(text.encode("utf-8", errors="replace"), np.uint8).astype(np.int64) - 48
    if len(groups) == 0:
        return np.zeros(0, np.int64)
    if ((groups < 0) | (groups > 63)).any() or groups[-1] & 32:
        raise ValueError("the compressed run lengths are damaged: this is no string of COCO's mask format")
    ends = np.flatnonzero((groups & 32) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 7:
        raise ValueError("the compressed run lengths are damaged: a number is longer than 32 bits")
    shifts = 5 * (np.arange(len(groups)) - np.repeat(starts, lengths))
    numbers = np.add.reduceat((groups & 31) << shifts, starts)
    numbers -= np.where(groups[ends] & 16, np.int64(1) << 5 * lengths, 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers
