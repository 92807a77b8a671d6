"""A large image that is read window by window, at any power of two of reduction. Knows numpy only.

Anything that is sliced like a numpy array serves: numpy and memory-mapped arrays, zarr, dask, h5py. Coarser levels of
a multiscale image are used where they are there, and are else averaged from finer ones, band by band.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]

_BAND = 16_000_000  # values that are read at a time while they are averaged
_SAMPLES = 8  # windows along each side that intensities are sampled in
_SAMPLE_SIDE = 128
_DAMAGE = (  # what zarr, tifffile and dask raise for a chunk that is damaged, besides OSError and ValueError
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, eq=False)
class LazyImage:
    """One plane of an image that need not fit into memory.

    Attributes
    ----------
    levels : tuple of array
        (H, W) or (H, W, 3 or 4) of real numbers, full resolution first, then coarser ones; each is read by slicing.
    place : tuple of int or slice
        What cuts the plane out of each level: slices for rows, columns (and channels), integers for other axes. Empty
        where the levels are planes themselves.

    Raises
    ------
    ValueError
        For levels that are no planes, or hold other things than real numbers.
    """

    levels: tuple[Any, ...]
    place: tuple[int | slice, ...] = ()

    def __post_init__(self) -> None:
        """Check that the levels are planes of an image."""
        shape = self._plane_shape(0)
        if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (3, 4)) or 0 in shape:
            raise ValueError(
                f"the image has the shape {shape}; allowed are (H, W), (H, W, 3) and (H, W, 4). "
                "Choose one plane first"
            )
        if self.dtype.kind not in "buif":
            raise ValueError(f"the image holds values of type {self.dtype}; allowed are bool, integers and floats")

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) at full resolution."""
        rows, cols = self._plane_shape(0)[:2]
        return rows, cols

    @property
    def has_colours(self) -> bool:
        """Whether there is an axis of channels."""
        return len(self._plane_shape(0)) == 3

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the pixels."""
        return np.dtype(self.levels[0].dtype)

    def reduced_shape(self, factor: int) -> tuple[int, int]:
        """Return (rows, cols) of the image reduced by a factor; the last pixels may stand for less than a block."""
        rows, cols = (math.ceil(side / factor) for side in self.shape)
        return rows, cols

    def read(self, box: Box, factor: int = 1) -> NDArray[np.generic]:
        """Return a part of the image, each pixel the mean of `factor` x `factor` ones.

        Parameters
        ----------
        box : (int, int, int, int)
            (row_min, col_min, row_max, col_max), half-open, in pixels of the reduced image, within it.
        factor : int
            A power of two.

        Returns
        -------
        numpy.ndarray
            (rows, cols) or (rows, cols, 3), of the image's type; an alpha channel is dropped.

        Raises
        ------
        OSError, ValueError
            Where the pixels cannot be reached, or are damaged.
        """
        level, own = self._level_for(factor)
        step = factor // own
        rows, cols = self._plane_shape(level)[:2]
        top, left, bottom, right = box
        wanted = bottom - top, right - left
        # A level may be a pixel smaller than the reduced image, where its writer rounded down.
        top, left = min(top * step, rows - 1), min(left * step, cols - 1)
        bottom, right = min(bottom * step, rows), min(right * step, cols)
        if step == 1:
            return _filled(self._window(level, (top, left, bottom, right)), wanted)
        height = max(1, _BAND // max(1, right - left) // step) * step
        bands = [
            block_means(self._window(level, (start, left, min(start + height, bottom), right)), step)
            for start in range(top, bottom, height)
        ]
        return _filled(np.concatenate(bands), wanted)

    def pixels_read(self, factor: int) -> int:
        """Return how many pixels along a side are read for each one of the image reduced by a factor.

        One where a level of a multiscale image fits, `factor` where all of the full resolution must be averaged.
        """
        level, own = self._level_for(factor)
        return factor // own * int(getattr(self.levels[level], "pixels_read", 1))

    def sample(self) -> NDArray[np.generic]:
        """Return pixels from all over the image at full resolution, the same ones each time, (N, M[, 3]).

        All of it where it is small, else windows on a regular grid.
        """
        if math.prod(self.shape) <= (_SAMPLES * _SAMPLE_SIDE) ** 2 * 4:
            return self.read((0, 0, *self.shape))
        starts = [
            np.linspace(0, side - min(side, _SAMPLE_SIDE), _SAMPLES, dtype=np.int64).tolist() for side in self.shape
        ]
        sides = [min(side, _SAMPLE_SIDE) for side in self.shape]
        windows = [self.read((row, col, row + sides[0], col + sides[1])) for row in starts[0] for col in starts[1]]
        return np.concatenate(windows)

    def _plane_shape(self, level: int) -> tuple[int, ...]:
        shape = tuple(int(side) for side in self.levels[level].shape)
        if not self.place:
            return shape
        kept = [side for side, place in zip(shape, self.place, strict=False) if isinstance(place, slice)]
        return (*kept, *shape[len(self.place) :])

    def _level_for(self, factor: int) -> tuple[int, int]:
        """Return the coarsest level that is no coarser than `factor`, and its own factor."""
        best = 0, 1
        for level in range(1, len(self.levels)):
            shape = self._plane_shape(level)[:2]
            own = round(max(self.shape) / max(shape))
            fits = all(abs(side - mine * own) < 2 * own for side, mine in zip(self.shape, shape, strict=True))
            if fits and best[1] < own <= factor and factor % own == 0 and self._has_the_plane(level):
                best = level, own
        return best

    def _has_the_plane(self, level: int) -> bool:
        """Tell whether the other axes of a level are as long as those of the finest: else it has other planes."""
        lengths = [self.levels[number].shape for number in (0, level)]
        return all(
            isinstance(place, slice) or length == own
            for place, length, own in zip(self.place, *lengths, strict=False)
        )

    def _window(self, level: int, box: Box) -> NDArray[np.generic]:
        top, left, bottom, right = box
        window: tuple[int | slice, ...] = (slice(top, bottom), slice(left, right))
        if self.place:
            positions = iter(window)
            window = tuple(
                next(positions, slice(None)) if isinstance(place, slice) else place for place in self.place
            )
        try:
            part = np.asarray(self.levels[level][window])
        except _DAMAGE as error:
            text = str(error).strip().split("\n")[0] or type(error).__name__
            raise ValueError(f"a part of the image cannot be read: {text}") from error
        return part[..., :3] if part.ndim == 3 else part


def lazy_image(data: Any) -> LazyImage:
    """Return an image of one array, of a list of levels, or of what is a `LazyImage` already.

    Raises
    ------
    ValueError
        For something that is no image.
    """
    if isinstance(data, LazyImage):
        return data
    levels = tuple(data) if isinstance(data, Sequence) else (data,)
    if not levels or not all(hasattr(level, "shape") and hasattr(level, "dtype") for level in levels):
        raise ValueError(f"this is no image: {type(data).__name__}; give an array or a list of levels, finest first")
    return LazyImage(levels)


def enlarged(mask: NDArray[np.bool_], factor: int) -> NDArray[np.bool_]:
    """Return a mask of reduced pixels at full resolution, its outline smoothed between the pixels.

    Parameters
    ----------
    mask : numpy.ndarray
        (rows, cols) bool.
    factor : int
        How many pixels of the result a pixel becomes along each side.
    """
    if factor == 1:
        return mask
    from scipy.ndimage import zoom

    soft: NDArray[np.float32] = zoom(mask.astype(np.float32), factor, order=1, mode="nearest", grid_mode=True)
    return soft > 0.5


def block_means(values: NDArray[Any], step: int) -> NDArray[Any]:
    """Return the means of blocks of step x step; a block at the end may be smaller. Only finite values count."""
    if values.dtype == np.bool_:
        return block_means(values.astype(np.float32), step) >= 0.5
    counts: NDArray[Any]
    known = np.isfinite(values) if values.dtype.kind == "f" else None
    sums = _block_sums(values if known is None else np.where(known, values, 0), step)
    if known is None:
        counts = np.outer(*(_lengths(side, step) for side in values.shape[:2]))
        counts = counts.reshape(counts.shape + (1,) * (values.ndim - 2))
    else:
        counts = _block_sums(known, step)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / counts
    return np.rint(means).astype(values.dtype) if values.dtype.kind in "ui" else means.astype(values.dtype)


def block_mean_series(values: NDArray[Any], steps: Sequence[int]) -> list[NDArray[Any]]:
    """Return what `block_means` does for steps that each are a multiple of the one before, in little more time."""
    if values.dtype.kind not in "ui":  # sums of these depend on their order
        return [block_means(values, step) for step in steps]
    means, sums, before = [], values, 1
    for step in steps:
        sums, before = _block_sums(sums, step // before), step
        counts = np.outer(*(_lengths(side, step) for side in values.shape[:2]))
        counts = counts.reshape(counts.shape + (1,) * (values.ndim - 2))
        means.append(np.rint(sums / counts).astype(values.dtype))
    return means


def _block_sums(values: NDArray[Any], step: int) -> NDArray[np.float64]:
    rows = np.add.reduceat(values, np.arange(0, values.shape[0], step), axis=0, dtype=np.float64)
    sums: NDArray[np.float64] = np.add.reduceat(rows, np.arange(0, values.shape[1], step), axis=1)
    return sums


def _lengths(side: int, step: int) -> NDArray[np.int64]:
    starts = np.arange(0, side, step)
    return np.minimum(starts + step, side) - starts


def _filled(part: NDArray[np.generic], shape: tuple[int, int]) -> NDArray[np.generic]:
    """Repeat the last row and column where a level is a pixel smaller than the reduced image."""
    missing = [max(0, want - have) for want, have in zip(shape, part.shape[:2], strict=True)]
    part = part[: shape[0], : shape[1]]
    if not any(missing):
        return part
    return np.pad(part, [(0, missing[0]), (0, missing[1]), *[(0, 0)] * (part.ndim - 2)], mode="edge")
