from __future__ import annotations

import numpy as np
import pytest

from napari_segany.evaluation.everything_report import RATIOS, dataset_rows, group_rows
from napari_segany.evaluation.image_scores import ImageScore
from napari_segany.evaluation.metrics import ratio_interval
from napari_segany.evaluation.report import to_csv, to_markdown, to_text


def score(dataset: str, image: str, objects: int, masks: int, found: int, recalled: int) -> ImageScore:
    return ImageScore(dataset, image, "x", objects, masks, found, found // 2, recalled, recalled)


SCORES = [
    score("cells", "a", 2, 4, 2, 10),
    score("cells", "b", 8, 6, 2, 30),
    score("worms", "a", 5, 1, 1, 10),
]


def test_numbers_of_a_data_set_are_ratios_of_sums() -> None:
    cells, worms, mean = dataset_rows(SCORES)
    assert (cells.name, cells.images, cells.objects) == ("cells", 2, 10)
    assert cells.cells["precision_50"].mean == pytest.approx(4 / 10)
    assert cells.cells["recall_50"].mean == pytest.approx(4 / 10)
    assert cells.cells["recall_75"].mean == pytest.approx(2 / 10)
    assert cells.cells["ar_100"].mean == pytest.approx(40 / 100)
    assert cells.cells["masks_per_image"].mean == pytest.approx(5)
    assert (mean.name, mean.images, mean.objects) == ("mean over data sets", 3, 15)
    assert mean.cells["precision_50"].mean == pytest.approx((0.4 + 1) / 2)
    assert worms.cells["ar_1000"].low == worms.cells["ar_1000"].high == pytest.approx(0.2)


def test_groups_are_over_images_of_all_data_sets() -> None:
    a, b = group_rows(SCORES, lambda one: one.image)
    assert (a.name, a.images, a.objects, b.images) == ("a", 2, 7, 1)
    assert a.cells["recall_50"].mean == pytest.approx(3 / 7)


def test_one_data_set_has_no_mean_over_data_sets() -> None:
    assert [row.name for row in dataset_rows(SCORES[:2])] == ["cells"]


def test_nothing_to_divide_by_is_a_dash() -> None:
    (row,) = dataset_rows([score("d", "i", 0, 0, 0, 0)])
    text = to_text([row], RATIOS)
    assert text.split("\n")[1].split() == ["d", "1", "0", *["-"] * 6, "0.00", "±0.00"]


def test_tables_have_every_column() -> None:
    rows = dataset_rows(SCORES)
    assert to_markdown(rows, RATIOS).split("\n")[0].count("|") == 3 + len(RATIOS) + 1
    assert to_csv(rows, RATIOS).count("\n") == 1 + 3 * len(RATIOS)
    assert "AR 1000" in to_text(rows, RATIOS)


def test_the_interval_is_over_images_not_objects() -> None:
    rng = np.random.default_rng(0)
    counts = np.stack([rng.integers(0, 11, 40), np.full(40, 10)], axis=1)
    interval = ratio_interval([counts])
    shares = counts[:, 0] / 10
    # with equal denominators the ratio is the mean over images, whose standard error is known
    assert interval.mean == pytest.approx(shares.mean())
    assert interval.half_width == pytest.approx(1.96 * shares.std() / np.sqrt(40), rel=0.1)


def test_intervals_depend_on_the_seed_alone_and_images_without_objects_count_nothing() -> None:
    counts = np.array([[1, 2], [0, 0], [3, 4]])
    assert ratio_interval([counts], seed=3) == ratio_interval([counts], seed=3)
    interval = ratio_interval([counts])
    assert interval.mean == pytest.approx(4 / 6)
    assert (interval.low, interval.high) == pytest.approx((0.5, 0.75))


def test_several_sets_weigh_the_same() -> None:
    small, large = np.array([[1, 1]]), np.tile([[0, 100]], (50, 1))
    interval = ratio_interval([small, large])
    assert interval.mean == 0.5
    assert (interval.low, interval.high) == (0, 1)


def test_a_level_that_is_none_is_told() -> None:
    with pytest.raises(ValueError, match="level is 1"):
        ratio_interval([np.array([[1, 1]])], level=1)
