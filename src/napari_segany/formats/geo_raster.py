"""Rasters with a place on Earth (GeoTIFF, COG, VRT): what is in the file, but its pixels. Needs rasterio."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_segany.formats.geo_extra import geo_module
from napari_segany.formats.geo_grid import GeoGrid

COARSEST = 1024
"""A pyramid ends when the longer side, in pixels, is no longer than this."""

_CACHE = 64  # MB; a file is opened for one window, so that blocks are rarely needed again


@dataclass(frozen=True)
class Band:
    """What the file says of a band.

    Attributes
    ----------
    number : int
        Its number, from 1 as GDAL counts.
    dtype : str
        The name of numpy's type of its pixels.
    description : str
        The name that the file gives it; "" for none.
    colour : str
        What it shows, as GDAL names it: "red", "nir", "gray", "alpha", "undefined", ....
    """

    number: int
    dtype: str
    description: str
    colour: str


@dataclass(frozen=True)
class Level:
    """A resolution of a raster.

    Attributes
    ----------
    size : tuple of int
        (H, W), in pixels of the level.
    overview : int or None
        The number of the overview in the file, from 0; None for the full resolution, and for levels that the file
        has not and that are made while reading.
    """

    size: tuple[int, int]
    overview: int | None = None


@dataclass(frozen=True)
class Raster:
    """A raster in a file; build it with `read_raster`.

    Attributes
    ----------
    path : str
        The file.
    grid : GeoGrid
        Where its pixels lie.
    bands : tuple of Band
        Its bands, first band first.
    levels : tuple of Level
        Full resolution first, down to a longer side of about a thousand pixels.
    block : tuple of int
        (H, W) of the blocks that the file is stored in.
    """

    path: str
    grid: GeoGrid
    bands: tuple[Band, ...]
    levels: tuple[Level, ...]
    block: tuple[int, int]

    @property
    def name(self) -> str:
        """The name of the file."""
        return Path(self.path).name

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the full resolution, in pixels."""
        return self.grid.size


def bounded_cache() -> Any:
    """Return a context in which GDAL keeps few blocks; by default it takes a twentieth of the computer's memory."""
    return geo_module("rasterio").Env(GDAL_CACHEMAX=_CACHE)


@contextmanager
def opened(path: str | os.PathLike[str], **options: Any) -> Iterator[Any]:
    """Open a dataset of rasterio for reading.

    Raises
    ------
    OSError
        For a file that is not there or may not be read.
    ValueError
        For a file that is no raster, or is damaged; also while pixels are read in the block.
    """
    with Path(path).open("rb"):
        pass  # a missing file and missing rights have their own words
    errors = geo_module("rasterio.errors")
    try:
        with bounded_cache(), geo_module("rasterio").open(path, **options) as dataset:
            yield dataset
    except errors.RasterioError as error:
        reason = " ".join(str(error).replace(f"'{path}'", "it").split())
        raise ValueError(f"{Path(path).name} is damaged or no raster ({reason[:120]})") from None


def read_raster(path: str | os.PathLike[str]) -> Raster:
    """Read what a raster is, without its pixels.

    Parameters
    ----------
    path : path
        A GeoTIFF, COG or VRT file, or another one that GDAL knows. Its place may also be told by a world file. A
        raster that has none gets the pixels themselves as its grid, with no reference system.

    Raises
    ------
    GeoMissingError
        Where rasterio is not installed.
    OSError
        Where the file cannot be read.
    ValueError
        For a file that is no raster, holds complex numbers, or is placed by ground control points only.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", geo_module("rasterio.errors").NotGeoreferencedWarning)
        with opened(path) as dataset:
            return _described(str(path), dataset)


def raster_files(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Return the files that a raster is made of: its own first, then those of a VRT, world files, overviews.

    Raises
    ------
    OSError, ValueError
        As `read_raster`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", geo_module("rasterio.errors").NotGeoreferencedWarning)
        with opened(path) as dataset:
            others = [Path(name) for name in dataset.files]
    own = Path(path)
    return own, *(other for other in others if other.is_file() and not other.samefile(own))


def _described(path: str, dataset: Any) -> Raster:
    name = Path(path).name
    if dataset.count == 0:
        raise ValueError(f"{name} holds no band of its own, only further datasets; open one of them")
    unusable = sorted({dtype for dtype in dataset.dtypes if dtype.startswith("complex")})
    if unusable:
        raise ValueError(f"{name} holds numbers of the type {unusable[0]}; take their absolute value first")
    if not dataset.crs and dataset.gcps[0]:
        raise ValueError(
            f"{name} is placed by ground control points, which is no regular grid; `gdalwarp` makes it one"
        )
    crs = dataset.crs.to_wkt(version="WKT2_2019") if dataset.crs else ""
    grid = GeoGrid(dataset.shape, tuple(dataset.transform)[:6], crs)
    rows = zip(dataset.indexes, dataset.dtypes, dataset.descriptions, dataset.colorinterp, strict=True)
    bands = tuple(Band(number, dtype, text or "", colour.name) for number, dtype, text, colour in rows)
    sizes = _overview_sizes(path, dataset)
    return Raster(path, grid, bands, _levels(grid.size, sizes), tuple(dataset.block_shapes[0]))


def _overview_sizes(path: str, dataset: Any) -> list[tuple[int, int]]:
    sizes = []
    for number in range(len(dataset.overviews(1))):
        with opened(path, OVERVIEW_LEVEL=number) as overview:
            sizes.append(overview.shape)
    return sizes


def _levels(size: tuple[int, int], overviews: list[tuple[int, int]]) -> tuple[Level, ...]:
    """Return the levels of a pyramid: those of the file where it has any, then halves until it is small."""
    levels = [Level(size)]
    for number, smaller in enumerate(overviews):
        if min(smaller) >= 1 and max(smaller) < max(levels[-1].size):
            levels.append(Level(smaller, number))
    while max(levels[-1].size) > COARSEST:
        rows, cols = levels[-1].size
        levels.append(Level((max(1, (rows + 1) // 2), max(1, (cols + 1) // 2))))
    return tuple(levels)
