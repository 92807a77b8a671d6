from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from napari_segany.evaluation.data import Sample
from napari_segany.evaluation.groups import grouping
from napari_segany.evaluation.scores import ObjectScore

SAMPLES = [
    Sample("cells", "a", Path("a.png"), Path("a.png"), {"dish": "one"}),
    Sample("cells", "b", Path("b.png"), Path("b.png"), {}),
]
SCORE = ObjectScore("cells", "a", 7, 32 * 32, 1, False, 3, 4, {"iou_1": 0.25})


def test_groups_by_what_the_index_says() -> None:
    group = grouping("dish", SAMPLES)
    assert group(SCORE) == "one"
    assert group(replace(SCORE, image="b")) == "(unknown)"


def test_groups_by_the_objects_own_shape() -> None:
    size = grouping("size", SAMPLES)
    assert [size(replace(SCORE, area=area)) for area in (1023, 1024, 9215, 9216)] == [
        "small",
        "medium",
        "medium",
        "large",
    ]
    assert grouping("at_border", SAMPLES)(replace(SCORE, at_border=True)) == "cut by the edge"
    assert grouping("parts", SAMPLES)(replace(SCORE, parts=3)) == "several parts"


def test_groups_by_a_table_of_images(tmp_path: Path) -> None:
    table = tmp_path / "groups.csv"
    table.write_text("image,stain\na,H&E\nb,\n", encoding="utf-8")
    group = grouping("stain", SAMPLES, table)
    assert group(SCORE) == "H&E"
    assert group(replace(SCORE, image="b")) == "(unknown)"
    assert group(replace(SCORE, image="c")) == "(unknown)"


def test_groups_by_a_table_of_objects(tmp_path: Path) -> None:
    table = tmp_path / "groups.csv"
    table.write_text("dataset,image,object_id,who\ncells,a,7,me\ncells,a,8,you\nworms,a,7,her\n", encoding="utf-8")
    group = grouping("who", SAMPLES, table)
    assert [group(SCORE), group(replace(SCORE, object_id=8)), group(replace(SCORE, dataset="worms"))] == [
        "me",
        "you",
        "her",
    ]


def test_unknown_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="known are dish, size, at_border, parts"):
        grouping("stain", SAMPLES)
    table = tmp_path / "groups.csv"
    table.write_text("name,stain\na,H&E\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no column image; it has name, stain"):
        grouping("stain", SAMPLES, table)
