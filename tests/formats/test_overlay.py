from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_segany.formats.overlay import draw_overlay, write_overlay_png
from napari_segany.formats.record import MaskRecord

SIZE = (20, 30)


def box(row_min: int, col_min: int, row_max: int, col_max: int) -> MaskRecord:
    mask = np.zeros(SIZE, bool)
    mask[row_min:row_max, col_min:col_max] = True
    return MaskRecord.from_mask(mask)


def test_nothing_is_painted_outside_of_the_masks():
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    before = image.copy()
    canvas = draw_overlay(image, [box(5, 5, 15, 15)])
    changed = (canvas != image).any(axis=-1)
    assert changed[5:15, 5:15].mean() > 0.95
    changed[5:15, 5:15] = False
    assert not changed.any()
    np.testing.assert_array_equal(image, before)


def test_the_outline_is_opaque_and_the_inside_is_mixed():
    canvas = draw_overlay(np.full(SIZE, 100, np.uint8), [box(5, 5, 15, 15)], opacity=0.5)
    colour = canvas[5, 5].astype(float)
    for row, col in ((5, 9), (14, 14), (9, 5), (9, 14)):
        np.testing.assert_array_equal(canvas[row, col], colour)
    np.testing.assert_allclose(canvas[9, 9], (100 + colour) / 2, atol=0.5)


def test_outlines_only():
    image = np.full(SIZE, 100, np.uint8)
    canvas = draw_overlay(image, [box(5, 5, 15, 15)], opacity=0)
    assert (canvas != 100).any(axis=-1).sum() == 4 * 9


def test_smaller_masks_lie_on_top_and_colours_differ():
    image = np.zeros(SIZE, np.uint8)
    small_last = draw_overlay(image, [box(0, 0, 18, 18), box(5, 5, 8, 8)])
    small_first = draw_overlay(image, [box(5, 5, 8, 8), box(0, 0, 18, 18)])
    for canvas in (small_last, small_first):
        assert (canvas[5, 5] != canvas[0, 0]).any()
        assert (canvas[6, 6] != canvas[12, 12]).any()
    colours = {tuple(draw_overlay(image, [box(0, 0, 2, 2)] * count)[0, 0]) for count in range(1, 60)}
    assert len(colours) == 59


def test_no_masks_and_empty_masks_leave_the_image():
    image = np.full(SIZE, 7, np.uint8)
    for records in ([], [MaskRecord.from_mask(np.zeros(SIZE, bool))]):
        np.testing.assert_array_equal(draw_overlay(image, records), 7)


def test_the_file_holds_what_is_drawn(tmp_path):
    image, records = np.full(SIZE, 100, np.uint8), [box(5, 5, 15, 15)]
    write_overlay_png(tmp_path / "a.png", image, records)
    with Image.open(tmp_path / "a.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), draw_overlay(image, records))


@pytest.mark.parametrize("image", [np.zeros(SIZE), np.zeros((2, *SIZE), np.uint8), np.zeros((*SIZE, 4), np.uint8)])
def test_other_images_are_refused(image):
    with pytest.raises(ValueError, match="uint8"):
        draw_overlay(image, [])


def test_masks_of_another_size_and_other_opacities_are_refused():
    with pytest.raises(ValueError, match="record 0 has the size"):
        draw_overlay(np.zeros((3, 3), np.uint8), [box(0, 0, 1, 1)])
    with pytest.raises(ValueError, match="opacity"):
        draw_overlay(np.zeros(SIZE, np.uint8), [], opacity=1.5)
