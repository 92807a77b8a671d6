"""What is shown before and after a click: the outline of a box under the mouse, the first mask, the thumbnails."""

from __future__ import annotations

import napari.settings
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from tests.canvas.conftest import DiscPredictor
from tests.canvas.hands import LEFT, choose, pick, press, tick, unfold
from tests.widgets.test_one_each import SIDE, Batches

from napari_segany.engine.prediction import LogitsPrediction
from napari_segany.widgets.candidate_layers import CANDIDATE_COLOURS
from napari_segany.widgets.preview_layer import LINE

IMAGE = np.random.default_rng(0).integers(0, 255, (120, 160), dtype=np.uint8)
CHOOSING = "Preview and first mask"


class Boxes(Batches):
    """Fills boxes: in logits for a preview, at the size of the image for an answer."""

    def answer_in_logits(self, embedding, prompt, *, multimask=None):
        logits = np.full((1, SIDE, SIDE), -4, np.float32)
        top, left, bottom, right = np.round(prompt.box).astype(int)
        logits[0, top : bottom + 1, left : right + 1] = 4
        return LogitsPrediction(logits, np.array([0.9], np.float32))

    def predict(self, embedding, **prompts):
        return DiscPredictor().predict(embedding, **prompts)

    def encode_steps(self, image, *, contrast_limits=None):
        embedding = yield from super().encode_steps(image, contrast_limits=contrast_limits)
        embedding.mean = 0.0
        return embedding


def outlined(person):
    """Where the outline lies, (top, left, bottom, right) in pixels of the image; None where there is none."""
    layer = next((one for one in person.viewer.layers if one.name == "preview"), None)
    if layer is None or not (layer.data == LINE).any():
        return None
    places = np.argwhere(layer.data == LINE)
    corners = [layer.data_to_world(one) for one in (places.min(axis=0), places.max(axis=0))]
    return np.concatenate([person.session.image.world_to_data(one) for one in corners])


def test_the_outline_follows_a_box_while_it_is_dragged(drive):
    person = drive(np.zeros((SIDE, SIDE), np.uint8), predictor=Boxes(), contrast_limits=(0, 1))
    person.wait_ready()
    image, native = person.session.image, person.canvas.native
    press(person.widget.tool_row.boxes)
    person.point_at(image, (20, 30))
    QTest.mousePress(native, LEFT, pos=person.on_canvas(image, (20, 30)))
    for corner in ((60, 70), (100, 110), (50, 60), (10, 12)):
        QTest.mouseMove(native, person.on_canvas(image, corner))
        expected = np.sort([(20, 30), corner], axis=0).ravel()

        def is_there(expected=expected):
            found = outlined(person)
            return found is not None and bool(np.abs(found - expected).max() < 1.5)

        person.qtbot.waitUntil(is_there, timeout=20_000)
    assert person.widget.candidate_list.count() == 0, "nothing is answered before the mouse is let go"
    QTest.mouseRelease(native, LEFT, pos=person.on_canvas(image, (10, 12)))
    person.wait_answer(1)
    assert outlined(person) is None
    found = np.argwhere(person.viewer.layers["mask 1"].data)
    assert np.abs(np.concatenate([found.min(axis=0), found.max(axis=0)]) - (10, 12, 20, 30)).max() < 1.5

    unfold(person.widget, CHOOSING)
    tick(person.widget.choosing_row.preview)
    QTest.mousePress(native, LEFT, pos=person.on_canvas(image, (20, 30)))
    QTest.mouseMove(native, person.on_canvas(image, (60, 70)))
    person.qtbot.wait(150)
    QTest.mouseRelease(native, LEFT, pos=person.on_canvas(image, (60, 70)))
    person.qtbot.waitUntil(lambda: np.argwhere(person.viewer.layers["mask 1"].data).max() > 60, timeout=20_000)
    assert outlined(person) is None, "previews are switched off"


@pytest.fixture
def fresh_preferences(monkeypatch, tmp_path):
    """Preferences in a folder of their own, and what forgets all that is not on the disk, as a new start does."""
    monkeypatch.setattr(napari.settings, "_CFG_PATH", str(tmp_path / "settings.yaml"))
    napari.settings._clear_plugin_settings_cache()
    yield napari.settings._clear_plugin_settings_cache
    napari.settings._clear_plugin_settings_cache()


def shown_first(person, position):
    """Click, and return the number of the mask that is shown."""
    person.click(person.session.image, position)
    person.wait_answer(3)
    (shown,) = [one.name for one in person.viewer.layers if one.name.startswith("mask ") and one.visible]
    person.press(Qt.Key_U)
    return int(shown.removeprefix("mask "))


def test_the_first_mask_is_the_one_chosen_in_the_dock_and_stays_so_after_a_restart(drive, fresh_preferences):
    person = drive(IMAGE, predictor=DiscPredictor(radii=(8, 4, 12)), settings=None)
    person.wait_ready()
    unfold(person.widget, CHOOSING)
    policies = person.widget.choosing_row.policy
    assert shown_first(person, (40, 40)) == 1, "the highest predicted IoU"
    for place, (text, number) in enumerate({"largest": 3, "smallest": 2}.items()):
        choose(policies, text)
        assert shown_first(person, (60, 40 + 30 * place)) == number
    person.predictor.radii = (12, 4, 8)
    choose(policies, "the middle one")
    assert shown_first(person, (60, 100)) == 3

    fresh_preferences()
    again = drive(IMAGE, predictor=DiscPredictor(radii=(12, 4, 8)), settings=None)
    again.wait_ready()
    assert again.widget.choosing_row.policy.currentText() == "the middle one"
    assert shown_first(again, (60, 100)) == 3


def test_a_thumbnail_that_is_clicked_shows_its_mask(drive):
    person = drive(IMAGE)
    person.wait_ready()
    person.click(person.session.image, (40, 70))
    person.wait_answer(3)
    masks = [person.viewer.layers[f"mask {number}"] for number in (1, 2, 3)]
    thumbnails = person.widget.candidate_list
    for row, colour in ((2, CANDIDATE_COLOURS[2]), (1, CANDIDATE_COLOURS[1])):
        pick(thumbnails, row)
        assert [mask.visible for mask in masks] == [one == row for one in range(3)]
        picture = thumbnails.item(row).icon().pixmap(thumbnails.iconSize()).toImage()
        middle = picture.pixelColor(picture.width() // 2, picture.height() // 2)
        red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
        assert (middle.red() > middle.green()) == (red > green)
        assert (middle.green() > middle.blue()) == (green > blue)
    expected = masks[1].data > 0
    press(person.widget.accept_button)
    np.testing.assert_array_equal(person.viewer.layers["objects"].data == 1, expected)
    assert thumbnails.count() == 0
