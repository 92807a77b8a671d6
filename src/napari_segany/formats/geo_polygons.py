"""Masks as polygons of shapely, parts and holes kept, in pixels or on the map. Needs rasterio and shapely.

Polygons in pixels have their vertices (x, y) on corners: pixel (row, col) is the square from (col, row) to
(col + 1, row + 1), as everywhere in `formats`; a grid's transform takes them to the map as they are.

Objects that touch share a boundary. Simplified one by one, they would overlap here and leave slivers there; so they
are simplified together as a coverage, by the algorithm of Visvalingam and Whyatt (1993,
doi:10.1179/000870493786962263).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.geo_extra import geo_module
from napari_segany.formats.geo_grid import GeoGrid
from napari_segany.formats.rle import RunLengths


def pixel_polygon(mask: RunLengths) -> Any:
    """Return a mask as a `shapely.MultiPolygon` in pixels, exactly: 4-connected parts with their holes.

    An empty mask gives an empty polygon.
    """
    box = mask.bbox
    return window_polygon(mask.window(box), box[:2])


def window_polygon(window: NDArray[np.bool_], corner: tuple[int, int]) -> Any:
    """Return a mask as a polygon, like `pixel_polygon`, of the part of an image that it lies in.

    Parameters
    ----------
    window : numpy.ndarray
        (h, w) bool.
    corner : (int, int)
        (row, col) of its upper left pixel in the image.
    """
    shapely = geo_module("shapely")
    if not window.any():
        return shapely.MultiPolygon()
    values = np.ascontiguousarray(window).view(np.uint8)  # no copy: an object may have a hundred million pixels
    traced = geo_module("rasterio.features").shapes(values, mask=values, connectivity=4)
    parts = [geo_module("shapely.geometry").shape(part) for part, _ in traced]
    moved = shapely.transform(np.array(parts, object), lambda corners: np.add(corners, corner[::-1]))
    return shapely.MultiPolygon([part for item in shapely.make_valid(moved) for part in _polygons_in(item)])


def simplify_together(polygons: Sequence[Any], simplify: float) -> list[Any]:
    """Return polygons in pixels with fewer corners; those that touch keep one boundary, without gaps or overlaps.

    Parameters
    ----------
    polygons : sequence of shapely.MultiPolygon
        As `pixel_polygon` makes them. Of those that overlap, only the ones that do not are simplified together.
    simplify : float
        Corners are left out whose triangle with their neighbours has less than the square of this, in pixels; no part
        and no hole gets lost. 0 keeps every corner.

    Raises
    ------
    ValueError
        For a negative number.
    """
    if not simplify >= 0:
        raise ValueError(f"simplify is {simplify} pixels; give 0 or more")
    shapely = geo_module("shapely")
    results = list(polygons)
    for group in _without_overlap(results) if simplify else []:
        # A coverage needs the same vertices on both sides of a boundary: the corners of all pixels.
        corners = shapely.segmentize(np.array([polygons[number] for number in group], object), 1.0)
        coverage = shapely.transform(corners, np.rint)
        for number, polygon in zip(group, shapely.coverage_simplify(coverage, simplify), strict=True):
            results[number] = shapely.MultiPolygon(_polygons_in(polygon))
    return results


def on_map(polygons: Sequence[Any], grid: GeoGrid) -> list[Any]:
    """Return polygons in pixels as polygons on the map, outlines counter-clockwise and holes clockwise."""
    shapely = geo_module("shapely")
    array = np.array(polygons, object)
    placed = shapely.transform(array, lambda corners: grid.to_map(corners[:, ::-1] - 0.5))
    return list(shapely.orient_polygons(placed))


def _polygons_in(geometry: Any) -> list[Any]:
    parts = geo_module("shapely").get_parts(geometry)
    return [part for part in parts if part.geom_type == "Polygon"]


def _without_overlap(polygons: list[Any]) -> list[list[int]]:
    """Share polygons out to groups, the largest first; each goes to the first group that has none it overlaps."""
    shapely = geo_module("shapely")
    array = np.array(polygons, object)
    first, second = shapely.STRtree(array).query(array, predicate="intersects")
    pairs = first != second
    first, second = first[pairs], second[pairs]
    inside = shapely.relate_pattern(array[first], array[second], "T********")  # more than boundaries in common
    rivals: dict[int, set[int]] = {}
    for one, other in zip(first[inside].tolist(), second[inside].tolist(), strict=True):
        rivals.setdefault(one, set()).add(other)
    groups: list[list[int]] = []
    group_of: dict[int, int] = {}
    order: NDArray[np.intp] = np.argsort(-shapely.area(array), kind="stable")
    for number in order.tolist():
        if array[number].is_empty:
            continue
        taken = {group_of[rival] for rival in rivals.get(number, ()) if rival in group_of}
        chosen = next(group for group in range(len(groups) + 1) if group not in taken)
        if chosen == len(groups):
            groups.append([])
        groups[chosen].append(number)
        group_of[number] = chosen
    return groups
