from __future__ import annotations

import numpy as np
import pytest

from napari_segany.engine.region import allowed_pixels

IMAGE = np.zeros((10, 20), np.uint8)


def test_without_a_region_every_pixel_is_allowed():
    assert allowed_pixels(IMAGE, None) is None
    assert allowed_pixels(IMAGE.astype(np.float32), None) is None


def test_a_box_a_polygon_and_a_mask_say_the_same():
    mask = np.zeros((10, 20), bool)
    mask[2:6, 3:9] = True
    np.testing.assert_array_equal(allowed_pixels(IMAGE, mask), mask)
    np.testing.assert_array_equal(allowed_pixels(IMAGE, (2, 3, 5, 8)), mask)
    polygon = [(1.5, 2.5), (1.5, 8.5), (5.5, 8.5), (5.5, 2.5)]
    np.testing.assert_array_equal(allowed_pixels(IMAGE, polygon), mask)


def test_pixels_without_data_are_not_allowed():
    image = np.zeros((10, 20, 3), np.float32)
    image[4:] = np.nan
    image[0, 0, 0] = np.nan  # the other channels are there
    allowed = allowed_pixels(image, (0, 0, 9, 3))
    assert allowed.sum() == 16
    assert allowed_pixels(image, None)[:4].all()


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (np.zeros((3, 3), bool), "has that of the image"),
        (np.zeros((10, 20), bool), "holds no pixel"),
        ((5, 5, 5, 9), "no area"),
        ((30, 30, 40, 40), "holds no pixel"),
        ([(1, 2), (3, 4)], "polygon"),
        ([(1, 2), (3, np.nan), (3, 3)], "finite"),
    ],
)
def test_other_regions_are_refused(region, message):
    with pytest.raises(ValueError, match=message):
        allowed_pixels(IMAGE, region)
