"""Prompts from vector files in any reference system, brought to the pixels of a raster. Needs the extra `geo`.

Points are points, MultiPoints several points of one object. Rectangles along the axes are boxes; other polygons are
masks, with the box around them. Files that `write_prompts` wrote say themselves what their features are.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.geo_bands import ShownBands
from napari_segany.formats.geo_crs import is_same_crs, metres_per_unit, reprojection
from napari_segany.formats.geo_extra import geo_module
from napari_segany.formats.geo_features import Features, read_features
from napari_segany.formats.geo_grid import GeoGrid
from napari_segany.formats.geo_nodata import has_data, on_data, pixels_of_box, placed
from napari_segany.formats.geo_prompts import BOX, KIND, LABEL, OBJECT, POLYGON, GeoPrompt, GeoPrompts, LeftOut
from napari_segany.formats.geo_raster import Raster
from napari_segany.formats.geo_windows import valid_at
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths

OUTSIDE = "it lies outside of the raster"
ON_NODATA = "it lies where the raster has no data"

_PIECES = 32  # that the longer side of a polygon is cut into before it is bent by a reprojection
_STRAIGHT = 1e-6  # how much of its area a rectangle may lack


Area = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class _Target:
    """What the prompts are for."""

    grid: GeoGrid
    raster: Raster | None
    bands: ShownBands


@dataclass(frozen=True, eq=False)
class _Part:
    """What one feature asks: points, a box, or a mask with the box around it; all in pixels."""

    feature: int
    points: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    label: int = 1
    box: Area | None = None
    mask: RunLengths | None = None


def read_prompts(
    path: str | os.PathLike[str],
    grid: GeoGrid,
    *,
    raster: Raster | None = None,
    bands: ShownBands = (1,),
    layer: str | None = None,
    crs: str | None = None,
) -> GeoPrompts:
    """Read prompts for a raster from a vector file.

    What lies partly outside is cut at the edge of the raster; polygons lose their pixels on nodata.

    Parameters
    ----------
    path : path
        GeoPackage, GeoJSON, Shapefile, or another vector file that GDAL knows.
    grid : GeoGrid
        The pixels of the raster.
    raster : Raster, optional
        The raster itself: nothing is asked where any of its `bands` is nodata.
    bands : sequence of int or BandChoice
        Their numbers, from 1, or what was chosen: an index is undefined where its bands add up to 0.
    layer : str, optional
        Which layer of the file, where it has several.
    crs : str, optional
        The reference system of the file, where it does not tell one: "EPSG:4326".

    Returns
    -------
    GeoPrompts
        The prompts with the attributes of their features, and what was left out and why.

    Raises
    ------
    GeoMissingError
        Where a library of the extra is not installed.
    OSError
        Where a file cannot be read.
    ValueError
        For a file that is no vector file, or a missing reference system.
    """
    features = read_features(path, layer)
    own = crs or features.crs
    if not own or not grid.crs:
        which = os.path.basename(path) if not own else "the raster"
        raise ValueError(f"{which} does not tell its coordinate reference system; give it, for example 'EPSG:4326'")
    target = _Target(grid, raster, bands)
    pixels = _in_pixels(features.geometries, own, grid)
    left_out: list[LeftOut] = []
    parts: list[_Part] = []
    for index, geometry in enumerate(pixels):
        part = _part(index, geometry, features, target)
        if isinstance(part, str):
            left_out.append(LeftOut(index + 1, part))
        else:
            parts.append(replace(part, label=_label(features, index)))
    parts, refused = _with_good_points(parts, target)
    prompts, unasked = _merged(parts, features)
    return GeoPrompts(prompts, tuple(sorted(left_out + refused + unasked, key=lambda item: item.feature)))


def _in_pixels(geometries: NDArray[Any], crs: str, grid: GeoGrid) -> NDArray[Any]:
    """Return geometries with (x, y) = (col, row) on the corners of pixels; polygons bent by the reprojection."""
    shapely = geo_module("shapely")
    moved = geometries
    if not is_same_crs(crs, grid.crs):
        bounds = np.nan_to_num(shapely.bounds(geometries)).reshape(-1, 4)
        longest = np.maximum((bounds[:, 2:] - bounds[:, :2]).max(axis=1, initial=0), 1e-12)
        is_area = shapely.get_dimensions(geometries) == 2
        moved = np.where(is_area, shapely.segmentize(geometries, longest / _PIECES), geometries)
        moved = shapely.transform(moved, reprojection(crs, grid.crs))
    return np.asarray(shapely.transform(moved, lambda xy: grid.to_pixels(xy)[:, ::-1] + 0.5))


def _part(index: int, geometry: Any, features: Features, target: _Target) -> _Part | str:
    """Return what a feature asks, or why it asks nothing."""
    shapely = geo_module("shapely")
    if geometry is None or geometry.is_empty:
        return "it has no geometry"
    if not np.isfinite(shapely.get_coordinates(geometry)).all():
        return f"it cannot be brought into the reference system of the raster{_hint(features, index)}"
    if geometry.geom_type in ("Point", "MultiPoint"):
        return _Part(index, shapely.get_coordinates(geometry)[:, ::-1] - 0.5)
    if geometry.geom_type not in ("Polygon", "MultiPolygon"):
        return f"a {geometry.geom_type} is no prompt; points and polygons are"
    box = _box(geometry, target.grid)
    if box is None:
        return OUTSIDE
    kind, original = _column(features, KIND, index), features.geometries[index]
    is_box = kind == BOX or (kind != POLYGON and (_is_rectangle(original) or _is_rectangle(geometry)))
    if is_box:
        is_there = target.raster is None or has_data(
            target.raster, target.bands, pixels_of_box(box, target.grid.size)
        )
        return _Part(index, box=box) if is_there else ON_NODATA
    mask = _rasterised(geometry, box, target.grid)
    if target.raster is not None:
        mask = on_data(MaskRecord.from_mask(mask), target.raster, target.bands).rle
    return _Part(index, box=box, mask=mask) if mask.area else ON_NODATA


def _hint(features: Features, index: int) -> str:
    """Return what may be wrong with a position that is none in the file's own reference system, or nothing."""
    x, y = geo_module("shapely").get_coordinates(features.geometries[index])[0]
    if not features.crs or metres_per_unit(features.crs) is not None or (abs(x) <= 360 and abs(y) <= 90):
        return ""
    return f" (the file says that x {x:g}, y {y:g} are longitude and latitude)"


def _box(geometry: Any, grid: GeoGrid) -> Area | None:
    """Return the box around a geometry within the raster, in positions; None where there is none."""
    col_min, row_min, col_max, row_max = geometry.bounds
    rows, cols = grid.size
    box = (max(row_min, 0.0), max(col_min, 0.0), min(row_max, float(rows)), min(col_max, float(cols)))
    if box[0] >= box[2] or box[1] >= box[3]:
        return None
    return box[0] - 0.5, box[1] - 0.5, box[2] - 0.5, box[3] - 0.5


def _is_rectangle(geometry: Any) -> bool:
    """Tell whether a polygon fills the box around it."""
    around = geometry.envelope.area
    return bool(around > 0 and abs(geometry.area - around) <= _STRAIGHT * around)


def _rasterised(geometry: Any, box: Area, grid: GeoGrid) -> RunLengths:
    """Return the pixels whose centres lie in a polygon; those that it touches where it is thinner than a pixel."""
    row_min, col_min, row_max, col_max = pixels_of_box(box, grid.size)
    size = (row_max - row_min, col_max - col_min)
    shift = geo_module("rasterio").Affine.translation(col_min, row_min)
    rasterize = geo_module("rasterio.features").rasterize
    window = rasterize([geometry], out_shape=size, transform=shift, dtype=np.uint8) > 0
    if not window.any():
        window = rasterize([geometry], out_shape=size, transform=shift, dtype=np.uint8, all_touched=True) > 0
    return placed(window, (row_min, col_min), grid.size)


def _with_good_points(parts: Sequence[_Part], target: _Target) -> tuple[list[_Part], list[LeftOut]]:
    """Return parts without the points that lie outside or on nodata, and a word on each of those."""
    points = np.concatenate([np.zeros((0, 2)), *(part.points for part in parts)])
    is_inside = target.grid.contains(points)
    is_good = is_inside.copy()
    if target.raster is not None and is_inside.any():
        is_good[is_inside] = valid_at(target.raster, target.bands, points[is_inside])
    kept: list[_Part] = []
    refused: list[LeftOut] = []
    first = 0
    for part in parts:
        own = slice(first, first + len(part.points))
        first = own.stop
        for inside, good in zip(is_inside[own], is_good[own], strict=True):
            if not good:
                refused.append(LeftOut(part.feature + 1, ON_NODATA if inside else OUTSIDE))
        if part.box is not None or is_good[own].any():
            kept.append(replace(part, points=part.points[is_good[own]]))
    return kept, refused


def _merged(parts: Sequence[_Part], features: Features) -> tuple[tuple[GeoPrompt, ...], list[LeftOut]]:
    """Return one prompt for each object, in the order of the file, and those that ask for nothing."""
    by_object: dict[int, list[_Part]] = {}
    for part in parts:
        by_object.setdefault(_object_number(features, part.feature), []).append(part)
    prompts, unasked = [], []
    for number, own in by_object.items():
        prompt = _prompt(number, own, features)
        if prompt.box is None and not prompt.labels.any():
            unasked += [LeftOut(part.feature + 1, "it has points of the background only") for part in own]
        else:
            prompts.append(prompt)
    return tuple(prompts), unasked


def _prompt(number: int, parts: Sequence[_Part], features: Features) -> GeoPrompt:
    given = [part.box for part in parts if part.box is not None and part.mask is None]
    boxes = given or [part.box for part in parts if part.box is not None]
    masks = [part.mask for part in parts if part.mask is not None]
    labels = [np.full(len(part.points), part.label, np.int64) for part in parts]
    names = [name for name in features.columns if name not in (OBJECT, KIND, LABEL)]
    return GeoPrompt(
        number,
        np.concatenate([part.points for part in parts]),
        np.concatenate(labels),
        boxes[0] if boxes else None,
        masks[0] if masks else None,
        {name: _column(features, name, parts[0].feature) for name in names},
    )


def _object_number(features: Features, index: int) -> int:
    number = _column(features, OBJECT, index)
    return number if isinstance(number, int) else index + 1


def _label(features: Features, index: int) -> int:
    """Return 0 where the column "label" says so; other numbers in it are classes, and those are asked for."""
    return 0 if _column(features, LABEL, index) == 0 else 1


def _column(features: Features, name: str, index: int) -> Any:
    """Return a plain value of a feature: None where there is none, times as text."""
    if name not in features.columns:
        return None
    value = features.columns[name][index]
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else str(value)
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and math.isnan(plain) else plain
