"""Napari's reader of rasters with a place on Earth: GeoTIFF, COG and VRT as multiscale images. Knows no Qt.

The layer's metadata hold a `GeoGrid` under `GRID_KEY` and a `RasterView` under `VIEW_KEY`. Pixels are read when they
are shown. A label GeoTIFF opens as a Labels layer.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tifffile

from napari_segany.engine.progress import Progress, drain, relabelled
from napari_segany.formats.geo_bands import BandChoice, choose_bands
from napari_segany.formats.geo_crs import metres_per_unit
from napari_segany.formats.geo_extra import GeoMissingError
from napari_segany.formats.geo_grid import GRID_KEY, GeoGrid
from napari_segany.formats.geo_labels import holds_labels, read_label_geotiff
from napari_segany.formats.geo_pyramid import VIEW_KEY, RasterView, lazy_levels
from napari_segany.formats.geo_raster import Raster, read_raster
from napari_segany.formats.geo_stretch import Stretch, as_it_is, measure_stretch
from napari_segany.formats.mask_files import stem_of
from napari_segany.widgets.file_readers import LayerTuple, telling

MOST_MEASURED = 64_000_000
"""Pixels of which the stretch is measured; larger rasters are measured in a coarser level of the whole."""

_PLACE_TAGS = (33550, 33922, 34264, 34735)  # pixel scale, tie points, transformation, GeoKeys of the GeoTIFF standard
_WORLD_FILES = (".tfw", ".tifw", ".tiffw", ".wld")
_LABEL_ENDINGS = (".labels.tif", ".labels.tiff")
_HEAD = 4096


def get_geo_reader(path: str | list[str]) -> Callable[[str], list[Any]] | None:
    """Return what reads a raster; None for files that have no place on Earth, and for lists to be stacked.

    Napari asks it for ``*.vrt`` and ``*.geo.tif`` only: see `geo_opening`.
    """
    if not isinstance(path, str) or path.lower().endswith(_LABEL_ENDINGS) or not has_place(Path(path)):
        return None
    return telling(read_place)


def raster_layer(
    path: str | Path,
    bands: str | int | Sequence[int] | BandChoice | None = None,
    *,
    stretch: Stretch | None = None,
) -> LayerTuple:
    """Return a raster as the data, arguments and type of a napari layer.

    Parameters
    ----------
    path : path
        A GeoTIFF, COG or VRT file.
    bands : str, int, sequence of int or BandChoice, optional
        What `choose_bands` takes ("true colour", "false colour", "ndvi", 4, (4, 3, 2)), or what
        `normalised_difference` returns.
    stretch : Stretch, optional
        The intensities that become black and white. By default images of 8 bits stay as they are, and others are
        stretched between the percentiles of the whole raster without nodata.

    Raises
    ------
    GeoMissingError
        Where a library of the extra `geo` is not installed.
    OSError
        Where the file cannot be read.
    ValueError
        For a file that is no raster, or bands that it does not have.
    """
    raster = read_raster(path)
    choice = bands if isinstance(bands, BandChoice) else choose_bands(raster, bands)
    view = RasterView(raster, choice, stretch or as_it_is(raster, choice) or _measured(raster, choice))
    levels = lazy_levels(view)
    meta: dict[str, Any] = {
        "name": f"{stem_of(Path(path))} ({choice.name})",
        "rgb": choice.is_rgb,
        "metadata": {GRID_KEY: raster.grid, VIEW_KEY: view},
        **_scale(raster.grid),
    }
    if not choice.is_rgb:
        meta["contrast_limits"] = [view.stretch.low[0], view.stretch.high[0]]
    if len(levels) == 1:
        return levels[0], meta, "image"
    return levels, {**meta, "multiscale": True}, "image"


def has_place(path: Path) -> bool:
    """Tell without the extra whether a file is a raster with a place on Earth (GeoTIFF, COG, VRT, world file)."""
    if path.suffix.lower() == ".vrt":
        return b"<VRTDataset" in _head(path)
    if any(path.with_suffix(ending).is_file() for ending in _WORLD_FILES):
        return True
    try:
        with tifffile.TiffFile(path) as file:
            return any(tag in file.pages.first.tags for tag in _PLACE_TAGS)
    except (OSError, ValueError, LookupError, struct.error):  # TiffFileError is a ValueError
        return False


def read_place(path: Path) -> list[LayerTuple]:
    """Return a raster, or the labels of a label GeoTIFF, as napari's readers do.

    Raises
    ------
    OSError
        Where the file cannot be read.
    ValueError
        For a file that is no raster, or where a library of the extra `geo` is not installed.
    """
    try:
        if not holds_labels(path):
            return [raster_layer(path)]
        labels, grid = read_label_geotiff(path)
    except GeoMissingError as error:
        raise ValueError(str(error)) from error
    return [(labels, {"name": stem_of(path), "metadata": {GRID_KEY: grid}, **_scale(grid)}, "labels")]


def _measured(raster: Raster, choice: BandChoice) -> Stretch:
    steps = measure_stretch(raster, choice, level=_level_to_measure(raster))
    return drain(relabelled(steps, lambda step: Progress(*step, "Measuring the intensities")))


def _level_to_measure(raster: Raster) -> int:
    """Return the first level that is not too large; those that the file has not are averaged from all its pixels."""
    pixels = [level.size[0] * level.size[1] for level in raster.levels]
    return next((number for number, count in enumerate(pixels) if count <= MOST_MEASURED), len(pixels) - 1)


def _scale(grid: GeoGrid) -> dict[str, Any]:
    """Return pixels in metres, for the scale bar; layers begin at (0, 0): graphics cards know no large numbers."""
    unit = metres_per_unit(grid.crs) if grid.has_place else None
    if unit is None:
        return {}
    return {"scale": [side * unit for side in grid.pixel_size], "units": ["m", "m"]}


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""
