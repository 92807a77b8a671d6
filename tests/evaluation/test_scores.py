from __future__ import annotations

from pathlib import Path

import pytest

from napari_segany.evaluation.scores import ObjectScore, ScoreWriter, point_counts, read_scores

SCORES = [
    ObjectScore("cells", "a, b", 7, 120, 2, True, 3, 4, {"iou_1": 0.25, "oracle_1": 0.5}),
    ObjectScore("worms", "c", 8, 1, 1, False, 0, 9, {"iou_1": 1.0, "oracle_1": 1.0}),
]


def test_scores_come_back_as_written(tmp_path: Path) -> None:
    with ScoreWriter(tmp_path / "objects.csv", ["iou_1", "oracle_1"]) as writer:
        writer.write(SCORES[:1])
        writer.write(SCORES[1:])
    assert read_scores(tmp_path / "objects.csv") == SCORES


def test_lines_are_in_the_file_before_it_is_closed(tmp_path: Path) -> None:
    with ScoreWriter(tmp_path / "objects.csv", ["iou_1", "oracle_1"]) as writer:
        writer.write(SCORES)
        assert read_scores(tmp_path / "objects.csv") == SCORES


def test_other_tables_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("dataset,image\ncells,a\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no column area, at_border"):
        read_scores(path)
    path.write_text("dataset,image,object_id,area,parts,at_border,row,col\ncells,a,one,1,1,True,0,0\n")
    with pytest.raises(ValueError, match="line 2"):
        read_scores(path)


def test_point_counts_are_numbers_in_order() -> None:
    assert point_counts(["iou_9", "iou_10", "iou_1", "iou_box", "oracle_1", "iou_9"]) == [1, 9, 10]
