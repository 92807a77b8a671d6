"""Areas and perimeters, against worked values and pyproj's own transformations."""

from __future__ import annotations

import math

import numpy as np
import pytest

shapely = pytest.importorskip("shapely")
pyproj = pytest.importorskip("pyproj")

from napari_segany.formats.geo_crs import reprojection  # noqa: E402
from napari_segany.formats.geo_measure import measure_polygons, usual_measure  # noqa: E402

US_SURVEY_FOOT = 1200 / 3937


def zone_area(south: float, north: float, degrees: float) -> float:
    """Area in m2 of a part of a zone of the ellipsoid, by the closed formula for authalic latitude (Snyder 1987)."""
    a, f = 6_378_137.0, 1 / 298.257223563
    e = math.sqrt(f * (2 - f))

    def q(latitude: float) -> float:
        s = math.sin(math.radians(latitude))
        return (1 - e**2) * (s / (1 - e**2 * s**2) - math.log((1 - e * s) / (1 + e * s)) / (2 * e))

    return a**2 / 2 * (q(north) - q(south)) * math.radians(degrees)


def test_a_cell_of_degrees_has_the_area_of_its_zone():
    cell = shapely.box(10, 48, 12, 49)
    area, _ = measure_polygons([cell], "EPSG:4326", resolution=0.001)
    assert area[0] == pytest.approx(zone_area(48, 49, 2), rel=1e-7)


def test_holes_do_not_count_for_the_area_and_do_for_the_perimeter():
    ring = shapely.box(10, 48, 10.02, 48.02).difference(shapely.box(10.005, 48.005, 10.015, 48.015))
    area, perimeter = measure_polygons([shapely.orient_polygons(ring)], "EPSG:4326", resolution=1e-4)
    assert area[0] == pytest.approx(zone_area(48, 48.02, 0.02) - zone_area(48.005, 48.015, 0.01), rel=1e-6)
    geod = pyproj.Geod(ellps="WGS84")
    sides = [geod.line_length(*shapely.get_coordinates(part).T) for part in (ring.exterior, *ring.interiors)]
    assert perimeter[0] == pytest.approx(sum(sides), rel=1e-6)


@pytest.mark.parametrize(("crs", "unit"), [("EPSG:32633", 1.0), ("EPSG:2263", US_SURVEY_FOOT)])
def test_projected_areas_are_those_of_the_plane_in_metres(crs, unit):
    square = shapely.box(500_000, 200_000, 500_040, 200_030)
    area, perimeter = measure_polygons([square], crs, "projected", resolution=1)
    assert area[0] == pytest.approx(1200 * unit**2, rel=1e-12)
    assert perimeter[0] == pytest.approx(140 * unit, rel=1e-12)


def test_geodesic_areas_undo_the_scale_of_the_map():
    # On the central meridian of UTM lengths are 0.9996 of those on the ground.
    square = shapely.box(499_950, 5_400_000, 500_050, 5_400_100)
    area, perimeter = measure_polygons([square], "EPSG:32633", resolution=1)
    assert area[0] == pytest.approx(1e4 / 0.9996**2, rel=1e-6)
    assert perimeter[0] == pytest.approx(400 / 0.9996, rel=1e-6)
    # In Web Mercator an area is stretched about fourfold at 60 degrees.
    forward = pyproj.Transformer.from_crs(4326, 3857, always_xy=True).transform
    low, high = forward(10, 60), forward(10.01, 60.01)
    area, _ = measure_polygons([shapely.box(*low, *high)], "EPSG:3857", resolution=1)
    assert area[0] == pytest.approx(zone_area(60, 60.01, 0.01), rel=1e-6)
    plane, _ = measure_polygons([shapely.box(*low, *high)], "EPSG:3857", "projected", resolution=1)
    assert plane[0] / area[0] == pytest.approx(4, rel=0.01)


def test_systems_in_gons_are_measured_in_metres():
    # NTF (Paris) counts in gons from Paris: the same cell as in degrees of its own ellipsoid.
    cell = shapely.box(0, 50, 0.1, 50.1)
    area, _ = measure_polygons([cell], "EPSG:4807", resolution=0.001)
    geod = pyproj.CRS("EPSG:4807").get_geod()
    expected, _ = geod.geometry_area_perimeter(shapely.segmentize(shapely.box(0, 45, 0.09, 45.09), 0.001))
    assert area[0] == pytest.approx(abs(expected), rel=1e-6)


def test_an_empty_polygon_measures_nothing():
    area, perimeter = measure_polygons([shapely.MultiPolygon()], "EPSG:4326", resolution=1)
    assert (area.tolist(), perimeter.tolist()) == ([0], [0])
    assert measure_polygons([], "EPSG:32633", resolution=1)[0].shape == (0,)


def test_degrees_have_no_projected_area():
    with pytest.raises(ValueError, match="choose the measure 'geodesic'"):
        measure_polygons([shapely.box(0, 0, 1, 1)], "EPSG:4326", "projected", resolution=1)
    with pytest.raises(ValueError, match="'geodesic' or 'projected'"):
        measure_polygons([shapely.box(0, 0, 1, 1)], "EPSG:4326", "planar", resolution=1)
    with pytest.raises(ValueError, match="no coordinate reference system"):
        measure_polygons(np.array([shapely.box(0, 0, 1, 1)]), "EPSG:nonsense", resolution=1)


SITE = 'LOCAL_CS["building site",UNIT["foot",0.3048]]'


def test_a_system_on_no_ellipsoid_is_measured_in_its_plane():
    assert (usual_measure(SITE), usual_measure("EPSG:32633"), usual_measure("EPSG:4326")) == (
        "projected", "geodesic", "geodesic",
    )  # fmt: skip
    area, perimeter = measure_polygons([shapely.box(0, 0, 10, 20)], SITE, "projected", resolution=1)
    assert (area[0], perimeter[0]) == pytest.approx((200 * 0.3048**2, 60 * 0.3048))
    with pytest.raises(ValueError, match="building site is on no ellipsoid; choose the measure 'projected'"):
        measure_polygons([shapely.box(0, 0, 10, 20)], SITE, resolution=1)


def test_no_way_between_two_systems_is_told():
    with pytest.raises(ValueError, match=r"no way is known from WGS 84 \(EPSG:4326\) to building site"):
        reprojection("EPSG:4326", SITE)(np.zeros((1, 2)))
