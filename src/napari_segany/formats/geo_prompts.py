"""Prompts with a place on Earth: what is asked of a raster, in its pixels, and how it is saved as vectors.

A saved file has one feature for each point, box and polygon. Its column "object" says which of them ask for the same
object, "prompt" what they are ("point", "box" or "polygon"), and "label" whether a point is foreground (1) or
background (0). Saving needs the extra `geo`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.geo_extra import geo_module
from napari_segany.formats.geo_features import Features, column_of, own_names, write_features
from napari_segany.formats.geo_grid import GeoGrid
from napari_segany.formats.geo_polygons import on_map, pixel_polygon
from napari_segany.formats.rle import RunLengths

OBJECT, KIND, LABEL = "object", "prompt", "label"
"""Columns of a saved file."""

POINT, BOX, POLYGON = "point", "box", "polygon"
"""Values of the column "prompt"."""


@dataclass(frozen=True, eq=False)
class GeoPrompt:
    """What is asked for one object.

    Attributes
    ----------
    number : int
        The object: the number of its feature in the file, from 1, or its column "object".
    points : numpy.ndarray
        (N, 2) float64 positions (row, col), integers at pixel centres.
    labels : numpy.ndarray
        (N,) int64, 1 foreground and 0 background.
    box : tuple of float or None
        (row_min, col_min, row_max, col_max), within the raster.
    mask : RunLengths or None
        A polygon, of the raster's size.
    attributes : Mapping
        The other columns of the feature, plain values; None where it has none.
    """

    number: int
    points: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    box: tuple[float, float, float, float] | None = None
    mask: RunLengths | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LeftOut:
    """A feature, or a point of it, that is no prompt for this raster.

    Attributes
    ----------
    feature : int
        Its number in the file, from 1.
    reason : str
        Why.
    """

    feature: int
    reason: str


@dataclass(frozen=True, eq=False)
class GeoPrompts:
    """What a vector file asks of a raster.

    Attributes
    ----------
    prompts : tuple of GeoPrompt
        One for each object.
    left_out : tuple of LeftOut
        What lies outside or on nodata, and what is no prompt.
    """

    prompts: tuple[GeoPrompt, ...]
    left_out: tuple[LeftOut, ...]


def prompt_of(number: int, prompt: Mapping[str, Any]) -> GeoPrompt:
    """Return the prompt that a `MaskRecord` keeps (its points, its box, its attributes) as one that can be saved."""
    mask = prompt.get("mask")
    return GeoPrompt(
        number,
        np.asarray(prompt.get("points") or np.zeros((0, 2)), np.float64),
        np.asarray(prompt.get("labels") or [], np.int64),
        tuple(prompt["box"]) if prompt.get("box") is not None else None,
        RunLengths.from_dict(mask) if isinstance(mask, Mapping) else None,
        prompt.get("attributes") or {},
    )


def write_prompts(path: str | os.PathLike[str], prompts: Sequence[GeoPrompt], grid: GeoGrid) -> None:
    """Write prompts as a vector file, whole or not at all: .gpkg, .geojson or .shp (points or polygons only).

    Parameters
    ----------
    path : path
        The file; it replaces one that is there.
    prompts : sequence of GeoPrompt
        In pixels of the raster.
    grid : GeoGrid
        Where the pixels lie.

    Warns
    -----
    ReprojectedWarning
        Where GeoJSON changes the reference system.

    Raises
    ------
    GeoMissingError
        Where a library of the extra is not installed.
    ValueError
        For no prompts, masks of another size, a grid without a reference system, or another ending.
    OSError
        Where the file cannot be written.
    """
    rows = [row for prompt in prompts for row in _rows(prompt, grid)]
    if not rows:
        raise ValueError("there is no prompt to save; give at least one point, box or polygon")
    kinds = {row[1] for row in rows}
    kind = "Point" if kinds == {POINT} else "Unknown" if POINT in kinds else "MultiPolygon"
    columns = {
        OBJECT: np.array([prompt.number for prompt, *_ in rows], np.int64),
        KIND: np.array([row[1] for row in rows], object),
        LABEL: np.array([row[2] for row in rows], np.int64),
    }
    names = own_names(dict.fromkeys(name for prompt in prompts for name in prompt.attributes), columns, "own_")
    columns |= {column: column_of([row[0].attributes.get(name) for row in rows]) for name, column in names.items()}
    geometries = np.array([row[3] for row in rows], object)
    write_features(path, Features(geometries, columns, grid.crs), kind=kind, resolution=min(grid.pixel_size))


def _rows(prompt: GeoPrompt, grid: GeoGrid) -> Iterator[tuple[GeoPrompt, str, int, Any]]:
    """Yield (prompt, kind, label, geometry on the map) of each part of a prompt."""
    shapely = geo_module("shapely")
    for point, label in zip(grid.to_map(prompt.points), prompt.labels, strict=True):
        yield prompt, POINT, int(label), shapely.Point(point)
    if prompt.mask is not None:
        if prompt.mask.size != grid.size:
            raise ValueError(f"the mask of object {prompt.number} has the size {prompt.mask.size}, not {grid.size}")
        yield prompt, POLYGON, 1, on_map([pixel_polygon(prompt.mask)], grid)[0]
    if prompt.box is not None:
        row_min, col_min, row_max, col_max = prompt.box
        box = shapely.box(col_min + 0.5, row_min + 0.5, col_max + 0.5, row_max + 0.5)
        yield prompt, BOX, 1, on_map([shapely.MultiPolygon([box])], grid)[0]
