from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_segany.formats.geo_bands import choose_bands
from napari_segany.formats.geo_nodata import has_data, labels_on_data, on_data, pixels_of_box, placed, valid_pixels
from napari_segany.formats.geo_prompt_reading import ON_NODATA, read_prompts
from napari_segany.formats.geo_raster import read_raster
from napari_segany.formats.geo_view import view_steps
from napari_segany.formats.geo_windows import read_valid, valid_at
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


class TestIndex:
    """Where near infrared and red add up to 0 an index is undefined, and that counts as nodata everywhere."""

    @pytest.fixture(params=["int16", "float32"])
    def field(self, write_raster, request):
        """The path of red, near infrared and green, and where their index is defined."""
        rng = np.random.default_rng(0)
        pixels = rng.integers(100, 900, (3, 20, 30)).astype(request.param)
        pixels[:2, :6, :10] = 0
        pixels[1, 12:15, 4:9] = -pixels[0, 12:15, 4:9]
        pixels[0, 18, 20:] = -1
        path = write_raster(pixels, descriptions=("red", "nir", "green"), nodata=-1)
        defined = np.ones((20, 30), bool)
        defined[:6, :10] = defined[12:15, 4:9] = defined[18, 20:] = False
        return path, defined

    def test_every_question_about_valid_pixels_knows_it(self, field):
        path, defined = field
        raster = read_raster(path)
        ndvi = choose_bands(raster, "ndvi")
        np.testing.assert_array_equal(read_valid(raster, ndvi, (2, 1, 20, 28)), defined[2:, 1:28])
        np.testing.assert_array_equal(valid_pixels(raster, ndvi), defined)
        positions = np.argwhere(np.ones_like(defined)).astype(float)
        np.testing.assert_array_equal(valid_at(raster, ndvi, positions), defined.ravel())
        coarse = read_valid(raster, ndvi, (0, 0, 3, 5), factor=2)
        assert not coarse.any()
        assert coarse.shape == (3, 5)
        assert read_valid(raster, ndvi.bands, (0, 0, 6, 10)).all(), "of the bands themselves these are values"
        assert not has_data(raster, ndvi, (0, 0, 6, 10))
        assert has_data(raster, ndvi, (0, 0, 7, 10))

    def test_masks_and_labels_end_where_it_is_undefined(self, field):
        path, defined = field
        raster = read_raster(path)
        ndvi = choose_bands(raster, "ndvi")
        record = on_data(MaskRecord.from_mask(np.ones((20, 30), bool)), raster, ndvi)
        np.testing.assert_array_equal(record.mask, defined)
        for (top, left, bottom, right), window in labels_on_data(np.ones((20, 30), np.uint8), raster, ndvi):
            np.testing.assert_array_equal(window, defined[top:bottom, left:right])

    def test_the_view_knows_it(self, field):
        path, defined = field
        steps = view_steps(path, "ndvi")
        try:
            while True:
                next(steps)
        except StopIteration as end:
            view = end.value
        np.testing.assert_array_equal(view.valid((0, 0, 20, 30)), defined)
        assert view.valid_at(np.array([[0, 0], [7.4, 3.0]])).tolist() == [False, True]
        assert not view.has_data((-0.5, -0.5, 5.4, 9.4))
        assert view.has_data((-0.5, -0.5, 5.6, 9.4))

    def test_nothing_is_asked_there(self, field, tmp_path):
        shapely = pytest.importorskip("shapely")
        pytest.importorskip("pyogrio")
        from napari_segany.formats.geo_features import Features, write_features

        raster = read_raster(field[0])
        points = [shapely.Point(place) for place in raster.grid.to_map(np.array([[3.0, 3.0], [10.0, 3.0]]))]
        corners = raster.grid.to_map(np.array([[0.5, 0.5], [0.5, 4.5], [4.5, 4.5], [4.5, 0.5]]))
        array = np.array([*points, shapely.Polygon(corners)], object)
        path = tmp_path / "asked.gpkg"
        write_features(path, Features(array, {}, raster.grid.crs), kind="Unknown", resolution=0.1)
        found = read_prompts(path, raster.grid, raster=raster, bands=choose_bands(raster, "ndvi"))
        assert [prompt.number for prompt in found.prompts] == [2]
        assert [(left.feature, left.reason) for left in found.left_out] == [(1, ON_NODATA), (3, ON_NODATA)]


def test_the_pixels_that_a_box_of_positions_touches():
    assert pixels_of_box((-0.5, -0.5, 19.5, 29.5), (20, 30)) == (0, 0, 20, 30)
    assert pixels_of_box((3.0, 4.0, 3.2, 4.2), (20, 30)) == (3, 4, 4, 5)
    assert pixels_of_box((19.5, 29.5, 19.5, 29.5), (20, 30)) == (19, 29, 20, 30)
