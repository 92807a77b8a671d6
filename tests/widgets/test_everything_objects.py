"""Numbers, edits, durations and words of segmenting everything: values only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_segany.formats.record import MaskRecord
from napari_segany.widgets.everything_clock import Countdown, duration
from napari_segany.widgets.everything_objects import Numbering, PlaneObjects, keyed, united
from napari_segany.widgets.everything_table import FoundObject, features_table
from napari_segany.widgets.geometry import Plane

ONE, TWO = Plane((1, 2), (0,)), Plane((1, 2), (1,))


def record(row, col, iou=0.9, prompt=True):
    mask = np.zeros((8, 9), bool)
    mask[row, col] = True
    given_prompt = {"points": [[float(row), float(col)]], "labels": [1]} if prompt else None
    return MaskRecord.from_mask(mask, predicted_iou=iou, prompt=given_prompt)


@given(st.lists(st.tuples(st.sampled_from([ONE, TWO]), st.sets(st.integers(0, 8))), max_size=12))
def test_numbers_are_unique_dense_and_stay(rounds):
    numbering = Numbering()
    for plane, keys in rounds:
        before = numbering.labels.get(plane, {})
        numbering = numbering.updated(plane, [(key,) for key in sorted(keys)])
        labels = numbering.labels[plane]
        assert set(labels) == {(key,) for key in keys}
        assert all(labels[key] == before[key] for key in labels if key in before)
        used = [label for one in numbering.labels.values() for label in one.values()]
        assert len(used) == len(set(used))
        assert set(range(1, numbering.top + 1)) - set(used) == numbering.free
        assert numbering.top == max(used, default=0)


def test_new_objects_fill_the_gaps():
    numbering = Numbering().updated(ONE, ["a", "b", "c"]).updated(TWO, ["d"])
    numbering = numbering.updated(ONE, ["a", "c"])
    assert numbering.free == {2}
    assert numbering.updated(TWO, ["d", "e", "f"]).labels[TWO] == {"d": 4, "e": 2, "f": 5}
    assert numbering.find(4) == (TWO, "d")
    assert numbering.find(2) is None


def test_a_label_that_is_given_leaves_the_gap_below_it_free():
    numbering = Numbering().updated(ONE, ["a", "b", "c"]).updated(ONE, ["a"]).renamed(ONE, "m", 3)
    assert (numbering.labels[ONE], numbering.free, numbering.top) == ({"a": 1, "m": 3}, {2}, 3)


def test_edits_outlast_filtering():
    objects = PlaneObjects(found=keyed([record(1, 1), record(3, 3), record(5, 5)]))
    first, second, third = objects.shown
    merged, key = objects.without([first]).merged([second, third])
    assert list(merged.shown) == [key]
    assert merged.shown[key].area == 2
    again = merged.refiltered([record(1, 1), record(5, 5), record(7, 7)])
    assert [one.bbox[0] for one in again.shown.values()] == [7, 3]
    with pytest.raises(ValueError, match="two or more"):
        objects.merged([first])


def test_records_without_points_and_equal_answers_are_told_apart():
    assert len(keyed([record(1, 1, prompt=False), record(2, 2, prompt=False), record(2, 2, prompt=False)])) == 2
    assert len(keyed([record(1, 1), record(1, 1, iou=0.8)])) == 2


def test_united_masks_have_the_points_of_all_and_no_scores():
    union = united([record(1, 1), record(4, 6)])
    assert union.area == 2
    assert union.bbox == (1, 1, 5, 7)
    assert union.predicted_iou is None
    assert union.prompt["points"] == [[1, 1], [4, 6]]


def test_the_table_has_a_row_for_every_label():
    objects = {2: FoundObject(2, TWO, record(3, 4), parent=5), 5: FoundObject(5, ONE, record(1, 1))}
    table = features_table(objects)
    assert list(table["index"]) == [0, 1, 2, 3, 4, 5]
    assert table.loc[2, ["area", "bbox_row_min", "bbox_col_max", "parent", "slice_0"]].tolist() == [1, 3, 5, 5, 1]
    assert table.loc[[0, 1, 3, 4], "area"].isna().all()
    assert list(features_table({})["index"]) == [0]


def test_what_is_left_follows_the_pace():
    times = iter([10.0, 11.0, 12.0, 16.0])
    countdown = Countdown(lambda: next(times))
    assert countdown.seconds_left(0, 0) is None
    assert countdown.seconds_left(2, 12) is None
    assert countdown.seconds_left(2, 12) is None
    assert countdown.seconds_left(4, 12) == pytest.approx(8.0)  # two in two seconds
    assert countdown.seconds_left(8, 12) == pytest.approx(4.0)  # six in six


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "less than a second"), (12.4, "12 s"), (59.4, "59 s"), (125, "2 min"), (3900, "1 h 5 min")],
)
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words
