"""Napari's reader of rasters with a place on Earth: GeoTIFF, COG and VRT as multiscale images. Knows no Qt.

The layer's metadata hold a `GeoGrid` under `GRID_KEY` and a `RasterView` under `VIEW_KEY`. Pixels are read when they
are shown. A label GeoTIFF opens as a Labels layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_segany.engine.progress import Progress, Steps, drain, relabelled
from napari_segany.formats.geo_bands import BandChoice
from napari_segany.formats.geo_crs import metres_per_unit
from napari_segany.formats.geo_extra import GeoMissingError
from napari_segany.formats.geo_grid import GRID_KEY, GeoGrid
from napari_segany.formats.geo_labels import holds_labels, read_label_geotiff
from napari_segany.formats.geo_pyramid import VIEW_KEY, RasterView, lazy_levels
from napari_segany.formats.geo_recognition import has_place
from napari_segany.formats.geo_stretch import Stretch
from napari_segany.formats.geo_view import view_steps
from napari_segany.formats.mask_files import stem_of
from napari_segany.widgets.file_readers import LayerTuple, telling

_LABEL_ENDINGS = (".labels.tif", ".labels.tiff")


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
    return drain(_layer_steps(path, bands, stretch))


def _layer_steps(
    path: str | Path, bands: str | int | Sequence[int] | BandChoice | None, stretch: Stretch | None = None
) -> Steps[LayerTuple]:
    steps = view_steps(path, bands, stretch=stretch)
    return view_layer((yield from relabelled(steps, lambda step: Progress(*step, "Measuring the intensities"))))


def view_layer(view: RasterView) -> LayerTuple:
    """Return a raster that is open as the data, arguments and type of a napari layer."""
    grid, choice = view.raster.grid, view.choice
    levels = lazy_levels(view)
    meta: dict[str, Any] = {
        "name": f"{stem_of(Path(view.raster.path))} ({choice.name})",
        "rgb": choice.is_rgb,
        "metadata": {GRID_KEY: grid, VIEW_KEY: view},
        **_scale(grid),
    }
    if not choice.is_rgb:
        meta["contrast_limits"] = [view.stretch.low[0], view.stretch.high[0]]
    if len(levels) == 1:
        return levels[0], meta, "image"
    return levels, {**meta, "multiscale": True}, "image"


def read_place(path: Path) -> list[LayerTuple]:
    """Return a raster, or the labels of a label GeoTIFF, as napari's readers do; see `place_steps`."""
    return drain(place_steps(path))


def place_steps(path: Path, bands: str | int | Sequence[int] | BandChoice | None = None) -> Steps[list[LayerTuple]]:
    """Return a raster with some bands, or the labels of a label GeoTIFF, with progress while it is measured.

    Raises
    ------
    OSError
        Where the file cannot be read.
    ValueError
        For a file that is no raster, or where a library of the extra `geo` is not installed.
    """
    try:
        if not holds_labels(path):
            return [(yield from _layer_steps(path, bands))]
        labels, grid = read_label_geotiff(path)
    except GeoMissingError as error:
        raise ValueError(str(error)) from error
    return [(labels, {"name": stem_of(path), "metadata": {GRID_KEY: grid}, **_scale(grid)}, "labels")]


def _scale(grid: GeoGrid) -> dict[str, Any]:
    """Return pixels in metres, for the scale bar; layers begin at (0, 0): graphics cards know no large numbers."""
    unit = metres_per_unit(grid.crs) if grid.has_place else None
    if unit is None:
        return {}
    return {"scale": [side * unit for side in grid.pixel_size], "units": ["m", "m"]}
