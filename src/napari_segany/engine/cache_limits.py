"""The contrast limits that a napari layer has when it is new. Knows no napari: a test compares the two.

An embedding that is made in advance is found in a viewer only if it was made with the limits that the layer has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.cache_key import Limits
from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.tiling import tile_plan
from napari_segany.formats.lazy_image import LazyImage

_LARGE = 1e7  # values; of larger stacks napari looks at three planes only
_PATCH = 31  # half the side of what it looks at in planes that are themselves large
_READ_SIDE = 2048  # pixels of what is read at once for the lowest and highest value


def layer_limits(pixels: NDArray[np.generic], *, has_colours: bool) -> Limits | None:
    """Return the contrast limits of a new Image layer; None for colours, which napari shows as they are.

    Parameters
    ----------
    pixels : numpy.ndarray, or what is sliced like one
        (..., H, W), or (..., H, W, 3) or (..., H, W, 4) with colours; real numbers.
    has_colours : bool
        Whether the last axis holds colours.
    """
    if has_colours:
        return None
    if pixels.dtype == np.uint8:
        return 0.0, 255.0
    return joined_limits(finite_range(np.asarray(part)) or (0.0, 1.0) for part in _looked_at(pixels))


def plane_limits_steps(image: LazyImage, *, with_levels: bool) -> Steps[Limits]:
    """Return the contrast limits of a new layer of one grey plane that need not fit into memory.

    Parameters
    ----------
    image : LazyImage
        (H, W), with its levels.
    with_levels : bool
        Whether napari opens it with all its levels, as it does a zarr: the coarsest one, which it shows first, gives
        the limits then. Of other files it reads the finest alone.

    Yields
    ------
    Progress
        Parts that are read.

    Raises
    ------
    OSError, ValueError
        Where the pixels cannot be reached, or are damaged.
    """
    if image.dtype == np.uint8:
        return 0.0, 255.0
    level = LazyImage(image.levels[-1:] if with_levels else image.levels[:1], image.place)
    windows = [window for _, _, window in tile_plan(level.shape, _READ_SIDE).windows(0)]
    ranges = []
    for number, window in enumerate(windows):
        yield Progress(number, len(windows), "Looking for its lowest and highest value")
        ranges.append(finite_range(level.read(window.box)))
    return joined_limits(one for one in ranges if one is not None)


def joined_limits(ranges: Iterable[Limits]) -> Limits:
    """Return the contrast limits of a new layer whose parts have these lowest and highest values."""
    known = list(ranges) or [(0.0, 1.0)]
    low, high = min(low for low, _ in known), max(high for _, high in known)
    return (low, high) if low < high else (min(low, 0.0), max(high, 1.0))


def finite_range(values: NDArray[np.generic]) -> Limits | None:
    """Return the lowest and the highest finite value; None where there is none."""
    low, high = float(values.min()), float(values.max())
    if math.isfinite(low) and math.isfinite(high):
        return low, high
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else None


def _looked_at(pixels: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    """Return the parts of which the range is taken."""
    if pixels.ndim < 3 or pixels.size <= _LARGE:
        return [pixels]
    stack, plane = pixels.shape[:-2], pixels.shape[-2:]
    places = [tuple(0 for _ in stack), tuple(size // 2 for size in stack), tuple(size - 1 for size in stack)]
    planes = [pixels[place] for place in places]
    if math.prod(plane) <= _LARGE or min(plane) <= 64:
        return planes
    centre = tuple(slice(size // 2 - _PATCH, size // 2 + _PATCH) for size in plane)
    return [part[centre] for part in planes]
