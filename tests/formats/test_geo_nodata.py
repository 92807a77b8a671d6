from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_segany.formats.geo_nodata import labels_on_data, on_data, placed
from napari_segany.formats.geo_raster import read_raster
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths

MASKS = hnp.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))


@settings(deadline=None)
@given(MASKS, st.tuples(*[st.integers(0, 4)] * 4))
def test_a_window_is_placed_in_its_image(window, margins):
    top, left, bottom, right = margins
    whole = np.pad(window, ((top, bottom), (left, right)))
    assert placed(window, (top, left), whole.shape) == RunLengths.from_mask(whole)


@pytest.fixture
def raster(write_raster):
    pixels = np.ones((1, 20, 30), np.int16)
    pixels[0, :8, :15] = -1
    return read_raster(write_raster(pixels, nodata=-1))


def test_masks_lose_their_pixels_on_nodata(raster):
    mask = np.zeros((20, 30), bool)
    mask[5:12, 10:20] = True
    record = MaskRecord.from_mask(mask, predicted_iou=0.5, prompt={"points": [[9, 12]], "labels": [1]})
    found = on_data(record, raster, (1,))
    expected = mask.copy()
    expected[:8, :15] = False
    np.testing.assert_array_equal(found.mask, expected)
    assert (found.area, found.bbox) == (expected.sum(), (5, 10, 12, 20))
    assert (found.predicted_iou, found.prompt) == (0.5, record.prompt)


def test_a_mask_on_data_stays_the_very_one(raster):
    mask = np.zeros((20, 30), bool)
    mask[9:12, :] = True
    record = MaskRecord.from_mask(mask)
    assert on_data(record, raster, (1,)) is record
    empty = MaskRecord.from_mask(np.zeros((20, 30), bool))
    assert on_data(empty, raster, (1,)) is empty
    with pytest.raises(ValueError, match="size"):
        on_data(MaskRecord.from_mask(np.ones((3, 3), bool)), raster, (1,))


def test_labels_on_nodata_are_background(raster):
    labels = np.arange(600).reshape(20, 30)
    found = np.zeros_like(labels)
    for (row_min, col_min, row_max, col_max), window in labels_on_data(labels, raster, (1,)):
        found[row_min:row_max, col_min:col_max] = window
    expected = labels.copy()
    expected[:8, :15] = 0
    np.testing.assert_array_equal(found, expected)
