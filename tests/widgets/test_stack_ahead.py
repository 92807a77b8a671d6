"""Slices computed ahead: nearest first, making way, never more than fit; records and lines of stacks as values."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.layers import show_plane
from napari_segany.widgets.session import PromptSession
from napari_segany.widgets.stack_line import StackLine
from napari_segany.widgets.stack_record import StackRecord
from napari_segany.widgets.stack_words import ready_text

STACK = np.stack([np.full((24, 30), index, np.uint8) for index in range(7)])
AHEAD = "Computing slices ahead"


def slices_of(predictor):
    return [int(image[0, 0]) for image in predictor.encoded]


@pytest.fixture
def ahead(slow_session, viewer, by_hand, predictor) -> PromptSession:
    """A session at slice 3 whose shown slice is ready, with one slice ahead begun."""
    image = viewer.add_image(STACK)
    slow_session.choose_image(image)
    viewer.dims.set_point(0, 3)
    by_hand.finish_all()
    assert slices_of(predictor) == [3]
    slow_session.stack.ahead.enabled = True
    return slow_session


def test_the_nearest_come_first_and_all_come(ahead, by_hand, predictor):
    by_hand.finish_all()
    assert slices_of(predictor) == [3, 4, 2, 5, 1, 6, 0]
    assert ahead.stack.marks.ready == (True,) * 7
    assert ready_text(ahead.stack.marks.ready, room=1000, failure="") == "7 of 7 slices ready"


def test_it_begins_anew_around_the_slice_that_is_shown(ahead, viewer, by_hand, predictor):
    viewer.dims.set_point(0, 0)
    by_hand.finish_all()
    assert slices_of(predictor)[:4] == [3, 0, 1, 2]


def test_it_makes_way_for_the_shown_slice_and_then_goes_on_where_it_was(ahead, viewer, by_hand, predictor):
    (task,) = by_hand.running
    task.step()
    show_plane(viewer, ahead.image, ahead.stack.choices.line.plane(6))
    by_hand.run_waiting()
    assert task.cancelled
    assert AHEAD not in [other.title for other in by_hand.running]
    by_hand.finish_all()
    assert sorted(slices_of(predictor)) == list(range(7))
    assert slices_of(predictor)[1] == 6


@pytest.mark.parametrize("steps", [0, 1])
def test_a_slice_that_was_begun_is_begun_anew_for_other_data(ahead, by_hand, predictor, steps):
    (task,) = by_hand.running
    for _ in range(steps):
        task.step()
    ahead.image.data = STACK + 100
    by_hand.finish_all()
    assert slices_of(predictor) == [3, 103, 104, 102, 105, 101, 106, 100]
    assert all(ahead.stack.marks.ready)


def test_a_click_goes_before_it(ahead, by_hand):
    (task,) = by_hand.running
    task.step()
    ahead.add_point((5, 5))
    assert task.cancelled
    assert [other.title for other in by_hand.running] == ["Predicting masks"]
    by_hand.finish_all()
    assert len(ahead.candidates) == 3
    assert all(ahead.stack.marks.ready)


def test_it_can_be_switched_off(ahead, by_hand, predictor):
    ahead.stack.ahead.enabled = False
    by_hand.finish_all()
    assert slices_of(predictor) == [3]
    assert ahead.stack.marks.ready == (False, False, False, True, False, False, False)


def test_no_more_than_fit_into_memory(viewer, by_hand, new_predictor):
    predictor = new_predictor()
    session = PromptSession(viewer, by_hand, lambda model, device: predictor, cache_bytes=5000)
    session.choose_image(viewer.add_image(STACK))
    viewer.dims.set_point(0, 3)
    by_hand.finish_all()
    session.stack.ahead.enabled = True
    by_hand.finish_all()
    assert slices_of(predictor) == [3, 4, 2, 5]
    assert "4 of 7 slices ready (memory holds 4)" in ready_text(
        session.stack.marks.ready, room=session.stack.ahead.room, failure=""
    )


def test_a_failure_ends_it_and_is_told(ahead, by_hand, predictor):
    predictor.failure = ValueError("no such file")
    by_hand.finish_all()
    assert ahead.stack.ahead.failure == "no such file"
    assert not by_hand.running


def test_closing_the_session_ends_it(ahead, by_hand):
    (task,) = by_hand.running
    ahead.close()
    assert task.cancelled


def test_a_line_knows_its_slices():
    line = StackLine.through(Plane((1, 3), (4, 2)), 2, (9, 20, 5, 30))
    assert line.length == 5
    assert line.plane(3) == Plane((1, 3), (4, 3))
    assert line.place_of(Plane((1, 3), (4, 1))) == 1
    assert line.place_of(Plane((1, 3), (5, 1))) is None
    assert line.place_of(Plane((0, 3), (4, 1))) is None
    assert line.nearest_first(3) == [3, 4, 2, 1, 0]
    with pytest.raises(ValueError, match="choose one of 0, 2"):
        StackLine.through(Plane((1, 3), (4, 2)), 1, (9, 20, 5, 30))


def test_a_record_survives_json():
    said = {
        3: {"points": [[1.0, 2.0]], "labels": [1], "box": None, "mask": None},
        6: {"labels": [0], "points": [[0, 0]]},
    }
    record = StackRecord(0, Plane((1, 2), (0,)), said, {2: 3, 3: 3, 4: 3, 5: 9, 7: 9}, parent=4, born=2, is_time=True)
    assert StackRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record
    assert record.stops == (6,)


@pytest.mark.parametrize(
    "values", [None, 3, {}, {"axis": 1, "axes": [1, 2], "fixed": [0], "prompts": {}, "origins": []}]
)
def test_anything_else_is_no_record(values):
    assert StackRecord.from_dict(values) is None
