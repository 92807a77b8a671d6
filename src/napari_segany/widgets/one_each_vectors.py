"""Prompts of a vector file for the raster that is worked on, each with the attributes of its feature. Knows no Qt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from napari.layers import Image

from napari_segany.formats.geo_extra import GeoMissingError
from napari_segany.formats.geo_prompt_reading import read_prompts
from napari_segany.formats.geo_prompts import GeoPrompt, GeoPrompts
from napari_segany.widgets.geo_place import place_of_image
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.one_each_inputs import EachPrompt, Kind

VECTOR_ENDINGS = (".geojson", ".gpkg", ".shp", ".fgb", ".kml")
"""Endings by which a file is known as a vector file; others that GDAL reads go through `prompts_of_vectors` too."""


def prompts_of_vectors(
    path: Path, image: Image, plane: Plane, *, layer: str | None = None, crs: str | None = None
) -> EachPrompt:
    """Return the prompts of a vector file in any reference system; what lies outside or on nodata is left out.

    Parameters
    ----------
    path : Path
        The file.
    image : Image
        A raster with a place on Earth.
    plane : Plane
        Its plane.
    layer, crs : str, optional
        Which layer of the file, and its reference system where it does not tell one.

    Raises
    ------
    ValueError
        For an image without a place, a file that is none, or where a library of the extra `geo` is not installed.
    """
    place = place_of_image(image)
    try:
        found = read_prompts(path, place.grid, raster=place.raster, bands=place.bands or (1,), layer=layer, crs=crs)
    except GeoMissingError as error:
        raise ValueError(str(error)) from error
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read: {error.strerror or error}") from error
    return each_prompt(found, path.name, plane)


def each_prompt(found: GeoPrompts, name: str, plane: Plane) -> EachPrompt:
    """Return prompts as what becomes an object each: alike ones as arrays, which are asked together."""
    left_out = tuple(f"feature {left.feature}: {left.reason}" for left in found.left_out)
    kind = _kind(found.prompts)
    attributes = tuple(prompt.attributes for prompt in found.prompts)
    if not found.prompts:
        return EachPrompt(kind, name, {}, len(left_out), attributes, left_out)
    if kind == "point":
        points = np.concatenate([prompt.points for prompt in found.prompts])
        return EachPrompt(kind, name, {plane: points}, len(left_out), attributes, left_out)
    if kind == "box":
        boxes = np.array([prompt.box for prompt in found.prompts], float)
        return EachPrompt(kind, name, {plane: boxes}, len(left_out), attributes, left_out)
    return EachPrompt(kind, name, {plane: found.prompts}, len(left_out), attributes, left_out)


def _kind(prompts: Sequence[GeoPrompt]) -> Kind:
    if all(one.box is None and one.mask is None and one.labels.tolist() == [1] for one in prompts):
        return "point"
    return "box" if all(one.mask is None and not len(one.points) for one in prompts) else "prompt"
