"""A large image at one reduction as an array that is read when it is sliced. Knows numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.lazy_image import LazyImage


class ReducedLevel:
    """One level of a multiscale image: `image` with each pixel the mean of `factor` x `factor` ones.

    The pixels are those that `LazyImage.read` gives, whether the file has that level or not.

    Parameters
    ----------
    image : LazyImage
        The image.
    factor : int
        A power of two.
    """

    def __init__(self, image: LazyImage, factor: int) -> None:
        self._image, self._factor = image, factor
        self.shape: tuple[int, ...] = (*image.reduced_shape(factor), *((3,) if image.has_colours else ()))
        self.dtype = image.dtype
        self.ndim = len(self.shape)
        self.size = int(np.prod(self.shape))
        self.pixels_read = image.pixels_read(factor)
        """How many pixels along a side are read for each one of this level."""

    def __getitem__(self, place: Any) -> NDArray[np.generic]:
        """Return a part, for which the smallest box around it is read."""
        places = place if isinstance(place, tuple) else (place,)
        if Ellipsis in places:
            cut = places.index(Ellipsis)
            filling = (slice(None),) * (self.ndim + 1 - len(places))
            places = (*places[:cut], *filling, *places[cut + 1 :])
        places = (*places, *(slice(None),) * (self.ndim - len(places)))
        starts, stops, within = zip(
            *(_span(one, side) for one, side in zip(places[:2], self.shape, strict=False)), strict=True
        )
        if any(start >= stop for start, stop in zip(starts, stops, strict=True)):
            return np.empty(self.shape, self.dtype)[places]
        part = self._image.read((*starts, *stops), self._factor)
        found: NDArray[np.generic] = part[(*within, *places[2:])]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all of it."""
        return np.asarray(self[...], dtype)


def _span(place: int | slice, side: int) -> tuple[int, int, int | slice]:
    """Return the first and the last index (left out) of a part of an axis, and the part within them."""
    if not isinstance(place, slice):
        index = range(side)[place]
        return index, index + 1, 0
    indices = range(side)[place]
    if not indices:
        return 0, 0, slice(0, 0)
    low, high = min(indices[0], indices[-1]), max(indices[0], indices[-1])
    return low, high + 1, slice(None, None, indices.step)
