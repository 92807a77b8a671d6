"""The area and perimeter of polygons on the map, in metres. Needs pyproj and shapely."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.geo_crs import (
    LONGEST_EDGE,
    crs_name,
    in_a_python_thread,
    is_on_ellipsoid,
    metres_per_unit,
    parsed_crs,
    reprojection,
)
from napari_segany.formats.geo_extra import geo_module

Measure = Literal["geodesic", "projected"]
"""On the ellipsoid, which is what is on the ground; or in the plane of the map."""


@in_a_python_thread
def check_measure(crs: str, measure: Measure) -> None:
    """Refuse a measure that a reference system does not allow.

    Raises
    ------
    ValueError
        For another measure, "projected" in degrees, or "geodesic" in a system that is on no ellipsoid.
    """
    if measure not in ("geodesic", "projected"):
        raise ValueError(f"the measure is {measure!r}; choose 'geodesic' or 'projected'")
    if measure == "projected" and metres_per_unit(crs) is None:
        raise ValueError(f"{crs_name(crs)} counts in degrees, which have no area; choose the measure 'geodesic'")
    if measure == "geodesic" and not is_on_ellipsoid(crs):
        raise ValueError(f"{crs_name(crs)} is on no ellipsoid; choose the measure 'projected'")


def usual_measure(crs: str) -> Measure:
    """Return what is measured where nobody chose: on the ellipsoid, or in the plane of a system that is on none."""
    return "geodesic" if is_on_ellipsoid(crs) else "projected"


@in_a_python_thread
def measure_polygons(
    polygons: Sequence[Any] | NDArray[Any], crs: str, measure: Measure = "geodesic", *, resolution: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure polygons.

    Geodesic areas are those of Karney (2013, doi:10.1007/s00190-012-0578-z) on the ellipsoid of the reference system.
    Projected ones are off by the square of the map's scale: little in UTM, fourfold in Web Mercator at 60 degrees.

    Parameters
    ----------
    polygons : sequence of shapely.MultiPolygon
        (x, y) on the map; outlines run the other way around than holes.
    crs : str
        The reference system of the map.
    measure : str
        "geodesic" or "projected".
    resolution : float
        The size of a pixel, in units of the map: edges longer than a few are cut before they are bent.

    Returns
    -------
    area : numpy.ndarray
        (N,) float64, in m2.
    perimeter : numpy.ndarray
        (N,) float64, in m; holes have one too.

    Raises
    ------
    ValueError
        For another measure, "projected" in degrees, or a system that is on no ellipsoid.
    """
    check_measure(crs, measure)
    shapely = geo_module("shapely")
    geometries = np.array(polygons, object)
    unit = metres_per_unit(crs)
    if measure == "projected" and unit is not None:
        return shapely.area(geometries) * unit**2, shapely.length(geometries) * unit
    own = parsed_crs(crs)
    geod = own.get_geod()
    degrees = math.degrees(own.geodetic_crs.axis_info[0].unit_conversion_factor)  # some systems count in gons
    reproject = reprojection(crs, own.geodetic_crs.to_wkt())
    cut = shapely.segmentize(geometries, LONGEST_EDGE * resolution)
    bent = shapely.transform(cut, lambda xy: reproject(xy) * degrees)
    area = [0.0 if item.is_empty else abs(geod.geometry_area_perimeter(item)[0]) for item in bent]
    # Its perimeter leaves out holes.
    perimeter = [0.0 if item.is_empty else geod.geometry_length(item.boundary) for item in bent]
    return np.array(area, np.float64), np.array(perimeter, np.float64)
