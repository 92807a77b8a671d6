from __future__ import annotations

import numpy as np
import pytest

from napari_segany.engine.tiled_prompt import TiledPrompt
from napari_segany.engine.tiling import Window
from napari_segany.formats.window_mask import WindowMask

SHAPE = (200, 300)
HALVED = Window(1, (10, 20, 42, 52))  # rows 20 to 84, columns 40 to 104 of the image


def prompt(points=None, labels=None, box=None, mask=None) -> TiledPrompt:
    return TiledPrompt.checked(points, labels, box, mask, SHAPE)


def test_the_extent_is_around_all_that_is_said():
    mask = WindowMask(np.ones((5, 6), bool), (50, 60), SHAPE)
    assert prompt([(10, 20), (30, 5)], [1, 0]).extent == (10, 5, 30, 20)
    assert prompt([(10, 20)], [1], box=(15, 3, 18, 40)).extent == (10, 3, 18, 40)
    assert prompt([(10, 20)], [1], mask=mask).extent == (10, 20, 55, 66)


def test_a_mask_alone_brings_the_box_of_its_pixels():
    alone = prompt(mask=WindowMask(np.ones((5, 6), bool), (50, 60), SHAPE))
    assert alone.marks.box.tolist() == [49.5, 59.5, 54.5, 65.5]


def test_positions_are_told_in_pixels_of_the_window_and_moved_to_its_edge():
    asked = prompt([(20, 40), (83, 103), (0, 299)], [1, 1, 0], box=(21, 41, 60.5, 299)).arguments_in(HALVED)
    # the first pixel of the window is the mean of two of the image, whose centres lie a quarter beside its own
    np.testing.assert_allclose(asked["points"], [(-0.25, -0.25), (31.25, 31.25), (-0.5, 31.5)])
    assert asked["labels"] == [1, 1, 0]
    np.testing.assert_allclose(asked["box"], (0.25, 0.25, 20, 31.5))
    assert "mask" not in asked


def test_a_box_outside_of_the_window_stays_a_box():
    top, left, bottom, right = prompt(box=(100, 150, 120, 160)).arguments_in(HALVED)["box"]
    assert bottom > top
    assert right > left


def test_a_mask_is_cut_to_the_window_and_reduced_and_logits_take_its_place():
    full = np.zeros(SHAPE, bool)
    full[30:50, 41:60] = True
    asked = prompt([(40, 50)], [1], mask=WindowMask.cropped(full, (0, 0), SHAPE))
    expected = full[20:84, 40:104].reshape(32, 2, 32, 2).mean(axis=(1, 3)) >= 0.5
    np.testing.assert_array_equal(asked.arguments_in(HALVED)["mask"], expected)
    assert "mask" not in asked.arguments_in(Window(0, (100, 100, 132, 132))), "nothing of it is there"
    logits = np.ones((4, 4), np.float32)
    assert asked.arguments_in(HALVED, logits)["mask"] is logits


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"points": [(200, 0)], "labels": [1]}, "give"),
        ({}, "give"),
        ({"points": np.zeros((2, 1, 2)), "labels": [[1], [1]]}, "asked one prompt at a time"),
    ],
)
def test_prompts_that_do_not_fit_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        prompt(**bad)
