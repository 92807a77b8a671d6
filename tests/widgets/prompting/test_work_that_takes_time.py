"""Clicks, slices and cancels while the model is at work, with a runner that goes on when told."""

from __future__ import annotations

from tests.widgets.prompting.scene import FLAT, STACK, visible_masks


def test_clicks_made_meanwhile_are_kept_and_asked_once(slow_session, viewer, by_hand, predictor):
    slow_session.choose_image(viewer.add_image(FLAT))
    by_hand.run_waiting()
    slow_session.add_point((10, 20))
    slow_session.add_point((12, 20), label=0)
    assert "kept" in slow_session.status
    by_hand.finish_all()
    assert len(predictor.asked) == 1
    assert predictor.asked[0]["labels"] == [1, 0]


def test_a_click_before_the_newest_is_dropped_and_not_asked_if_it_has_not_begun(
    slow_session, viewer, by_hand, predictor
):
    slow_session.choose_image(viewer.add_image(FLAT))
    by_hand.finish_all()
    shown = []
    slow_session.candidates_changed.connect(lambda candidates: shown.append(len(candidates)))
    slow_session.add_point((10, 20))
    slow_session.add_point((12, 20))
    slow_session.add_point((14, 20))
    assert len(by_hand.running) == 1
    by_hand.finish_all()
    assert [len(question["points"]) for question in predictor.asked] == [3]
    assert [count for count in shown if count] == [1]


def test_an_answer_for_a_slice_that_was_left_is_dropped(slow_session, viewer, by_hand, predictor):
    image = viewer.add_image(STACK)
    slow_session.choose_image(image)
    by_hand.finish_all()
    slow_session.add_point((10, 20))
    viewer.dims.set_current_step(0, 0)
    by_hand.finish_all()
    assert slow_session.candidates == ()
    assert visible_masks(viewer) == []
    viewer.dims.set_current_step(0, STACK.shape[0] // 2 - 1)
    by_hand.finish_all()
    assert len(slow_session.candidates) == 3, "its prompts are still there and answered on coming back"


def test_scrubbing_encodes_only_where_the_slider_rests(slow_session, viewer, by_hand, predictor):
    slow_session.choose_image(viewer.add_image(STACK))
    by_hand.finish_all()
    for index in (0, 1, 4, 5):
        viewer.dims.set_current_step(0, index)
    by_hand.finish_all()
    assert [int(image.mean()) for image in predictor.encoded] == [2, 5]


def test_an_answer_of_a_dropped_object_is_dropped(slow_session, viewer, by_hand):
    slow_session.choose_image(viewer.add_image(FLAT))
    by_hand.finish_all()
    slow_session.add_point((10, 20))
    slow_session.clear_prompts()
    by_hand.finish_all()
    assert slow_session.candidates == ()


def test_cancel_and_a_later_click(slow_session, viewer, by_hand, predictor):
    slow_session.choose_image(viewer.add_image(FLAT))
    by_hand.run_waiting()
    task = by_hand.running[0]
    slow_session.cancel()
    assert task.cancelled
    assert slow_session.embedding_state.phase == "none"
    slow_session.add_point((10, 20))
    by_hand.finish_all()
    assert len(slow_session.candidates) == 3
