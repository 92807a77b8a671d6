"""Label images as GeoTIFF on the grid of their raster, and back. Needs rasterio."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.atomic import replacing
from napari_segany.formats.geo_bands import ShownBands
from napari_segany.formats.geo_extra import geo_module
from napari_segany.formats.geo_grid import GeoGrid
from napari_segany.formats.geo_nodata import labels_on_data
from napari_segany.formats.geo_raster import COARSEST, Raster, bounded_cache, opened, read_raster

CONTENT_TAG = "NAPARI_SEGANY_CONTENT"
"""Name of the tag that says that a GeoTIFF holds labels."""

_BLOCK = 256


def write_label_geotiff(
    path: str | os.PathLike[str],
    labels: Any,
    grid: GeoGrid,
    *,
    raster: Raster | None = None,
    bands: ShownBands = (1,),
) -> None:
    """Write a label image with the place of its raster, window by window, whole or not at all.

    The file is tiled, compressed without loss, has overviews where it is large, and calls 0, the background, nodata,
    so that geographic information systems show objects over what lies below.

    Parameters
    ----------
    path : path
        The file; it replaces one that is there.
    labels : array_like
        (H, W) integers or bool, also lazy ones (dask, zarr). They are gone through twice.
    grid : GeoGrid
        Where the pixels lie.
    raster : Raster, optional
        What the labels are of: pixels where any of its `bands` is nodata become background.
    bands : sequence of int or BandChoice
        Their numbers, from 1, or what was chosen: an index is undefined where its bands add up to 0.

    Raises
    ------
    GeoMissingError
        Where rasterio is not installed.
    ValueError
        For values that are no labels, or of another size than the grid or the raster.
    OSError
        Where the file cannot be written.
    """
    size = tuple(int(side) for side in labels.shape)
    if size != grid.size or (raster is not None and raster.size != size):
        raise ValueError(f"the labels have the shape {size} and the raster {grid.size}; they must be the same")
    dtype = _label_type(labels, raster, bands)
    profile = {
        "driver": "GTiff", "height": size[0], "width": size[1], "count": 1, "dtype": dtype, "nodata": 0,
        "transform": geo_module("rasterio").Affine(*grid.transform), "compress": "deflate", "predictor": 2,
        "tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK, "bigtiff": "if_safer",
    }  # fmt: skip
    if grid.crs:
        profile["crs"] = geo_module("rasterio.crs").CRS.from_user_input(grid.crs)
    windows = geo_module("rasterio.windows")
    rasterio = geo_module("rasterio")
    with replacing(path) as temporary, bounded_cache(), rasterio.open(temporary, "w", **profile) as file:
        file.update_tags(**{CONTENT_TAG: "labels"})
        for (row_min, col_min, row_max, col_max), window in labels_on_data(labels, raster, bands):
            place = windows.Window(col_min, row_min, col_max - col_min, row_max - row_min)
            file.write(window.astype(dtype), 1, window=place)
        factors = [2**power for power in range(1, 20) if max(size) // 2 ** (power - 1) > COARSEST]
        if factors:
            file.build_overviews(factors, geo_module("rasterio.enums").Resampling.nearest)


def holds_labels(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file says that it holds labels, as `write_label_geotiff` writes it.

    Raises
    ------
    OSError, ValueError
        Where the file cannot be read.
    """
    with opened(path) as file:
        return bool(file.tags().get(CONTENT_TAG) == "labels")


def read_label_geotiff(path: str | os.PathLike[str]) -> tuple[NDArray[np.integer[Any]], GeoGrid]:
    """Read a label image and its place.

    Returns
    -------
    labels : numpy.ndarray
        (H, W), in the file's own type of integer.
    grid : GeoGrid
        Where the pixels lie.

    Raises
    ------
    OSError
        Where the file cannot be read.
    ValueError
        For a file that is no raster, or whose pixels are no integers.
    """
    grid = read_raster(path).grid
    with opened(path) as file:
        labels: NDArray[np.integer[Any]] = file.read(1)
    if labels.dtype.kind not in "ui":
        raise ValueError(f"{os.fspath(path)} holds no labels: its pixels are {labels.dtype}, not integers")
    return labels, grid


def _label_type(labels: Any, raster: Raster | None, bands: ShownBands) -> str:
    if np.dtype(labels.dtype).kind not in "bui":
        raise ValueError(f"labels are integers or bool; these are {labels.dtype}")
    lowest = highest = 0
    for _, window in labels_on_data(labels, raster, bands):
        lowest, highest = min(lowest, int(window.min(initial=0))), max(highest, int(window.max(initial=0)))
    if lowest < 0 or highest >= 2**32:
        raise ValueError(f"the labels go from {lowest} to {highest}; a GeoTIFF holds those from 0 to {2**32 - 1}")
    return "uint16" if highest < 2**16 else "uint32"
