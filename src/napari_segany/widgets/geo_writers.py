"""Napari's writers of labels with a place on Earth: GeoTIFF, GeoPackage, GeoJSON and Shapefile. Knows no Qt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_segany.engine.progress import Progress, Steps, drain, relabelled
from napari_segany.formats.geo_extra import GeoMissingError
from napari_segany.formats.geo_labels import write_label_geotiff
from napari_segany.formats.geo_prompts import prompt_of, write_prompts
from napari_segany.formats.geo_vectors import VectorObject, VectorReport, VectorSettings, write_vectors
from napari_segany.widgets.file_writers import one_plane, target_of, tell_of_rest, telling
from napari_segany.widgets.geo_place import LabelsPlace, place_of
from napari_segany.widgets.labels_source import LayerTuple

GEOTIFF_ENDINGS = (".geo.tif", ".geo.tiff", ".tif", ".tiff")


@telling
def write_geotiff(path: str, layers: Sequence[LayerTuple]) -> list[str]:
    """Write one Labels layer as a GeoTIFF on the grid of its raster, as it is seen."""
    target = target_of(path, GEOTIFF_ENDINGS)
    source, index = one_plane(layers, "A label GeoTIFF")
    place = place_of(source, layers)
    labels: Any = source.data[index] if index else source.data
    try:
        write_label_geotiff(target, labels, place.grid, raster=place.raster, bands=place.bands)
    except GeoMissingError as error:
        raise ValueError(str(error)) from error
    _tell_of_nodata(place)
    tell_of_rest(layers, "label GeoTIFF")
    return [str(target)]


@telling
def write_geopackage(path: str, layers: Sequence[LayerTuple]) -> list[str]:
    """Write one Labels layer as a GeoPackage, a feature for each object."""
    return _write_vectors(path, layers, ".gpkg", "GeoPackage")


@telling
def write_geojson(path: str, layers: Sequence[LayerTuple]) -> list[str]:
    """Write one Labels layer as GeoJSON in WGS 84, a feature for each object."""
    return _write_vectors(path, layers, ".geojson", "GeoJSON")


@telling
def write_shapefile(path: str, layers: Sequence[LayerTuple]) -> list[str]:
    """Write one Labels layer as a Shapefile, a feature for each object."""
    return _write_vectors(path, layers, ".shp", "Shapefile")


@telling
def write_prompt_geopackage(path: str, layers: Sequence[LayerTuple]) -> list[str]:
    """Write what the objects of one Labels layer were asked with, points and boxes, as a GeoPackage."""
    return _write_prompts(path, layers, ".gpkg")


@telling
def write_prompt_geojson(path: str, layers: Sequence[LayerTuple]) -> list[str]:
    """Write what the objects of one Labels layer were asked with, points and boxes, as GeoJSON in WGS 84."""
    return _write_prompts(path, layers, ".geojson")


def _write_prompts(path: str, layers: Sequence[LayerTuple], ending: str) -> list[str]:
    target = target_of(path, (f".prompts{ending}", ending))
    write_prompt_file(target, layers)
    tell_of_rest(layers, "prompt")
    return [str(target)]


def write_prompt_file(target: Path, layers: Sequence[LayerTuple]) -> int:
    """Write what the objects of one Labels layer were asked with; return how many objects.

    Raises
    ------
    OSError
        Where the file cannot be written.
    ValueError
        For labels without a place or without prompts, or where the extra `geo` is not installed.
    """
    source, index = one_plane(layers, "A file of prompts")
    place = place_of(source, layers)
    prompts = [prompt_of(mask.label, mask.record.prompt) for mask in source.masks(index)]
    asked = [prompt for prompt in prompts if len(prompt.points) or prompt.box is not None]
    try:
        write_prompts(target, asked, place.grid)
    except GeoMissingError as error:
        raise ValueError(str(error)) from error
    return len(asked)


def _write_vectors(path: str, layers: Sequence[LayerTuple], ending: str, form: str) -> list[str]:
    target = target_of(path, (ending,))
    place, _ = drain(vector_steps(target, layers))
    _tell_of_nodata(place)
    tell_of_rest(layers, form)
    return [str(target)]


def vector_steps(
    target: Path, layers: Sequence[LayerTuple], settings: VectorSettings | None = None
) -> Steps[tuple[LabelsPlace, VectorReport]]:
    """Write the objects of one Labels layer as vectors; return where they lie and what became of them.

    Raises
    ------
    OSError
        Where the file cannot be written.
    ValueError
        For labels without a place, what the format cannot hold, or where the extra `geo` is not installed.
    """
    source, index = one_plane(layers, f"A {target.suffix} file")
    place = place_of(source, layers)
    objects = [VectorObject(mask.record, mask.label, mask.category or "") for mask in source.masks(index)]
    steps = write_vectors(target, objects, place.grid, settings, raster=place.raster, bands=place.bands)
    try:
        report = yield from relabelled(steps, lambda step: Progress(*step, "Tracing outlines"))
    except GeoMissingError as error:
        raise ValueError(str(error)) from error
    return place, report


def _tell_of_nodata(place: LabelsPlace) -> None:
    if not place.lost:
        return
    from napari.utils.notifications import show_warning

    show_warning(f"{place.lost} is not there any more; objects were saved without looking where it has no data.")
