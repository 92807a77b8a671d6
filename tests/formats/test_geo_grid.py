from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_segany.formats.geo_grid import GeoGrid

NUMBERS = st.floats(-1e3, 1e3)


def test_pixel_centres_lie_half_a_pixel_from_corners():
    grid = GeoGrid((10, 20), (2.0, 0.0, 100.0, 0.0, -3.0, 50.0))
    np.testing.assert_array_equal(grid.to_map([(0, 0), (9, 19), (-0.5, -0.5)]), [(101, 48.5), (139, 21.5), (100, 50)])
    np.testing.assert_array_equal(grid.to_pixels([(100, 50), (101, 48.5)]), [(-0.5, -0.5), (0, 0)])
    assert grid.pixel_size == (3, 2)


def test_it_agrees_with_rasterio(write_raster, place, places):
    rasterio = pytest.importorskip("rasterio")
    crs, transform = places[place]
    path = write_raster(np.zeros((1, 30, 40), np.uint8), place)
    grid = GeoGrid((30, 40), transform, crs)
    positions = np.array([(0, 0), (29, 39), (3, 17)])
    with rasterio.open(path) as file:
        x, y = rasterio.transform.xy(file.transform, *positions.T, offset="center")
        np.testing.assert_allclose(grid.to_map(positions), np.stack([x, y], axis=1), rtol=1e-12)
        for found, here in zip(grid.to_pixels(np.stack([x, y], axis=1)), zip(x, y, strict=True), strict=True):
            assert file.index(*here) == tuple(np.round(found))


@settings(deadline=None)
@given(
    st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS), st.tuples(st.floats(-5, 50), st.floats(-5, 50))
)
def test_there_and_back(transform, position):
    a, b, _, d, e, _ = transform
    if abs(a * e - b * d) < 1e-3 * (abs(a * e) + abs(b * d)) or abs(a * e - b * d) < 1e-3:
        return  # nearly a line: nothing can be told from such numbers
    grid = GeoGrid((40, 40), transform)
    np.testing.assert_allclose(grid.to_pixels(grid.to_map([position]))[0], position, atol=1e-3)


def test_a_pixel_reaches_half_a_pixel_around_its_centre():
    grid = GeoGrid((10, 20), (1, 0, 0, 0, 1, 0))
    assert grid.contains([(-0.5, -0.5), (9.5, 19.5), (-0.6, 0), (0, 19.6)]).tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("size", "transform", "words"),
    [
        ((0, 5), (1, 0, 0, 0, 1, 0), "positive"),
        ((5, 5), (1, 0, 0, 0, np.nan, 0), "six finite"),
        ((5, 5), (1, 0, 0, 0, 1), "six finite"),
        ((5, 5), (1, 2, 0, 2, 4, 0), "no area"),
    ],
)
def test_what_is_no_grid_is_refused(size, transform, words):
    with pytest.raises(ValueError, match=words):
        GeoGrid(size, transform)
