from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_segany.evaluation.metrics import (
    bootstrap_means,
    calibration,
    dataset_interval,
    intersection_over_union,
    mean_interval,
    mutual_iou,
)

SMALL_MASKS = arrays(bool, (5, 6))


def test_iou_of_overlapping_squares() -> None:
    first, second = np.zeros((2, 10, 10), bool)
    first[0:4, 0:4] = True
    second[2:6, 2:6] = True
    assert intersection_over_union(first, second) == pytest.approx(4 / 28)


def test_iou_broadcasts_candidates_over_objects() -> None:
    truth = np.zeros((2, 4, 4), bool)
    truth[0, :2] = True
    truth[1, :, :1] = True
    candidates = np.stack([truth, np.ones_like(truth), np.zeros_like(truth)], axis=1)  # (2, 3, 4, 4)
    iou = intersection_over_union(candidates, truth[:, None])
    np.testing.assert_allclose(iou, [[1, 0.5, 0], [1, 0.25, 0]])


def test_two_empty_masks_are_equal() -> None:
    assert intersection_over_union(np.zeros((3, 3)), np.zeros((3, 3))) == 1


@given(SMALL_MASKS, SMALL_MASKS)
def test_iou_equals_that_of_sets_of_pixels(first: np.ndarray, second: np.ndarray) -> None:
    a, b = set(np.flatnonzero(first)), set(np.flatnonzero(second))
    expected = len(a & b) / len(a | b) if a | b else 1
    assert intersection_over_union(first, second) == pytest.approx(expected)


def test_mutual_iou_is_the_mean_over_pairs() -> None:
    whole = np.ones((4, 4), bool)
    half = whole.copy()
    half[2:] = False
    quarter = half.copy()
    quarter[:, 2:] = False
    assert mutual_iou([whole, half, quarter]) == pytest.approx((1 / 2 + 1 / 4 + 1 / 2) / 3)
    with pytest.raises(ValueError, match="two or more"):
        mutual_iou([whole])


def test_bootstrap_spreads_as_the_standard_error() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.1, 400)
    means = bootstrap_means(values, np.random.default_rng(2))
    assert means.std() == pytest.approx(values.std() / np.sqrt(400), rel=0.1)


def test_interval_of_many_normal_values_is_the_textbook_one() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.1, 400)
    interval = mean_interval(values)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.half_width == pytest.approx(1.96 * values.std() / np.sqrt(400), rel=0.1)
    assert interval.low < interval.mean < interval.high


def test_interval_leaves_out_what_was_not_measured() -> None:
    assert mean_interval([0.2, np.nan, 0.4]).mean == pytest.approx(0.3)
    nothing = mean_interval([np.nan])
    assert np.isnan([nothing.mean, nothing.low, nothing.high]).all()


def test_mean_over_datasets_weighs_each_alike_whatever_its_size() -> None:
    interval = dataset_interval([np.zeros(1000), np.ones(10)])
    assert interval.mean == 0.5
    # Without spread within the data sets, their choice alone counts: both zero, both one, or one of each.
    assert (interval.low, interval.high) == (0, 1)


def test_interval_over_datasets_holds_the_spread_of_both_stages() -> None:
    rng = np.random.default_rng(3)
    datasets = [rng.normal(mean, 0.2, 25) for mean in rng.normal(0.5, 0.1, 40)]
    means = np.array([values.mean() for values in datasets])
    within = np.mean([values.var() / 25 for values in datasets])
    expected = 1.96 * np.sqrt((means.var() + within) / 40)
    assert dataset_interval(datasets).half_width == pytest.approx(expected, rel=0.1)


def test_interval_repeats_under_its_seed_and_refuses_a_level_of_95() -> None:
    values = np.random.default_rng(0).random(30)
    assert mean_interval(values, seed=5) == mean_interval(values, seed=5)
    assert mean_interval(values, seed=5) != mean_interval(values, seed=6)
    with pytest.raises(ValueError, match="between 0 and 1"):
        mean_interval(values, level=95)


def test_calibration_by_hand() -> None:
    # Bins of 0.5: (0.2, 0.4) against (0.3, 0.1); (0.5, 0.9) against (0.5, 0.5). 0.5 belongs to the upper bin.
    result = calibration([0.2, 0.4, 0.5, 0.9], [0.3, 0.1, 0.5, 0.5], bins=2)
    np.testing.assert_array_equal(result.counts, [2, 2])
    np.testing.assert_allclose(result.predicted, [0.3, 0.7])
    np.testing.assert_allclose(result.true, [0.2, 0.5])
    assert result.error == pytest.approx((0.1 + 0.2) / 2)
    assert result.absolute_error == pytest.approx((0.1 + 0.3 + 0 + 0.4) / 4)


def test_calibration_counts_values_outside_of_0_to_1_in_the_outer_bins() -> None:
    result = calibration([-0.1, 1.0, 1.2], [0, 1, 1])
    np.testing.assert_array_equal(result.counts, [1, 0, 0, 0, 0, 0, 0, 0, 0, 2])
    assert result.error == pytest.approx((1 * 0.1 + 2 * 0.1) / 3)
    assert np.isnan(result.predicted[1:9]).all()


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=40))
def test_calibration_error_is_never_more_than_the_absolute_error(pairs: list[tuple[float, float]]) -> None:
    result = calibration([guess for guess, _ in pairs], [truth for _, truth in pairs])
    assert -1e-12 <= result.error <= result.absolute_error + 1e-12
    assert result.counts.sum() == len(pairs)


@pytest.mark.parametrize(("predicted", "true"), [([], []), ([0.5], [0.5, 0.6]), ([[0.5]], [[0.5]])])
def test_calibration_refuses_what_cannot_be_compared(predicted: list, true: list) -> None:
    with pytest.raises(ValueError, match="must be"):
        calibration(predicted, true)
