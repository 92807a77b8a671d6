"""The mask under the mouse on a plane that is asked in windows: shown where a window is ready, never encoded for."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_segany.engine.prediction import LogitsPrediction
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession

SIDE, WINDOW = 1100, 128
OBJECT = slice(500, 520), slice(504, 516)
INSIDE, AWAY = (510, 510), (900, 900)

pytestmark = pytest.mark.usefixtures("_small_ones_count_as_large")


@pytest.fixture
def predictor(tiles):
    class InLogits(tiles.ComponentPredictor):
        def encode_steps(self, image, *, contrast_limits=None):
            made = yield from super().encode_steps(image, contrast_limits=contrast_limits)
            made.input_shape, made.logits_shape = image.shape[:2], (WINDOW // 4, WINDOW // 4)
            return made

        def predict(self, embedding, **prompts):
            found = super().predict(embedding, **prompts)
            found.logits.resize((1, WINDOW // 4, WINDOW // 4))
            return found

        def answer_in_logits(self, embedding, prompt, *, multimask=None):
            points = None if prompt.points is None else prompt.points.tolist()
            found = super().predict(embedding, points=points, box=prompt.box, mask=prompt.mask)
            logits = np.where(found.masks[:, 2::4, 2::4], 4, -4).astype(np.float32)
            return LogitsPrediction(logits, found.predicted_iou)

    return InLogits(side=WINDOW)


@pytest.fixture
def session(viewer, predictor):
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[OBJECT] = 200
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: predictor)
    session.choose_image(viewer.add_image(pixels, contrast_limits=(0, 255), scale=(0.5, 2)))
    viewer.scene.camera.zoom = 4
    viewer.scene.camera.center = session.image.data_to_world(INSIDE)
    session.choose_tool("points")
    return session


def move(session, position):
    world = session.image.data_to_world(position)
    for callback in list(session.viewer.mouse_move_callbacks):
        callback(session.viewer, SimpleNamespace(position=world, modifiers=(), type="mouse_move"))


def outlined(session):
    """What the outline encloses, (first row, last row, first column, last column) in pixels of the image."""
    if "preview" not in session.viewer.layers:
        return None
    layer = session.viewer.layers["preview"]
    places = np.argwhere(layer.data)
    if not len(places):
        return None
    inside = np.array([session.image.world_to_data(layer.data_to_world(place)) for place in places])
    return *inside.min(axis=0), *inside.max(axis=0)


def test_it_lies_on_the_object_where_a_window_is_ready(session, predictor):
    session.add_point(INSIDE)
    session.clear_prompts()
    encoded = list(predictor.encoded)
    move(session, (512, 512))
    np.testing.assert_allclose(outlined(session), (500, 504, 519, 515), atol=1.5)
    assert predictor.encoded == encoded
    assert session.preview.shown.predicted_iou == pytest.approx(0.9)


def test_nothing_is_shown_where_a_click_would_have_to_wait(session, predictor):
    session.add_point(INSIDE)
    session.clear_prompts()
    encoded = list(predictor.encoded)
    move(session, AWAY)
    assert outlined(session) is None
    assert predictor.encoded == encoded, "and nothing is encoded for it"


def test_it_asks_what_the_next_click_would_ask_in_the_window_of_the_last_answer(session, predictor):
    session.add_point(INSIDE)
    (shown,) = session.candidates
    move(session, (512, 508))
    asked = predictor.asked[-1]
    session.add_point((512, 508))
    clicked = predictor.asked[-1]
    np.testing.assert_allclose(asked["points"], clicked["points"])
    assert np.shape(asked["mask"]) == np.shape(clicked["mask"]) == shown.logits.shape


def test_a_box_is_followed(session, predictor):
    session.add_point(INSIDE)
    session.clear_prompts()
    session.preview.box((498, 502, 521, 517))
    np.testing.assert_allclose(outlined(session), (500, 504, 519, 515), atol=1.5)
