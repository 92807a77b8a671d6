"""Masks as polygons, filled again by rasterio and judged by shapely."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

shapely = pytest.importorskip("shapely")
rasterio = pytest.importorskip("rasterio")
from rasterio import features  # noqa: E402

from napari_segany.formats.geo_grid import GeoGrid  # noqa: E402
from napari_segany.formats.geo_polygons import on_map, pixel_polygon, simplify_together  # noqa: E402
from napari_segany.formats.labels import run_lengths_by_label  # noqa: E402
from napari_segany.formats.rle import RunLengths  # noqa: E402

MASKS = hnp.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))
LABELS = hnp.arrays(np.uint8, st.tuples(st.integers(1, 10), st.integers(1, 10)), elements=st.integers(0, 4))


def drawn(text: str) -> RunLengths:
    return RunLengths.from_mask(np.array([[letter == "#" for letter in line] for line in text.split()]))


def filled(polygon, size: tuple[int, int]) -> np.ndarray:
    if polygon.is_empty:
        return np.zeros(size, bool)
    return features.rasterize([polygon], out_shape=size, transform=rasterio.Affine.identity()) > 0


@settings(deadline=None)
@given(MASKS)
def test_polygons_are_the_very_masks(mask):
    polygon = pixel_polygon(RunLengths.from_mask(mask))
    np.testing.assert_array_equal(filled(polygon, mask.shape), mask)
    assert polygon.is_valid
    assert polygon.area == mask.sum()
    assert len(polygon.geoms) == ndimage.label(mask)[1]


def test_holes_and_parts_are_kept():
    polygon = pixel_polygon(drawn("####.. #..#.. ####.# ....##"))
    assert len(polygon.geoms) == 2
    (outline, other) = sorted(polygon.geoms, key=lambda part: -part.area)
    assert [shapely.box(*ring.bounds) for ring in outline.interiors] == [shapely.box(1, 1, 3, 2)]
    assert not other.interiors


def test_a_pixel_is_the_square_around_its_centre():
    (part,) = pixel_polygon(drawn("... ..#")).geoms
    assert part.equals(shapely.box(2, 1, 3, 2))


@settings(deadline=None)
@given(LABELS, st.floats(0.3, 5))
def test_simplified_neighbours_neither_overlap_nor_leave_slivers(labels, simplify):
    polygons = [pixel_polygon(rle) for rle in run_lengths_by_label(labels + 1).values()]  # no pixel is background
    simple = simplify_together(polygons, simplify)
    assert all(polygon.is_valid and not polygon.is_empty for polygon in simple)
    assert [len(polygon.geoms) for polygon in simple] == [len(polygon.geoms) for polygon in polygons]
    for one, other in zip(simple, polygons, strict=True):
        assert sum(len(part.interiors) for part in one.geoms) == sum(len(part.interiors) for part in other.geoms)
    together = shapely.union_all(simple)
    assert together.area == pytest.approx(sum(polygon.area for polygon in simple), abs=1e-9), "no overlap"
    assert sum(len(part.interiors) for part in shapely.get_parts(together) if part.geom_type == "Polygon") == 0, (
        "no gap"
    )


def test_simplifying_straightens_a_staircase():
    rows, cols = np.indices((100, 100))
    lower = RunLengths.from_mask(rows > cols)
    upper = RunLengths.from_mask(rows <= cols)
    polygons = [pixel_polygon(lower), pixel_polygon(upper)]
    simple = simplify_together(polygons, 1.0)
    assert shapely.get_num_coordinates(polygons[0]) > 190
    assert all(shapely.get_num_coordinates(polygon) < 20 for polygon in simple)
    assert simple[0].intersection(simple[1]).area == 0
    for one, other in zip(simple, polygons, strict=True):
        assert one.symmetric_difference(other).area < 0.02 * other.area


def test_nested_masks_are_simplified_too():
    rows, cols = np.indices((80, 80))
    distance = np.hypot(rows - 40, cols - 40)
    masks = [RunLengths.from_mask(distance < radius) for radius in (35, 20, 12)] + [drawn("#")]
    polygons = [pixel_polygon(mask) for mask in masks]
    simple = simplify_together(polygons, 2.0)
    for one, other in zip(simple[:3], polygons[:3], strict=True):
        assert shapely.get_num_coordinates(one) < shapely.get_num_coordinates(other) / 3
        assert one.symmetric_difference(other).area < 0.1 * other.area


def test_an_empty_mask_stays_an_empty_polygon():
    empty = pixel_polygon(drawn("..."))
    assert empty.is_empty
    assert simplify_together([empty, pixel_polygon(drawn("##."))], 1.0)[0].is_empty


def test_zero_keeps_every_corner():
    polygons = [pixel_polygon(drawn("##. .##"))]
    assert simplify_together(polygons, 0) == polygons
    with pytest.raises(ValueError, match="give 0 or more"):
        simplify_together(polygons, -1)


def test_on_the_map_they_are_where_rasterio_fills_them(place, places):
    crs, transform = places[place]
    mask = drawn("######. #.##.## #######")
    grid = GeoGrid(mask.size, transform, crs)
    (polygon,) = on_map([pixel_polygon(mask)], grid)
    found = features.rasterize([polygon], out_shape=mask.size, transform=rasterio.Affine(*transform)) > 0
    np.testing.assert_array_equal(found, mask.decode())
    for part in polygon.geoms:
        assert part.exterior.is_ccw
        assert not any(ring.is_ccw for ring in part.interiors)


_MEASURE = """
import numpy as np
from napari_segany.formats.geo_polygons import pixel_polygon
from napari_segany.formats.rle import RunLengths

def highest():  # what resource tells begins with that of the parent
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024

def square(rows, cols, side):
    starts = (np.arange(side) + 500) * rows + 500
    edges = np.stack([starts, starts + side], axis=1).ravel()
    return RunLengths(np.diff([0, *edges, rows * cols]), (rows, cols))

pixel_polygon(square(2000, 2000, 100))
before = highest()
outline = pixel_polygon(square(30_000, 8_000, 6_000))
print(highest() - before, int(outline.area), *(int(side) for side in outline.bounds))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells the highest memory on Linux")
def test_memory_is_that_of_the_box_of_a_huge_object_and_not_of_the_image():
    told = subprocess.run([sys.executable, "-c", _MEASURE], check=True, capture_output=True, text=True, timeout=300)
    megabytes, area, *bounds = (int(number) for number in told.stdout.split())
    assert area == 6_000**2
    assert bounds == [500, 500, 6_500, 6_500]
    assert megabytes < 4 * 6_000**2 / 1e6, "a few bytes for each pixel of the box"
