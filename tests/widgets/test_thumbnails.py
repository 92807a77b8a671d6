from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_segany.widgets.thumbnails import paint_over, thumbnail, view_around


@given(st.integers(1, 90), st.integers(1, 90), st.data())
def test_the_view_lies_in_the_plane_and_holds_the_mask(height, width, data):
    mask = np.zeros((height, width), bool)
    row, col = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    mask[row, col] = True
    rows, cols = view_around(mask)
    assert 0 <= rows.start <= row < rows.stop <= height
    assert 0 <= cols.start <= col < cols.stop <= width


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, bool])
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_any_image_makes_a_picture(dtype, channels):
    image = (np.arange(50 * 70).reshape(50, 70) % 255).astype(dtype)
    image = np.stack([image] * channels[0], axis=-1) if channels else image
    mask = np.zeros((50, 70), bool)
    mask[10:30, 20:50] = True
    picture, outline = thumbnail(image, mask, None)
    assert picture.shape == (64, 64, 3)
    assert picture.dtype == np.uint8
    assert 0.1 < outline.mean() < 0.9


def test_limits_become_black_and_white_and_nan_does_no_harm():
    image = np.full((30, 30), 200.0)
    image[:15] = 100.0
    image[0, 0] = np.nan
    mask = np.ones((30, 30), bool)
    picture, _ = thumbnail(image, mask, (100.0, 200.0), size=30)
    assert picture[5, 5].tolist() == [0, 0, 0]
    assert picture[25, 5].tolist() == [255, 255, 255]


def test_a_constant_image_and_an_empty_mask():
    picture, outline = thumbnail(np.zeros((40, 40)), np.zeros((40, 40), bool), None)
    assert not picture.any()
    assert not outline.any()


def test_the_mask_is_painted_over_and_the_rest_is_left():
    picture = np.full((2, 2, 3), 100, np.uint8)
    mask = np.array([[True, False], [False, False]])
    painted = paint_over(picture, mask, (200, 0, 0), opacity=0.5)
    assert painted[0, 0].tolist() == [150, 50, 50]
    assert (painted[~mask] == 100).all()
