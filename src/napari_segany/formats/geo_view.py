"""A raster made ready to be seen: its bands chosen, its intensities measured once for all of it. Needs rasterio."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence

from napari_segany.formats.geo_bands import BandChoice, choose_bands
from napari_segany.formats.geo_pyramid import RasterView
from napari_segany.formats.geo_raster import Raster, read_raster
from napari_segany.formats.geo_stretch import Stretch, as_it_is, measure_stretch

MOST_MEASURED = 64_000_000
"""Pixels of which the stretch is measured; larger rasters are measured in a coarser level of the whole."""


def view_steps(
    path: str | os.PathLike[str],
    bands: str | int | Sequence[int] | BandChoice | None = None,
    *,
    stretch: Stretch | None = None,
) -> Generator[tuple[int, int], None, RasterView]:
    """Choose the bands of a raster and find the intensities that become black and white.

    Yields (windows measured, windows in all) and returns the view. Images of 8 bits stay as they are.

    Parameters
    ----------
    path : path
        A GeoTIFF, COG or VRT file.
    bands : str, int, sequence of int or BandChoice, optional
        What `choose_bands` takes, or what `normalised_difference` returns.
    stretch : Stretch, optional
        Given intensities; nothing is measured then.

    Raises
    ------
    GeoMissingError
        Where a library of the extra `geo` is not installed.
    OSError
        Where the file cannot be read.
    ValueError
        For a file that is no raster, bands that it does not have, or one that is all nodata.
    """
    raster = read_raster(path)
    choice = bands if isinstance(bands, BandChoice) else choose_bands(raster, bands)
    known = stretch or as_it_is(raster, choice)
    if known is None:
        known = yield from measure_stretch(raster, choice, level=_level_to_measure(raster))
    return RasterView(raster, choice, known)


def _level_to_measure(raster: Raster) -> int:
    """Return the first level that is not too large; those that the file has not are averaged from all its pixels."""
    pixels = [level.size[0] * level.size[1] for level in raster.levels]
    return next((number for number, count in enumerate(pixels) if count <= MOST_MEASURED), len(pixels) - 1)
