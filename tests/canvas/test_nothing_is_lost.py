"""Unsaved work when the model or the image is changed in the dock, and after an end without warning."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from qtpy.QtCore import Qt
from tests.canvas.conftest import DiscPredictor
from tests.canvas.hands import answer, choose, press

from napari_segany.widgets.model_picker import _FROM_FILE
from napari_segany.widgets.session_saving import FOLDER_VARIABLE

IMAGE = np.random.default_rng(0).integers(0, 255, (120, 160), dtype=np.uint8)
OTHER = np.random.default_rng(1).integers(0, 255, (90, 100), dtype=np.uint8)
UNDO = (Qt.Key_Z, Qt.ControlModifier)


def accept(person, position):
    person.click(person.session.image, position)
    person.wait_answer(3)
    person.press(Qt.Key_N)


def masks_of(person):
    return [
        person.viewer.layers[f"mask {number}"].data > 0
        for number in (1, 2, 3)
        if f"mask {number}" in person.viewer.layers
    ]


def test_another_model_answers_the_prompts_that_are_there_and_changes_no_object(drive, tmp_path):
    small, large = DiscPredictor(), DiscPredictor(name="large", radii=(16, 20, 24))
    weights = tmp_path / "large.pth"
    weights.touch()
    asked = []

    def load(model, device):
        asked.append(model)
        return large if model == str(weights) else small

    person = drive(IMAGE, load_predictor=load)
    person.wait_ready()
    accept(person, (30, 30))
    person.click(person.session.image, (80, 100))
    person.wait_answer(3)
    person.click(person.session.image, (80, 110), Qt.RightButton)
    person.wait_answer(1)
    layers = list(person.viewer.layers)
    objects, points = person.viewer.layers["objects"], person.viewer.layers["prompt points"]
    before = objects.data.copy(), points.data.copy(), objects.features.copy()
    assert masks_of(person)[0].sum() < 60

    picker = person.widget.model_picker
    choose(picker, _FROM_FILE)
    answer(picker.dialog, weights)
    person.qtbot.waitUntil(lambda: bool(masks_of(person)[0].sum() > 200), timeout=20_000)
    assert picker.currentText() == "large.pth"
    assert asked[-1] == str(weights)
    np.testing.assert_array_equal(large.asked[-1]["labels"], [1, 0])
    assert large.asked[-1]["mask"] is None, "logits of one model mean nothing to another"
    assert list(person.viewer.layers) == layers
    np.testing.assert_array_equal(objects.data, before[0])
    np.testing.assert_array_equal(points.data, before[1])
    assert objects.features.equals(before[2])
    press(person.widget.accept_button)
    assert objects.data.max() == 2
    models = [json.loads(text)["model"] for text in objects.features["prompts"][1:]]
    assert models == ["light", str(weights)]

    for _ in range(3):  # the object, and both clicks
        person.press(*UNDO)
    np.testing.assert_array_equal(objects.data, before[0])
    assert len(points.data) == 0
    choose(picker, "light")
    accept(person, (80, 60))
    assert (objects.data == 2).sum() == (before[0] == 1).sum()


def test_prompts_and_objects_of_an_image_wait_until_it_is_chosen_again(drive):
    person = drive(OTHER, IMAGE)
    viewer, combo = person.viewer, person.widget.image_combo
    viewer.layers[0].name, viewer.layers[1].name = "other", "cells"
    choose(combo, "cells")
    person.wait_ready()
    accept(person, (30, 30))
    person.click(person.session.image, (80, 110))
    person.wait_answer(3)
    person.press(Qt.Key_W)
    objects = viewer.layers["objects"]
    before, mask = objects.data.copy(), masks_of(person)[1]

    choose(combo, "other")
    person.wait_ready()
    assert person.session.image.name == "other"
    assert objects in viewer.layers
    assert not [layer.name for layer in viewer.layers if layer.name.startswith("prompt") and len(layer.data)]
    assert person.widget.candidate_list.count() == 0
    assert not person.widget.objects_row.undo.isEnabled(), "another image has a history of its own"
    accept(person, (40, 50))
    (others,) = [one for one in viewer.layers if one.name.startswith("objects") and one.data.shape == OTHER.shape]
    assert others.data.max() == 1
    np.testing.assert_array_equal(objects.data, before)

    choose(combo, "cells")
    person.qtbot.waitUntil(lambda: person.widget.candidate_list.count() == 3, timeout=20_000)
    np.testing.assert_allclose(viewer.layers["prompt points"].data, [(80, 110)], atol=0.75)
    assert person.widget.candidate_list.currentRow() == 1
    np.testing.assert_array_equal(masks_of(person)[1], mask)
    np.testing.assert_array_equal(objects.data, before)
    press(person.widget.accept_button)
    np.testing.assert_array_equal(objects.data == 2, mask)
    assert others.data.max() == 1
    for _ in range(4):
        person.press(*UNDO)
    assert not objects.data.any()
    assert others.data.max() == 1


@pytest.fixture
def saved_at_once(monkeypatch, tmp_path):
    """Work is saved by itself soon after each step, in a folder of the test."""
    monkeypatch.setattr("napari_segany.widgets.session_saving._DELAY_MS", 100)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "data"))
    return tmp_path / "data"


def test_after_an_end_without_warning_restore_brings_back_what_was_on_the_disk(
    drive, saved_at_once, monkeypatch, tmp_path
):
    person = drive(IMAGE, name="cells")
    person.wait_ready()
    assert not person.widget.objects_row.restore.isEnabled()
    for position in ((30, 30), (60, 80)):
        accept(person, position)
    person.click(person.session.image, (90, 120))
    person.wait_answer(3)
    person.press(Qt.Key_W)
    person.click(person.session.image, (100, 130), Qt.RightButton)
    person.wait_answer(1)
    before, mask = person.viewer.layers["objects"].data.copy(), masks_of(person)[0]

    def is_saved():
        files = list((saved_at_once / "sessions").glob("*.json"))
        state = json.loads(files[0].read_text()) if files else {"prompts": {"labels": []}}
        return state["prompts"]["labels"] == ["foreground", "background"] and len(state["log"]["steps"]) == 2

    person.qtbot.waitUntil(is_saved, timeout=20_000)
    # No dock was closed, no viewer: what lies on the disk now is all that a crash leaves.
    shutil.copytree(saved_at_once, tmp_path / "left")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "left"))

    again = drive(IMAGE, name="cells")
    again.wait_ready()
    offer = "earlier work on this image, with 2 objects"
    again.qtbot.waitUntil(lambda: offer in again.widget.status_label.text(), timeout=20_000)
    assert "objects" not in again.viewer.layers
    press(again.widget.objects_row.restore)
    objects = again.viewer.layers["objects"]
    np.testing.assert_array_equal(objects.data, before)
    again.qtbot.waitUntil(lambda: again.widget.candidate_list.count() == 1, timeout=20_000)
    np.testing.assert_array_equal(masks_of(again)[0], mask)
    again.press(Qt.Key_N)
    np.testing.assert_array_equal(objects.data == 3, mask)
    again.press(*UNDO)
    again.press(*UNDO)
    assert not objects.data.any(), "restoring was one step"
