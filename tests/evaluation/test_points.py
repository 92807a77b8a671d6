from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis.extra.numpy import arrays
from skimage.draw import disk

from napari_segany.evaluation.points import bounding_box, center_point, next_point, prompt_box, random_point


def deepest_by_search(mask: np.ndarray) -> float:
    """Distance to the nearest pixel that is not of the object, of the pixel where it is greatest; by brute force."""
    padded = np.pad(mask, 1)
    inside, outside = np.argwhere(padded), np.argwhere(~padded)
    return np.sqrt(((inside[:, None] - outside) ** 2).sum(axis=-1)).min(axis=1).max()


def depth_of(mask: np.ndarray, point: tuple[int, int]) -> float:
    outside = np.argwhere(~np.pad(mask, 1)) - 1
    return np.sqrt(((outside - point) ** 2).sum(axis=-1)).min()


def test_center_of_a_disk_is_its_centre() -> None:
    mask = np.zeros((60, 80), bool)
    mask[disk((25, 41), 13)] = True
    assert center_point(mask) == (25, 41)


def test_center_of_two_parts_lies_in_the_thicker_one() -> None:
    mask = np.zeros((40, 60), bool)
    mask[2:4, :] = True  # larger, but thin
    mask[20:29, 30:39] = True
    assert center_point(mask) == (24, 34)


def test_edge_of_the_image_is_boundary() -> None:
    mask = np.zeros((20, 20), bool)
    mask[0:9, 5:14] = True
    assert center_point(mask) == (4, 9)
    assert center_point(np.ones((9, 9), bool)) == (4, 4)


def test_center_of_a_single_pixel() -> None:
    mask = np.zeros((5, 5), bool)
    mask[0, 4] = True
    assert center_point(mask) == (0, 4)
    assert bounding_box(mask) == (0, 4, 0, 4)


@given(arrays(bool, (7, 9)))
def test_center_is_as_deep_as_any_pixel(mask: np.ndarray) -> None:
    assume(mask.any())
    point = center_point(mask)
    assert mask[point]
    assert depth_of(mask, point) == pytest.approx(deepest_by_search(mask))


def test_random_points_lie_on_the_object_and_reach_all_of_it() -> None:
    mask = np.zeros((6, 8), bool)
    mask[2, 3:6] = True
    rng = np.random.default_rng(0)
    assert {random_point(mask, rng) for _ in range(60)} == {(2, 3), (2, 4), (2, 5)}


def test_next_point_where_pixels_are_missing_is_foreground() -> None:
    truth = np.zeros((30, 30), bool)
    truth[5:20, 5:20] = True
    prediction = truth.copy()
    prediction[8:13, 8:13] = False
    assert next_point(truth, prediction) == ((10, 10), 1)


def test_next_point_where_pixels_are_surplus_is_background() -> None:
    truth = np.zeros((30, 30), bool)
    truth[5:10, 5:10] = True
    prediction = truth.copy()
    prediction[20:25, 20:25] = True
    assert next_point(truth, prediction) == ((22, 22), 0)


def test_next_point_corrects_the_deeper_error_and_never_joins_both() -> None:
    truth = np.zeros((20, 40), bool)
    truth[5:10, 0:20] = True  # 5 high, missing
    prediction = np.zeros_like(truth)
    prediction[5:12, 20:40] = True  # 7 high, surplus, touching
    point, label = next_point(truth, prediction)
    assert label == 0
    assert prediction[point]
    assert point[0] == 8


def test_equally_deep_errors_ask_for_the_missing_one() -> None:
    truth, prediction = np.zeros((2, 20, 20), bool)
    prediction[1:4, 1:4] = True
    truth[10:13, 10:13] = True
    assert next_point(truth, prediction) == ((11, 11), 1)


def test_a_pixel_is_not_clicked_twice() -> None:
    truth = np.zeros((9, 9), bool)
    truth[4, 4:6] = True
    nothing = np.zeros_like(truth)
    assert next_point(truth, nothing) == ((4, 4), 1)
    assert next_point(truth, nothing, {(4, 4)}) == ((4, 5), 1)
    assert next_point(truth, nothing, {(4, 4), (4, 5), (0, 0)}) is None


def test_no_next_point_where_nothing_is_wrong() -> None:
    truth = np.eye(5, dtype=bool)
    assert next_point(truth, truth) is None


@given(arrays(bool, (7, 9)), arrays(bool, (7, 9)))
def test_next_point_lies_on_an_error_and_its_label_is_the_truth(truth: np.ndarray, prediction: np.ndarray) -> None:
    found = next_point(truth, prediction)
    if found is None:
        assert (truth == prediction).all()
        return
    point, label = found
    assert truth[point] != prediction[point]
    assert truth[point] == label
    depths = [deepest_by_search(error) for error in (truth & ~prediction, prediction & ~truth) if error.any()]
    error = truth & ~prediction if label else prediction & ~truth
    assert depth_of(error, point) == pytest.approx(max(depths))


def any_point(mask: np.ndarray) -> tuple[int, int]:
    return random_point(mask, np.random.default_rng(0))


@pytest.mark.parametrize("ask", [center_point, bounding_box, any_point])
def test_an_empty_mask_has_no_points(ask) -> None:
    with pytest.raises(ValueError, match="empty"):
        ask(np.zeros((4, 4), bool))


def test_an_object_of_one_row_or_column_has_a_box_with_an_area() -> None:
    mask = np.zeros((8, 9), bool)
    mask[2:6, 0] = True
    assert prompt_box(mask) == (2, -0.5, 5, 0.5)
    mask[2:6, 1] = True
    assert prompt_box(mask) == (2, 0, 5, 1)
