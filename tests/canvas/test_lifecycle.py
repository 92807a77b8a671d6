"""What may happen while work is under way: layers deleted, widget closed, viewer closed, cancel, new clicks."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

IMAGE = np.random.default_rng(0).integers(0, 255, (100, 120), dtype=np.uint8)


@pytest.fixture
def held(drive):
    """Return a person in front of a viewer whose embedding is being computed, and does not end by itself."""
    person = drive(IMAGE, name="IMAGE")
    person.wait_ready()
    person.predictor.held = True
    person.predictor.begun.clear()
    person.predictor.closed.clear()
    person.viewer.layers[0].contrast_limits = (10, 200)
    person.session.compute_embedding()
    person.qtbot.waitUntil(person.predictor.begun.is_set)
    return person


def test_the_first_click_counts_on_an_image_that_is_opened_after_the_dock(drive):
    person = drive()
    image = person.viewer.add_image(IMAGE)
    assert person.session.image is image
    person.qtbot.waitUntil(lambda: person.viewer.layers.selection.active is person.session.prompt_layers.points)
    person.wait_ready()
    person.click(image, (30, 40))
    person.wait_answer(3)


def test_clicks_made_while_encoding_are_kept_and_the_last_state_is_answered(held):
    image = held.viewer.layers[0]
    held.click(image, (30, 40))
    held.click(image, (60, 80), Qt.RightButton)
    assert "kept" in held.widget.status_label.text()
    assert held.predictor.asked == []
    held.predictor.released.set()
    held.wait_answer(1)
    assert len(held.predictor.asked) == 1
    assert list(held.predictor.asked[0]["labels"]) == [1, 0]


def test_cancel_stops_the_work_and_a_click_begins_it_anew(held):
    button = held.widget.progress_row.button
    held.qtbot.waitUntil(lambda: button.text() == "Cancel")
    held.qtbot.mouseClick(button, Qt.LeftButton)
    held.qtbot.waitUntil(held.predictor.closed.is_set)
    assert held.session.embedding_state.phase == "none"
    assert button.text() == "Compute"
    assert len(held.predictor.encoded) == 1, "the cancelled embedding must not be finished"

    held.predictor.held = False
    held.click(held.viewer.layers[0], (30, 40))
    held.wait_answer(3)


def test_the_image_deleted_while_encoding(held):
    held.viewer.layers.selection = {held.viewer.layers[0]}
    held.viewer.layers.remove_selected()
    held.qtbot.waitUntil(held.predictor.closed.is_set)
    held.qtbot.waitUntil(lambda: held.session.image is None)
    assert [layer.name for layer in held.viewer.layers] == []
    assert held.widget.status_label.text() == "Open an image to begin."
    held.predictor.held = False
    held.viewer.add_image(IMAGE + 1, name="another")
    held.wait_ready()
    assert held.session.image.name == "another"


def test_all_layers_deleted_at_once_while_encoding(held):
    held.click(held.viewer.layers[0], (30, 40))
    held.viewer.layers.select_all()
    held.viewer.layers.remove_selected()
    held.qtbot.waitUntil(lambda: held.session.image is None)
    assert len(held.viewer.layers) == 0


def test_prompt_layer_deleted_while_encoding_comes_back_with_the_tool(held):
    held.click(held.viewer.layers[0], (30, 40))
    held.viewer.layers.remove(held.session.prompt_layers.points)
    assert not held.session.prompts
    held.predictor.released.set()
    held.wait_ready()
    held.widget.tool_row.points.click()
    held.click(held.viewer.layers[0], (60, 40))
    held.wait_answer(3)
    held.press(Qt.Key_N)
    assert held.viewer.layers["objects"].data.max() == 1


def test_preview_and_objects_layers_deleted_are_made_again(drive):
    person = drive(IMAGE)
    person.wait_ready()
    image = person.viewer.layers[0]
    person.click(image, (30, 40))
    person.wait_answer(3)
    person.viewer.layers.remove("mask 1")
    person.press(Qt.Key_N)
    assert person.viewer.layers["objects"].data.max() == 1
    person.viewer.layers.remove("objects")
    person.click(image, (60, 80))
    person.wait_answer(3)
    assert sum(layer.name.startswith("mask ") for layer in person.viewer.layers) == 3
    person.press(Qt.Key_N)
    assert person.viewer.layers["objects"].data.max() == 1


def ours(callbacks):
    """Return those of the mouse's callbacks that belong to this package."""
    return [one for one in callbacks if str(getattr(one, "__module__", "")).startswith("napari_segany")]


def test_the_dock_closed_while_encoding_leaves_only_what_was_accepted(held):
    viewer = held.viewer
    held.predictor.held = False
    held.click(viewer.layers[0], (30, 40))
    held.wait_answer(3)
    held.press(Qt.Key_N)
    held.predictor.held = True
    held.predictor.closed.clear()
    viewer.layers[0].contrast_limits = (20, 180)
    held.session.compute_embedding()
    assert ours(viewer.mouse_drag_callbacks)

    viewer.window.remove_dock_widget(held.widget)
    held.qtbot.waitUntil(held.predictor.closed.is_set)
    assert [layer.name for layer in viewer.layers] == ["IMAGE", "objects"]
    assert not ours(viewer.mouse_drag_callbacks)
    assert not ours(viewer.mouse_move_callbacks)
    assert not any(str(key) in ("N", "W", "U", "Q", "Shift+W") for key in viewer.keymap)
    held.press(Qt.Key_N)
    viewer.layers[0].contrast_limits = (0, 100)
    viewer.add_image(IMAGE)
    QApplication.processEvents()


def test_the_viewer_closed_while_encoding(held):
    held.viewer.close()
    held.qtbot.waitUntil(held.predictor.closed.is_set)


def test_a_failure_is_said_in_the_dock_and_the_next_click_tries_again(drive):
    def fail(*args, **kwargs):
        raise RuntimeError("CUDA out of memory")
        yield

    person = drive(IMAGE)
    person.wait_ready()
    encode_steps, person.predictor.encode_steps = person.predictor.encode_steps, fail
    person.viewer.layers[0].contrast_limits = (10, 200)
    person.click(person.viewer.layers[0], (30, 40))
    person.qtbot.waitUntil(lambda: person.session.embedding_state.phase == "failed")
    assert person.widget.status_label.text() == "CUDA out of memory"
    person.predictor.encode_steps = encode_steps
    person.click(person.viewer.layers[0], (60, 40))
    person.wait_answer(1)
