from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from skimage.draw import polygon2mask

from napari_segany.engine.polygon_mask import add_polygon, pixels_in_polygon

WHOLE = st.integers(-8, 100).map(float)
HALF = st.integers(-16, 200).map(lambda number: number / 2)
ANY = st.floats(-1e4, 1e4)
POLYGONS = st.one_of(
    *(st.lists(st.tuples(one, one), min_size=3, max_size=12) for one in (WHOLE, HALF, st.floats(-20, 120), ANY))
)


def polygon_mask(shape, corners):
    mask = np.zeros(shape, bool)
    add_polygon(mask, corners)
    return mask


@given(POLYGONS, st.integers(1, 90), st.integers(1, 90))
def test_the_pixels_are_those_of_scikit_image(corners, rows, columns):
    corners = np.array(corners)
    found = polygon_mask((rows, columns), corners)
    np.testing.assert_array_equal(found, polygon2mask((rows, columns), corners))


@given(POLYGONS, st.integers(1, 90), st.integers(1, 90))
def test_pixels_asked_one_by_one_are_those_of_the_mask(corners, rows, columns):
    corners = np.array(corners)
    pixels = np.stack(np.indices((rows, columns)), axis=-1).reshape(-1, 2)
    some = np.random.default_rng(rows).permutation(pixels)[: max(1, len(pixels) // 3)]
    mask = polygon_mask((rows, columns), corners)
    for asked in (pixels, some):
        found = pixels_in_polygon(asked, corners, (rows, columns))
        np.testing.assert_array_equal(found, mask[asked[:, 0], asked[:, 1]])


def test_a_view_larger_than_the_image_holds_all_of_it():
    assert polygon_mask((100, 70), np.array([[-9e6, -9e6], [-9e6, 9e6], [9e6, 9e6], [9e6, -9e6]])).all()
    assert not polygon_mask((100, 70), np.array([[200.0, 5], [200, 9], [240, 9]])).any()
