"""The preview under the mouse, without Qt: what is asked, what is shown, and when it goes."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from napari_segany.engine.prediction import LogitsPrediction
from napari_segany.widgets.choosing_row import ChoosingRow
from napari_segany.widgets.preview_layer import FRAME, LINE
from napari_segany.widgets.preview_saving import PREVIEW_KEY
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession

STACK = np.stack([np.full((32, 48), index, np.uint8) for index in range(3)])
SIDES = (4, 2, 1)


class Tiles:
    """Answers squares of low-resolution logits around the first point, of three sizes, or the box."""

    def __init__(self, squares):
        self._squares, self.name, self.previewed = squares, "tiles", []

    def encode_steps(self, image, *, contrast_limits=None):
        made = yield from self._squares.encode_steps(image, contrast_limits=contrast_limits)
        return SimpleNamespace(**vars(made), input_shape=image.shape[:2], logits_shape=(12, 12))

    def predict(self, embedding, **prompts):
        answer = self._squares.predict(embedding, **prompts)
        return replace(answer, logits=np.full((len(answer), 12, 12), 1, np.float32))

    def answer_in_logits(self, embedding, prompt, *, multimask=None):
        self.previewed.append(prompt)
        sides = SIDES if prompt.is_ambiguous else SIDES[:1]
        logits = np.full((len(sides), 12, 12), -4, np.float32)
        place = prompt.points[-1] if prompt.points is not None else prompt.box[:2]
        for rank, side in enumerate(sides):
            row, col = (int(value) // 4 for value in place)
            logits[rank, row : row + side, col : col + side] = 4
        return LogitsPrediction(logits, np.linspace(0.9, 0.7, len(sides), dtype=np.float32))


@pytest.fixture
def tiles(predictor):
    return Tiles(predictor)


@pytest.fixture
def session(viewer, tiles):
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: tiles)
    session.choose_image(viewer.add_image(STACK, contrast_limits=(0, 2), scale=(2, 0.5, 0.25)))
    session.choose_tool("points")
    return session


@pytest.fixture
def slow(viewer, tiles, by_hand):
    session = PromptSession(viewer, by_hand, lambda model, device: tiles)
    session.choose_image(viewer.add_image(STACK, contrast_limits=(0, 2)))
    session.choose_tool("points")
    by_hand.finish_all()
    return session


def move(viewer, image, position, *modifiers):
    world = image.data_to_world((1, *position))
    for callback in list(viewer.mouse_move_callbacks):
        callback(viewer, SimpleNamespace(position=world, modifiers=modifiers, type="mouse_move"))


def drawn(viewer):
    return viewer.layers["preview"].data if "preview" in viewer.layers else np.zeros(1)


def test_the_outline_lies_where_the_mask_lies_in_the_world(session, viewer):
    move(viewer, session.image, (8, 16))
    layer = viewer.layers["preview"]
    places = np.array([layer.data_to_world(place) for place in np.argwhere(layer.data)])
    inside = np.array([session.image.world_to_data(place) for place in places])
    assert layer.metadata[PREVIEW_KEY]
    np.testing.assert_allclose(inside[:, 0], 1)
    np.testing.assert_allclose(inside[:, 1:].min(axis=0), (7.5, 15.5), atol=0.6)
    np.testing.assert_allclose(inside[:, 1:].max(axis=0), (23.5, 31.5), atol=0.6)
    assert viewer.layers.selection.active is session.prompt_layers.points


def test_it_lies_over_masks_and_objects_that_came_later(session, viewer):
    move(viewer, session.image, (8, 16))
    session.add_point((8, 16))
    session.accept()
    session.add_point((20, 30))
    names = [layer.name for layer in viewer.layers]
    assert "objects" in names
    assert names.index("preview") > max(names.index(name) for name in ("objects", "mask 1", "mask 3"))
    assert viewer.layers.selection.active is session.prompt_layers.points


def test_it_comes_over_a_layer_that_the_user_added_later(session, viewer):
    move(viewer, session.image, (8, 16))
    theirs = viewer.add_labels(np.zeros((32, 48), np.uint8), name="theirs")
    viewer.layers.move(viewer.layers.index(theirs), viewer.layers.index("prompt boxes"))
    viewer.layers.selection.active = session.prompt_layers.points
    move(viewer, session.image, (20, 32))
    names = [layer.name for layer in viewer.layers]
    assert names.index("theirs") < names.index("preview") < names.index("prompt boxes")


@pytest.mark.parametrize(("policy", "rank"), [("best", 0), ("largest", 0), ("middle", 1), ("smallest", 2)])
def test_the_policy_chooses_preview_and_first_candidate(session, viewer, policy, rank):
    session.preview.policy = policy
    move(viewer, session.image, (8, 16))
    assert session.preview.shown.predicted_iou == pytest.approx(0.9 - 0.1 * rank)
    session.add_point((8, 16))
    sizes = {"best": 0, "largest": 2, "middle": 1, "smallest": 0}  # of the squares, which grow with their rank
    assert session.selected == sizes[policy]
    with pytest.raises(ValueError, match="choose one of"):
        session.preview.policy = "nicest"


def test_it_asks_what_a_click_would_ask(session, viewer, tiles):
    session.add_point((4, 4))
    move(viewer, session.image, (8, 16), "Control")
    asked = tiles.previewed[-1]
    np.testing.assert_allclose(asked.points, [(4, 4), (8, 16)])
    assert asked.labels.tolist() == [1, 0]
    session.add_point((9, 16), 0)
    assert not drawn(viewer).any(), "another answer ends the preview"
    assert len(session.prompts.points) == 2, "and it is no prompt itself"


def test_outside_with_another_tool_or_switched_off_there_is_none(session, viewer, tiles):
    move(viewer, session.image, (8, 16))
    assert drawn(viewer).any()
    move(viewer, session.image, (-3, 16))
    assert not drawn(viewer).any()
    move(viewer, session.image, (8, 16))
    viewer.mouse_over_canvas = True
    viewer.mouse_over_canvas = False
    assert not drawn(viewer).any()
    asked = len(tiles.previewed)
    session.attempt("preview.toggle")
    move(viewer, session.image, (8, 16))
    assert "off" in session.status
    session.attempt("preview.toggle")
    session.prompt_layers.points.mode = "pan_zoom"
    move(viewer, session.image, (8, 16))
    assert len(tiles.previewed) == asked


def test_the_newest_place_wins_and_one_is_in_flight(slow, viewer, by_hand, tiles):
    move(viewer, slow.image, (4, 4))
    for col in (8, 12, 16):
        move(viewer, slow.image, (4, col))
    assert len(by_hand.running) == 1
    by_hand.running[0].finish()
    assert drawn(viewer).any(), "the first is shown although a newer one waits"
    by_hand.finish_all()
    assert [prompt.points[-1].tolist() for prompt in tiles.previewed] == [[4, 4], [4, 16]]


def test_an_answer_about_another_slice_is_dropped(slow, viewer, by_hand):
    move(viewer, slow.image, (4, 4))
    viewer.dims.set_current_step(0, 2)
    by_hand.finish_all()
    assert not drawn(viewer).any()


def test_a_failure_switches_it_off_with_a_word(session, viewer, tiles):
    def fail(*_, **__):
        raise ValueError("out of ideas")

    tiles.answer_in_logits = fail
    move(viewer, session.image, (8, 16))
    assert not session.preview.enabled
    assert "out of ideas" in session.status


def test_only_what_somebody_wished_is_remembered(qtbot, session, viewer, tiles):
    remembered = []
    row = ChoosingRow(session, lambda name, value: remembered.append((name, value)))
    qtbot.addWidget(row)

    def fail(*_, **__):
        raise ValueError("out of ideas")

    tiles.answer_in_logits = fail
    move(viewer, session.image, (8, 16))
    assert not row.preview.isChecked()
    assert remembered == [], "a failure is no preference"
    row.preview.click()
    session.preview.toggle()
    assert remembered == [("preview", True), ("preview", False)]
    assert not row.preview.isChecked()


def test_it_leaves_nothing_behind(session, viewer):
    move(viewer, session.image, (8, 16))
    session.close()
    assert "preview" not in viewer.layers
    assert not viewer.mouse_move_callbacks


def test_a_removed_layer_is_made_again(session, viewer):
    move(viewer, session.image, (8, 16))
    viewer.layers.remove("preview")
    move(viewer, session.image, (8, 20))
    assert drawn(viewer).any()


def press(viewer, image, position):
    """Press the mouse; return the event, to be moved, and what goes on with it."""
    event = SimpleNamespace(position=image.data_to_world((1, *position)), modifiers=(), button=1, type="mouse_press")
    going = [callback(viewer, event) for callback in viewer.mouse_drag_callbacks]
    going = [one for one in going if one is not None]
    for one in going:
        next(one, None)  # those of napari are over
    return event, going


def test_a_frame_follows_a_box_that_is_drawn_with_or_without_previews(session, viewer):
    session.choose_tool("boxes")
    for previews in (True, False):
        session.preview.switch(previews)
        event, going = press(viewer, session.image, (4, 8))
        assert session.prompt_layers.box_tool.is_framed
        for corner in ((20, 30), (12, 40), (28, 24)):
            event.type, event.position = "mouse_move", session.image.data_to_world((1, *corner))
            for one in going:
                next(one, None)
            layer = viewer.layers["preview"]
            places = np.argwhere(layer.data == FRAME)
            ends = [session.image.world_to_data(layer.data_to_world(one)) for one in (places.min(0), places.max(0))]
            np.testing.assert_allclose(ends, [(1, 4, 8), (1, *corner)], atol=0.6)
            (_, top, left), (_, bottom, right) = places.min(axis=0) + 4, places.max(axis=0) - 3
            assert not (layer.data[:, top:bottom, left:right] == FRAME).any(), "it is a line"
            assert (layer.data == LINE).any() == previews
        event.type = "mouse_release"
        for one in going:
            assert list(one) == []
        assert not drawn(viewer).any()


def test_where_a_frame_would_look_coarse_or_is_not_seen_napari_draws(session, viewer):
    session.choose_tool("boxes")
    press(viewer, session.image, (4, 8))
    assert session.prompt_layers.box_tool.is_framed
    viewer.scene.camera.zoom *= 1000
    press(viewer, session.image, (4, 8))
    assert not session.prompt_layers.box_tool.is_framed
    viewer.scene.camera.zoom /= 1000
    viewer.layers["preview"].visible = False
    press(viewer, session.image, (4, 8))
    assert not session.prompt_layers.box_tool.is_framed
