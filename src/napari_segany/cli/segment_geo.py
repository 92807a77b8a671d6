"""`segany segment` for rasters with a place on Earth: bands, prompts from vector files, and objects on the map."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segany.cli.everything_geo import tell_lost
from napari_segany.engine.progress import Progress

if TYPE_CHECKING:
    from napari_segany.engine.batch.raster_source import Bands
    from napari_segany.engine.prompts import Prompt
    from napari_segany.formats.geo_prompts import GeoPrompt
    from napari_segany.formats.geo_pyramid import RasterView
    from napari_segany.formats.record import MaskRecord

VECTORS = (".gpkg", ".geojson", ".shp")
"""Endings of files of prompts, and of outputs, that lie on the map."""


def raster_view(path: Path, bands: Bands, *, with_vectors: bool) -> RasterView | None:
    """Return a raster as it is seen; None for a file without a place on Earth.

    `with_vectors` says whether prompts or outputs are vector files, for which the place must be known.

    Raises
    ------
    GeoMissingError
        Where a library of the extra is needed and not installed.
    ValueError
        For a damaged raster, bands that it does not have, or bands of a file that is none.
    """
    from napari_segany.engine.batch.raster_source import RasterSource
    from napari_segany.formats.geo_extra import GeoMissingError, geo_module
    from napari_segany.formats.geo_recognition import is_readable_raster, lacks_reader

    if lacks_reader(path):
        if with_vectors or bands is not None or path.suffix.lower() == ".vrt":
            raise GeoMissingError("rasterio")
        tell_lost("segment", [path.name])
    if is_readable_raster(path):
        for name in ("pyogrio", "shapely") if with_vectors else ():
            geo_module(name)
        return RasterSource(path, str(path), bands).view()
    if bands is not None:
        raise ValueError(f"{path.name} is no raster with a place on Earth, whose --bands could be chosen")
    return None


def check_on_map(outputs: Sequence[Path], image: Path, view: RasterView | None) -> None:
    """Refuse before the work vector files that could not be written after it.

    Raises
    ------
    OSError
        For a file that may not be replaced.
    ValueError
        For an image without a place, or GeoJSON of one whose reference system does not say where on Earth it is.
    """
    vectors = [path for path in outputs if path.suffix.lower() in VECTORS]
    if not vectors:
        return
    if view is None:
        raise ValueError(f"{image.name} has no place on Earth that is known here, which vector files need")
    from napari_segany.formats.geo_features import check_target
    from napari_segany.formats.geo_measure import usual_measure
    from napari_segany.formats.geo_vectors import check_vectors

    crs = view.raster.grid.crs
    for path in vectors:
        check_target(path, crs)
    check_vectors([path.suffix.lower() for path in vectors], crs, usual_measure(crs))


def prompts_on(path: Path, view: RasterView | None) -> Sequence[GeoPrompt]:
    """Return the prompts of a vector file, and tell on stderr what is left out.

    Raises
    ------
    OSError, ValueError
        For a file that cannot be read, an image without a place, or a file that asks for nothing.
    """
    from napari_segany.formats.geo_prompt_reading import read_prompts

    if view is None:
        raise ValueError(f"{path.name} lies on the map, and the image has no place on Earth that is known here")
    found = read_prompts(path, view.raster.grid, raster=view.raster, bands=view.choice)
    for left in found.left_out:
        print(f"left out: feature {left.feature}: {left.reason}", file=sys.stderr)
    if not found.prompts:
        raise ValueError(f"{path.name} asks for nothing on the image")
    return found.prompts


def check_on_data(prompt: Prompt, view: RasterView | None) -> None:
    """Refuse a prompt where a raster has no data.

    Raises
    ------
    ValueError
        For a point there, or a box that holds nothing else.
    """
    from napari_segany.engine.prompts_on_data import why_without_data

    why = None if view is None else why_without_data(prompt, view)
    if why is not None:
        raise ValueError(f"{why}: nothing is asked there; move it or leave it out")


def lines_on_data(prompts: Prompt, path: Path, view: RasterView | None) -> Prompt:
    """Return the lines of a table that lie where a raster has data, and tell on stderr what is left out.

    Raises
    ------
    ValueError
        Where none does.
    """
    if view is None:
        return prompts
    from napari_segany.engine.prompts_on_data import split_by_data
    from napari_segany.formats.geo_prompt_reading import ON_NODATA

    kept, left_out = split_by_data(prompts, view)
    for index in left_out:
        print(f"left out: object {index + 1} of {path.name}: {ON_NODATA}", file=sys.stderr)
    if kept is None:
        raise ValueError(f"{path.name} asks for nothing on the image")
    return kept


def on_data(records: Sequence[MaskRecord], view: RasterView | None) -> list[MaskRecord]:
    """Return masks without their pixels where a raster has no data."""
    if view is None:
        return list(records)
    from napari_segany.formats.geo_nodata import on_data as cut

    return [cut(record, view.raster, view.choice) for record in records]


def write_on_map(path: Path, records: Sequence[MaskRecord], view: RasterView | None) -> None:
    """Write masks as features.

    Raises
    ------
    ValueError
        For an image without a place.
    """
    from napari_segany.engine.progress import drain, relabelled
    from napari_segany.formats.geo_vectors import VectorObject, write_vectors

    if view is None:
        raise ValueError(f"the output {path.name} lies on the map, and the image has no place on Earth")
    objects = [VectorObject(record, number) for number, record in enumerate(records, 1)]
    steps = write_vectors(path, objects, view.raster.grid)
    drain(relabelled(steps, lambda step: Progress(*step, "Tracing outlines")))
