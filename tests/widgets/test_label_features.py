"""Scores as features and features as scores."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from napari_segany.formats.record import MaskRecord
from napari_segany.widgets.kept_masks import KeptMask
from napari_segany.widgets.label_features import category_of, described, features_of, row_finder


def mask(label: int, area: int, **scores) -> KeptMask:
    pixels = np.zeros((4, 5), bool)
    pixels.flat[:area] = True
    return KeptMask(label, MaskRecord.from_mask(pixels, **scores))


def test_row_k_is_label_k():
    table = features_of([mask(3, 4, predicted_iou=0.9), mask(1, 2)])
    assert table["index"].tolist() == [0, 1, 2, 3]
    assert list(table) == ["index", "predicted_iou", "area"], "no stability score is known, so there is no column"
    np.testing.assert_array_equal(table["predicted_iou"], [np.nan, np.nan, np.nan, 0.9])
    np.testing.assert_array_equal(table["area"], [np.nan, 2, np.nan, 4])


def test_a_label_in_several_planes_has_its_mean_score_and_all_of_its_pixels():
    masks = [mask(1, 2, predicted_iou=0.5, stability_score=0.9), mask(1, 3, predicted_iou=0.7, stability_score=0.8)]
    table = features_of(masks, {1: "cell"})
    assert table["predicted_iou"][1] == pytest.approx(0.6)
    assert table["stability_score"][1] == pytest.approx(0.85)
    assert table["area"][1] == 5
    assert table["category"].tolist() == ["", "cell"]


def test_no_masks_are_a_table_of_the_background():
    assert features_of([])["index"].tolist() == [0]


def test_rows_are_found_by_index_and_else_by_position():
    by_index = row_finder(pd.DataFrame({"index": [0, 7.0, np.nan], "predicted_iou": [0.1, 0.2, 0.3]}))
    assert by_index(7)["predicted_iou"] == 0.2
    assert by_index(1) == {}
    by_position = row_finder(pd.DataFrame({"predicted_iou": [0.1, 0.2]}))
    assert by_position(1)["predicted_iou"] == 0.2
    assert by_position(5) == {}
    assert row_finder(pd.DataFrame())(1) == {}
    assert row_finder(None)(1) == {}


def test_the_rows_scores_count_first_and_the_records_fill_the_gaps():
    record = mask(1, 2, predicted_iou=0.5, stability_score=0.6).record
    row = {"predicted_iou": 0.75, "stability_score": np.nan}
    assert described(record, row).predicted_iou == 0.75
    assert described(record, row).stability_score == 0.6
    assert described(record, row, row_first=False).predicted_iou == 0.5


@pytest.mark.parametrize("value", [None, np.nan, np.inf, "high", object(), pd.NA])
def test_what_is_no_number_is_no_score(value):
    assert described(mask(1, 2).record, {"predicted_iou": value}).predicted_iou is None


def test_points_come_from_the_objects_layers_column():
    prompts = json.dumps({"model": "light", "points": [[1, 2], [3, 0]], "labels": [1, 0], "box": None})
    assert described(mask(1, 2).record, {"prompts": prompts}).prompt == {
        "points": [[1.0, 2.0], [3.0, 0.0]],
        "labels": [1, 0],
    }


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", '{"points": [[1]], "labels": [1]}', 3, None, np.nan])
def test_other_columns_of_that_name_are_no_points(text):
    assert described(mask(1, 2).record, {"prompts": text}).prompt == {}


def test_categories_are_names():
    assert category_of({"category": "cell"}) == "cell"
    assert [category_of(row) for row in ({}, {"category": ""}, {"category": np.nan})] == [None] * 3
