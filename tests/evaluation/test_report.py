from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from napari_segany.evaluation.report import (
    calibration_sentence,
    columns,
    dataset_rows,
    group_rows,
    predicted_calibration,
    to_csv,
    to_markdown,
    to_text,
)
from napari_segany.evaluation.scores import ObjectScore


def score(dataset: str, image: str, iou: float, predicted: float, mutual: float, area: int = 10) -> ObjectScore:
    values = {"iou_1": iou, "oracle_1": iou, "iou_10": 1.0, "predicted_iou": predicted, "mutual_iou": mutual}
    return ObjectScore(dataset, image, 1, area, 1, False, 0, 0, values)


SCORES = [
    score("cells", "a", 0.2, 0.5, 0.69),
    score("cells", "b", 0.4, 0.4, 0.70),
    score("cells", "b", 0.6, 0.5, 0.10, area=99),
    score("worms", "a", 1.0, 0.8, 1.00, area=99),
]


def test_means_over_objects_and_over_datasets() -> None:
    cells, worms, mean = dataset_rows(SCORES)
    assert (cells.name, cells.images, cells.objects) == ("cells", 2, 3)
    assert (mean.name, mean.images, mean.objects) == ("mean over data sets", 3, 4)
    assert [row.cells["iou_1"].mean for row in (cells, worms, mean)] == pytest.approx([0.4, 1.0, 0.7])
    assert [row.cells["predicted_error"].mean for row in (cells, worms, mean)] == pytest.approx([0.4 / 3, 0.2, 1 / 6])
    assert [row.cells["masks_differ"].mean for row in (cells, worms, mean)] == pytest.approx([2 / 3, 0, 1 / 3])


def test_one_dataset_has_no_mean_over_datasets() -> None:
    assert [row.name for row in dataset_rows(SCORES[:3])] == ["cells"]


def test_groups_are_means_over_objects_of_all_datasets() -> None:
    small, large = group_rows(SCORES, lambda one: "large" if one.area > 50 else "a small")
    assert (small.name, small.objects, large.objects) == ("a small", 2, 2)
    assert large.cells["iou_1"].mean == pytest.approx(0.8)
    assert large.cells["iou_1"].low == pytest.approx(0.6)


def test_columns_are_those_that_were_measured_in_the_order_of_points() -> None:
    assert [column.heading for column in columns(SCORES)] == [
        "1 point",
        "best of 3",
        "10 points",
        "predicted",
        "predicted off by",
        "3 masks differ",
    ]
    baseline = ObjectScore("cells", "a", 1, 10, 1, False, 0, 0, {"iou_baseline": 0.3})
    assert [column.key for column in columns([baseline])] == ["iou_baseline"]


def test_text_table_is_aligned() -> None:
    lines = to_text(dataset_rows(SCORES), columns(SCORES)).split("\n")
    assert len({len(line) for line in lines}) == 1
    assert lines[0].startswith("data set ")
    assert "0.40 ±" in lines[1]


def test_markdown_table_has_both_ends_of_the_intervals() -> None:
    lines = to_markdown(group_rows(SCORES, lambda one: one.dataset), columns(SCORES), "group").split("\n")
    assert lines[0].startswith("| group | images | objects | 1 point |")
    assert {line.count("|") for line in lines} == {10}
    assert "| 1.000 (1.000 to 1.000) |" in lines[3]


def test_csv_table_reads_back() -> None:
    rows = dataset_rows(SCORES)
    read = list(csv.DictReader(io.StringIO(to_csv(rows, columns(SCORES)))))
    assert len(read) == 3 * 6
    first = read[0]
    assert (first["dataset"], first["metric"], first["objects"]) == ("cells", "iou_1", "3")
    assert float(first["mean"]) == pytest.approx(0.4)
    assert float(first["low"]) == pytest.approx(rows[0].cells["iou_1"].low, abs=1e-6)


def test_what_was_not_measured_somewhere_is_a_dash() -> None:
    partial = [*SCORES[:1], ObjectScore("worms", "a", 1, 10, 1, False, 0, 0, {"iou_baseline": 0.3})]
    rows, shown = dataset_rows(partial), columns(partial)
    assert rows[1].name == "worms"
    assert "-" in to_text(rows, shown).split("\n")[2].split()
    assert "| - |" in to_markdown(rows, shown)
    assert np.isnan(rows[1].cells["iou_1"].mean)


def test_calibration_is_that_of_the_first_click() -> None:
    result = predicted_calibration(SCORES)
    assert result is not None
    assert result.absolute_error == pytest.approx((0.3 + 0 + 0.1 + 0.2) / 4)
    # 0.5 twice: |0.5 - mean(0.2, 0.6)|; 0.4: right; 0.8: 0.2 too low.
    assert result.error == pytest.approx((2 * 0.1 + 0 + 0.2) / 4)
    assert "0.100" in calibration_sentence(result)
    assert predicted_calibration([ObjectScore("c", "a", 1, 1, 1, False, 0, 0, {"iou_baseline": 0.3})]) is None
