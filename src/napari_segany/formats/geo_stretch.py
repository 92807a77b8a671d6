"""One intensity mapping for a whole raster: the percentiles of all its pixels but nodata. Needs rasterio.

The raster is gone through window by window. Percentiles are exact: values are counted in 65536 bins of their upper 16
bits, and where a value has 32 bits those in the bins of the wanted ranks are counted again by their lower 16 bits.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.geo_bands import BandChoice
from napari_segany.formats.geo_raster import Raster
from napari_segany.formats.geo_windows import Box, boxes_of, pixel_type, read_window

PERCENTILES = (2.0, 98.0)
"""Percentiles that become the darkest and the brightest, as geographic information systems have it."""

_BINS = 2**16


@dataclass(frozen=True)
class Stretch:
    """The intensities that become the darkest and the brightest, for each channel.

    Attributes
    ----------
    low, high : tuple of float
        One number for each channel, low less than high.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def apply(self, channels: NDArray[np.generic], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Map (C, H, W) channels to 0..255; nodata becomes 0."""
        low, high = (np.reshape(limits, (-1, 1, 1)) for limits in (self.low, self.high))
        values = np.where(valid, channels, low).astype(np.float32)
        scaled = (values - low) * (255 / (high - low))
        return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def measure_stretch(
    raster: Raster, choice: BandChoice, *, percentiles: tuple[float, float] = PERCENTILES, level: int = 0
) -> Generator[tuple[int, int], None, Stretch]:
    """Find the percentiles of a raster's pixels, nodata left out.

    Yields (windows done, windows in all) and returns the stretch; closing it stops the work.

    Parameters
    ----------
    raster : Raster
        The raster.
    choice : BandChoice
        The bands that make the image.
    percentiles : (float, float)
        Increasing, from 0 to 100. The value at rank floor(p / 100 (n - 1)) of the n sorted ones is taken, which is a
        value of the raster: numpy calls this the method "lower".
    level : int
        Which of the raster's levels is measured; 0 is the full resolution.

    Raises
    ------
    ValueError
        For other percentiles, or a raster without a valid pixel.
    """
    low, high = percentiles
    if not 0 <= low < high <= 100:
        raise ValueError(f"the percentiles are {percentiles}; give two increasing numbers from 0 to 100")
    source = _Source(raster, choice, level)
    total = len(source.boxes) * (1 if source.bits == 16 else 2)
    counts = yield from _counted(source, None, 0, total)
    if not counts.any(axis=-1).all():
        raise ValueError(f"{raster.name} has no valid pixel in {choice.name or choice.bands}: all of it is nodata")
    ranks = np.floor(np.multiply(percentiles, (counts.sum(axis=-1) - 1) / 100)).astype(np.int64)
    keys, rest = _at_rank(np.repeat(counts, 2, axis=1), ranks)
    if source.bits > 16:
        finer = yield from _counted(source, keys, len(source.boxes), total)
        keys = (keys << 16) + _at_rank(finer, rest)[0]
    return _stretch_of(_values(keys, source.dtype))


def as_it_is(raster: Raster, choice: BandChoice) -> Stretch | None:
    """Return the stretch that changes nothing, of images of 8 bits; None for all others."""
    if choice.is_index or pixel_type(raster, choice.bands) != np.uint8:
        return None
    return Stretch((0.0,) * len(choice.bands), (255.0,) * len(choice.bands))


@dataclass(frozen=True)
class _Source:
    """The valid pixels of a level as integers of the same order."""

    raster: Raster
    choice: BandChoice
    level: int

    @property
    def boxes(self) -> list[Box]:
        return list(boxes_of(self.raster.levels[self.level].size, self.raster.block))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type whose bits are counted: integers up to 32 bits are taken as they are, all else as float32."""
        own = np.dtype(np.float32) if self.choice.is_index else pixel_type(self.raster, self.choice.bands)
        return own if own.kind in "ui" and own.itemsize <= 4 else np.dtype(np.float32)

    @property
    def bits(self) -> int:
        return 16 if self.dtype.itemsize <= 2 else 32

    def keys(self, box: Box) -> NDArray[np.int64]:
        """Return (C, N) keys of the N valid pixels of a window."""
        channels, valid = self.choice.combine(*read_window(self.raster, self.choice.bands, box, level=self.level))
        return _keys(channels[:, valid].astype(self.dtype))


def _counted(
    source: _Source, upper: NDArray[np.int64] | None, done: int, total: int
) -> Generator[tuple[int, int], None, NDArray[np.int64]]:
    """Count keys by their upper 16 bits, (C, 1, bins); or by the lower ones of given upper ones, (C, E, bins)."""
    channels = 1 if source.choice.is_index else len(source.choice.bands)
    counts = np.zeros((channels, 1 if upper is None else upper.shape[1], _BINS), np.int64)
    for number, box in enumerate(source.boxes, done + 1):
        for channel, keys in enumerate(source.keys(box)):
            if upper is None:
                counts[channel, 0] += np.bincount(keys >> (source.bits - 16), minlength=_BINS)
                continue
            for end, wanted in enumerate(upper[channel]):
                counts[channel, end] += np.bincount(keys[keys >> 16 == wanted] & (_BINS - 1), minlength=_BINS)
        yield number, total
    return counts


def _at_rank(counts: NDArray[np.int64], ranks: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the bin that holds each rank, and the rank within it; counts (C, E, bins), ranks (C, E)."""
    ends = counts.cumsum(axis=-1)
    bins = (ends <= ranks[..., None]).sum(axis=-1)
    before = np.take_along_axis(ends - counts, bins[..., None], axis=-1)[..., 0]
    return bins, ranks - before


def _keys(values: NDArray[Any]) -> NDArray[np.int64]:
    """Return integers from 0 on, of 16 or 32 bits, that have the order of the values."""
    if values.dtype.kind == "u":
        return values.astype(np.int64)
    if values.dtype.kind == "i":
        return values.astype(np.int64) - _lowest(values.dtype)
    bits = (values + np.float32(0)).view(np.uint32).astype(np.int64)  # + 0 makes one zero of two
    # Of floats, the bits of positive numbers grow with them and those of negative ones fall.
    return np.where(bits < 2**31, bits + 2**31, 2**32 - 1 - bits)


def _values(keys: NDArray[np.int64], dtype: np.dtype[Any]) -> NDArray[np.float64]:
    """Return the values of keys."""
    if dtype.kind == "u":
        return keys.astype(np.float64)
    if dtype.kind == "i":
        return (keys + _lowest(dtype)).astype(np.float64)
    bits = np.where(keys >= 2**31, keys - 2**31, 2**32 - 1 - keys)
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


def _lowest(dtype: np.dtype[Any]) -> int:
    return -(2**15) if dtype.itemsize <= 2 else -(2**31)


def _stretch_of(limits: NDArray[np.float64]) -> Stretch:
    """Return limits (C, 2) as a stretch; a raster of one value becomes its darkest."""
    low = limits[:, 0]
    high = np.where(limits[:, 1] > low, limits[:, 1], low + np.maximum(1, np.abs(low) * 1e-6))
    return Stretch(tuple(low.tolist()), tuple(high.tolist()))
