"""A raster as lazy arrays, one for each resolution, as napari shows multiscale images. Needs rasterio and dask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.geo_bands import BandChoice
from napari_segany.formats.geo_extra import geo_module
from napari_segany.formats.geo_nodata import has_data, pixels_of_box
from napari_segany.formats.geo_raster import Raster
from napari_segany.formats.geo_stretch import Stretch
from napari_segany.formats.geo_windows import Box, pixel_type, read_valid, read_window, valid_at
from napari_segany.formats.lazy_image import LazyImage

VIEW_KEY = "napari_segany_raster"
"""Key of a layer's metadata whose value is the `RasterView` that it shows."""

_CHUNK = 1024  # pixels of a side; reading a block costs little more than opening the file


@dataclass(frozen=True)
class RasterView:
    """A raster as a person sees it.

    Attributes
    ----------
    raster : Raster
        The file.
    choice : BandChoice
        Which bands are shown.
    stretch : Stretch
        The one intensity mapping of all of it.
    """

    raster: Raster
    choice: BandChoice
    stretch: Stretch

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the pixels: uint8 for colours, else that of the file, float32 for an index."""
        if self.choice.is_rgb:
            return np.dtype(np.uint8)
        return np.dtype(np.float32) if self.choice.is_index else pixel_type(self.raster, self.choice.bands)

    def within(self, limits: tuple[float, float] | None) -> RasterView:
        """Return colours stretched between these intensities of the file; without limits, or grey, itself."""
        if limits is None or not self.choice.is_rgb:
            return self
        low, high = limits
        return replace(self, stretch=Stretch((low,) * 3, (high,) * 3))

    def read(self, box: Box | None = None, *, level: int = 0) -> NDArray[np.generic]:
        """Read a part of the image.

        Parameters
        ----------
        box : (int, int, int, int), optional
            (row_min, col_min, row_max, col_max), half-open, in pixels of the level; all of it by default.
        level : int
            Which of the raster's levels.

        Returns
        -------
        numpy.ndarray
            (H, W, 3) uint8 by the stretch, nodata 0; or (H, W) as in the file, nodata the stretch's low end.
        """
        channels, valid = self.choice.combine(*read_window(self.raster, self.choice.bands, box, level=level))
        if self.choice.is_rgb:
            return np.ascontiguousarray(np.moveaxis(self.stretch.apply(channels, valid), 0, -1))
        # A nodata value such as -9999 or 65535 would show, and be fed to the model, as the darkest or the brightest.
        return np.where(valid, channels[0], np.array(self.stretch.low[0]).astype(self.dtype))

    def valid(self, box: Box, *, factor: int = 1) -> NDArray[np.bool_]:
        """Return (H, W) bool of a part of the image, False where nothing is shown: on nodata, or without an index.

        With a factor, the box is in pixels of the image reduced by it; see `read_valid`.
        """
        return read_valid(self.raster, self.choice, box, factor=factor)

    def valid_at(self, positions: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell for (N, 2) positions (row, col) within the image whether the pixel there is valid."""
        return valid_at(self.raster, self.choice, positions)

    def has_data(self, box: Sequence[float]) -> bool:
        """Tell whether a box (row_min, col_min, row_max, col_max) of positions touches a pixel that is valid."""
        return has_data(self.raster, self.choice, pixels_of_box(box, self.raster.size))


def lazy_levels(view: RasterView) -> list[Any]:
    """Return the levels of a raster as dask arrays, full resolution first; each chunk opens the file for itself."""
    return [_lazy(view, number) for number in range(len(view.raster.levels))]


@dataclass(frozen=True)
class RasterLevel:
    """A resolution of a raster that is read by slicing, each slice at once and in whatever thread.

    Attributes
    ----------
    view : RasterView
        What is shown of which raster.
    level : int
        Which of its levels.
    """

    view: RasterView
    level: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W), or (H, W, 3) of colours."""
        return (*self.view.raster.levels[self.level].size, *((3,) if self.view.choice.is_rgb else ()))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the pixels."""
        return self.view.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __getitem__(self, window: tuple[slice, ...]) -> NDArray[np.generic]:
        """Return a part, by slices of rows and columns without steps."""
        (top, bottom, _), (left, right, _) = (
            part.indices(side) for part, side in zip(window[:2], self.shape[:2], strict=True)
        )
        return self.view.read((top, left, bottom, right), level=self.level)


def raster_levels(view: RasterView) -> LazyImage:
    """Return a raster as an image that is read window by window."""
    return LazyImage(tuple(RasterLevel(view, level) for level in range(len(view.raster.levels))))


def _lazy(view: RasterView, level: int) -> Any:
    array = geo_module("dask.array")
    size = view.raster.levels[level].size
    chunks = tuple(_chunks(side, block) for side, block in zip(size, _chunk(view.raster), strict=True))

    def read_chunk(block_info: Any = None) -> NDArray[np.generic]:
        (row_min, row_max), (col_min, col_max), *_ = block_info[None]["array-location"]
        return view.read((row_min, col_min, row_max, col_max), level=level)

    channels: tuple[tuple[int, ...], ...] = ((3,),) if view.choice.is_rgb else ()
    meta = np.empty((0,) * (2 + len(channels)), view.dtype)
    return array.map_blocks(read_chunk, chunks=(*chunks, *channels), dtype=view.dtype, meta=meta)


def _chunk(raster: Raster) -> tuple[int, int]:
    """Return the (H, W) of chunks: whole blocks of the file, so that none is read twice."""
    if raster.block[1] < raster.size[1]:
        height, width = (max(block, _CHUNK // block * block) for block in raster.block)
        return height, width
    rows = max(1, _CHUNK * _CHUNK // raster.block[1] // raster.block[0])
    return rows * raster.block[0], raster.block[1]


def _chunks(side: int, chunk: int) -> tuple[int, ...]:
    whole, rest = divmod(side, chunk)
    return (chunk,) * whole + ((rest,) if rest else ())
