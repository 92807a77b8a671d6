"""A large image as levels to be shown: fine ones read when they are looked at, coarse ones kept in memory.

The levels hold the pixels that `segany embed` reads at each reduction, and the limits are those that it takes, so
what it prepared is found again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.cache_key import Limits
from napari_segany.engine.cache_limits import finite_range, joined_limits, plane_limits_steps
from napari_segany.engine.progress import Progress, Steps
from napari_segany.formats.lazy_image import LazyImage, block_mean_series
from napari_segany.formats.reduced_level import ReducedLevel

KEPT_SIDE = 4096
"""Pixels along the longer side of the finest level that is kept in memory."""

_COARSEST_SIDE = 128
_BAND = 16_000_000  # values that are read at a time
_NOTE = "Reading the image once, for its coarse levels"


@dataclass(frozen=True, eq=False)
class OpenedImage:
    """An image that is ready to be shown.

    Attributes
    ----------
    levels : tuple of array
        (H, W) or (H, W, 3), full resolution first, each half the size of the one before.
    contrast_limits : tuple of float or None
        Intensities that become black and white; None for colours, which are shown as they are.
    """

    levels: tuple[Any, ...]
    contrast_limits: Limits | None


def opening_steps(image: LazyImage, *, with_levels: bool) -> Steps[OpenedImage]:
    """Return an image as levels, of which only the coarse ones are in memory.

    Where the file has no coarse levels, or its intensities are to be measured, all of it is read once, band by band.

    Parameters
    ----------
    image : LazyImage
        The image.
    with_levels : bool
        Whether napari itself opens such a file with all its levels; see `plane_limits_steps`.

    Yields
    ------
    Progress
        Rows.

    Raises
    ------
    OSError, ValueError
        Where the pixels cannot be reached, or are damaged.
    """
    factors = _factors(image.shape)
    kept = [factor for factor in factors if max(image.reduced_shape(factor)) <= KEPT_SIDE]
    averaged = [factor for factor in kept if factor > 1 and image.pixels_read(factor) == factor]
    coarse: dict[int, NDArray[np.generic]] = {}
    limits: Limits | None = None
    if averaged:
        coarse, limits = yield from _averaging_steps(image, averaged)
    for factor in kept:
        if factor not in coarse:
            yield Progress(0, 0, "Reading the coarse levels")
            coarse[factor] = image.read((0, 0, *image.reduced_shape(factor)), factor)
    if image.has_colours:
        limits = None
    elif image.dtype == np.uint8 or limits is None or with_levels:
        limits = yield from plane_limits_steps(image, with_levels=with_levels)
    levels = [coarse[factor] if factor in coarse else ReducedLevel(image, factor) for factor in factors]
    return OpenedImage(tuple(levels), limits)


def _averaging_steps(
    image: LazyImage, factors: Sequence[int]
) -> Steps[tuple[dict[int, NDArray[np.generic]], Limits]]:
    """Return reductions of the finest level, and the limits of its values, in one pass."""
    rows, cols = image.shape
    tallest = factors[-1]
    height = max(1, _BAND // cols // tallest) * tallest
    bands: dict[int, list[NDArray[np.generic]]] = {factor: [] for factor in factors}
    ranges = []
    for top in range(0, rows, height):
        yield Progress(top, rows, _NOTE)
        band = image.read((top, 0, min(top + height, rows), cols))
        ranges.append(finite_range(band))
        for start in range(0, len(band), tallest):  # sums take eight bytes a value
            part = band[start : start + tallest]
            for factor, means in zip(factors, block_mean_series(part, factors), strict=True):
                bands[factor].append(means)
    limits = joined_limits(one for one in ranges if one is not None)
    return {factor: np.concatenate(parts) for factor, parts in bands.items()}, limits


def _factors(shape: tuple[int, int]) -> list[int]:
    """Return the reductions of all levels; 1 alone for an image that is kept as a whole."""
    factors = [1]
    while max(shape) > KEPT_SIDE and -(-max(shape) // factors[-1]) > _COARSEST_SIDE:
        factors.append(2 * factors[-1])
    return factors
