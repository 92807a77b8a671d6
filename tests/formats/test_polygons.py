from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco
from scipy import ndimage

from napari_segany.formats.polygons import has_holes, polygons_of, rasterise, ring_of

MASKS = hnp.arrays(np.bool_, st.tuples(st.integers(1, 17), st.integers(1, 17)))
SIZE = (30, 40)


def drawn(text: str) -> np.ndarray:
    return np.array([[letter == "#" for letter in line] for line in text.split()])


def by_pycocotools(rings: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    runs = coco.frPyObjects([ring.ravel().tolist() for ring in rings], *size)
    return coco.decode(coco.merge(runs)).astype(bool)


def test_a_pixel_is_the_square_around_its_centre():
    (ring,) = polygons_of(drawn("... ..# ..."))
    assert {tuple(vertex) for vertex in ring} == {(2, 1), (3, 1), (3, 2), (2, 2)}


def test_corners_only():
    (ring,) = polygons_of(np.ones((50, 70), bool))
    assert len(ring) == 4


def test_parts_that_touch_in_a_corner_are_two_rings():
    assert len(polygons_of(drawn("#. .#"))) == 2
    assert len(polygons_of(drawn("## .#"))) == 1


def test_nothing_has_no_ring():
    assert polygons_of(np.zeros(SIZE, bool)) == []
    assert ring_of(np.zeros(SIZE, bool)) is None


@settings(deadline=None)
@given(MASKS)
def test_rings_are_filled_to_the_very_mask(mask):
    rings = polygons_of(mask)
    np.testing.assert_array_equal(rasterise(rings, mask.shape).decode(), mask)
    assert len(rings) == ndimage.label(mask)[1]
    ring = ring_of(mask)
    assert (ring is None) == (not mask.any())
    if ring is not None:
        np.testing.assert_array_equal(rasterise([ring], mask.shape).decode(), mask)
        np.testing.assert_array_equal(by_pycocotools([ring], mask.shape), mask)
        np.testing.assert_array_equal(by_pycocotools(rings, mask.shape), mask)


@settings(deadline=None)
@given(MASKS)
def test_holes_are_what_filling_fills(mask):
    filled = ndimage.binary_fill_holes(mask, structure=np.ones((3, 3)))  # background goes on over corners
    assert has_holes(mask) == bool((filled != mask).any())


def test_a_hole_that_is_open_over_a_corner_is_none():
    assert not has_holes(drawn("### #.# ##."))
    assert has_holes(drawn("### #.# ###"))


RINGS = st.lists(
    st.lists(st.tuples(st.floats(-6, 46), st.floats(-6, 36)), min_size=3, max_size=9), min_size=1, max_size=3
)


@settings(deadline=None)
@given(RINGS)
def test_any_polygons_are_filled_as_pycocotools_does(rings):
    rings = [np.array(ring) for ring in rings]
    np.testing.assert_array_equal(rasterise(rings, SIZE).decode(), by_pycocotools(rings, SIZE))


@settings(deadline=None)
@given(RINGS)
def test_half_pixels_are_rounded_as_pycocotools_does(rings):
    rings = [np.round(2 * np.array(ring)) / 2 for ring in rings]
    np.testing.assert_array_equal(rasterise(rings, SIZE).decode(), by_pycocotools(rings, SIZE))


def test_a_simplified_ring_is_short_and_near():
    rows, cols = np.indices((200, 220))
    disc = np.hypot(rows - 100, cols - 110) < 80
    exact, simple = ring_of(disc), ring_of(disc, tolerance=1.0)
    assert len(simple) < len(exact) / 5
    filled = rasterise([simple], disc.shape).decode()
    assert (filled & disc).sum() / (filled | disc).sum() > 0.97


def test_simplifying_keeps_small_objects():
    mask = np.zeros(SIZE, bool)
    mask[3, 4] = True
    np.testing.assert_array_equal(rasterise(polygons_of(mask, tolerance=50.0), SIZE).decode(), mask)


def test_a_huge_image_costs_no_more_than_its_polygons():
    square = np.array([(10, 20), (1010, 20), (1010, 1020), (10, 1020)])
    rle = rasterise([square], (60_000, 70_000))
    assert rle.area == 10**6
    assert rle.bbox == (20, 10, 1020, 1010)


def test_no_rings_are_an_empty_mask():
    assert rasterise([], SIZE).area == 0
    assert rasterise([], SIZE).size == SIZE


@pytest.mark.parametrize(
    ("ring", "words"),
    [
        ([(0, 0), (1, 1)], "three or more"),
        ([0, 0, 1, 1, 2, 2], "three or more"),
        ([("a", "b")] * 3, "three or more"),
        ([(0, 0), (1, np.nan), (2, 2)], "finite"),
        ([(0, 0), (1, np.inf), (2, 2)], "finite"),
        ([(0, 0), (1e12, 0), (2, 2)], "far outside"),
        ([(0, 0), (30, 20)] * 200_000, "no outline"),
    ],
)
def test_damaged_polygons_are_refused(ring, words):
    with pytest.raises(ValueError, match=words):
        rasterise([ring], SIZE)


@pytest.mark.parametrize("tolerance", [-1.0, np.nan])
def test_a_tolerance_is_a_distance(tolerance):
    with pytest.raises(ValueError, match="tolerance"):
        polygons_of(np.ones(SIZE, bool), tolerance=tolerance)
