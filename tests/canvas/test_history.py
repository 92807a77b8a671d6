"""One history with real mouse and key events: clicks, accepted objects, brush strokes, deletions, merges, splits."""

from __future__ import annotations

import json

import numpy as np
import pytest
from qtpy.QtCore import Qt

IMAGE = np.random.default_rng(0).integers(0, 255, (120, 160), dtype=np.uint8)
UNDO = (Qt.Key_Z, Qt.ControlModifier)
REDO = (Qt.Key_Z, Qt.ControlModifier | Qt.ShiftModifier)


@pytest.fixture
def person(drive):
    person = drive(IMAGE)
    person.wait_ready()
    return person


def accept_at(person, *positions):
    for position in positions:
        person.click(person.session.image, position)
        person.wait_answer(3)
        person.press(Qt.Key_W)
        person.press(Qt.Key_N)
    return person.viewer.layers["objects"]


def point_at(person, position):
    person.point_at(person.session.image, position)
    person.qtbot.waitUntil(lambda: np.abs(np.subtract(person.viewer.cursor.position, position)).max() < 2)


def labels_of(layer):
    return np.unique(layer.data).tolist()


def test_clicks_and_accepted_objects_are_undone_and_done_again_in_their_order(person):
    objects = accept_at(person, (40, 70))
    mask = objects.data == 1
    person.click(person.session.image, (90, 30))
    person.wait_answer(3)
    assert person.widget.objects_row.undo.isEnabled()

    person.press(*UNDO)
    assert not person.session.prompts
    assert labels_of(objects) == [0, 1]
    person.press(*UNDO)
    assert labels_of(objects) == [0]
    assert len(person.session.prompts.points) == 1
    assert person.session.selected == 1, "the chosen mask is shown again"
    assert person.viewer.layers["mask 2"].visible
    person.press(*UNDO)
    assert not person.session.prompts
    assert not person.widget.objects_row.undo.isEnabled()
    person.press(*UNDO)
    assert "nothing to undo" in person.widget.status_label.text()

    for _ in range(3):
        person.press(*REDO)
    np.testing.assert_array_equal(objects.data == 1, mask)
    person.wait_answer(3)
    assert len(person.session.prompts.points) == 1


def test_a_brush_stroke_is_part_of_the_history_and_of_the_table(person):
    objects = accept_at(person, (40, 40))
    before = objects.data.copy()
    row = objects.features.loc[1].copy()
    person.viewer.layers.selection.active = objects
    objects.selected_label, objects.brush_size, objects.mode = 5, 8, "paint"
    person.drag(objects, (80, 60), (80, 110))
    person.qtbot.waitUntil(lambda: 5 in objects.data)
    painted = objects.data.copy()
    assert objects.features["area"][5] == (painted == 5).sum()
    assert json.loads(objects.features["prompts"][5])["edits"] == ["brush"]

    objects.mode, objects.brush_size = "erase", 60
    person.drag(objects, (40, 40), (42, 42))
    person.qtbot.waitUntil(lambda: 1 not in objects.data)
    assert np.isnan(objects.features["predicted_iou"][1]), "an object that was wiped out leaves the table"

    person.press(*UNDO)
    np.testing.assert_array_equal(objects.data, painted)
    assert objects.features["predicted_iou"][1] == row["predicted_iou"]
    person.press(*UNDO)
    np.testing.assert_array_equal(objects.data, before)
    assert len(objects.features) == 2
    person.press(*REDO)
    np.testing.assert_array_equal(objects.data, painted)
    person.press(*UNDO)
    person.press(*UNDO)
    assert labels_of(objects) == [0]
    assert len(person.session.prompts.points) == 1, "the prompts of the accepted object"


def test_delete_merge_and_split_by_keys_at_the_mouse(person):
    objects = accept_at(person, (40, 40), (40, 110), (90, 40))
    whole = objects.data.copy()
    point_at(person, (90, 40))
    person.press(Qt.Key_N, Qt.ShiftModifier)
    assert labels_of(objects) == [0, 1, 2]

    point_at(person, (40, 40))
    person.press(Qt.Key_G)
    assert person.session.editor.selection == (1,)
    person.qtbot.waitUntil(
        lambda: "selected objects" in [layer.name for layer in person.viewer.layers if layer.visible]
    )
    point_at(person, (40, 110))
    person.press(Qt.Key_J)
    assert labels_of(objects) == [0, 1]
    np.testing.assert_array_equal(objects.data == 1, (whole == 1) | (whole == 2))
    person.press(Qt.Key_K)
    assert labels_of(objects) == [0, 1, 4]

    for expected in ([0, 1], [0, 1, 2], [0, 1, 2, 3]):
        person.press(*UNDO)
        assert labels_of(objects) == expected
    np.testing.assert_array_equal(objects.data, whole)
    for expected in ([0, 1, 2], [0, 1], [0, 1, 4]):
        person.press(*REDO)
        assert labels_of(objects) == expected


def test_an_accepted_object_is_opened_again_corrected_and_keeps_its_number(person):
    image = person.session.image
    objects = accept_at(person, (40, 40), (90, 110))
    first = objects.data == 1
    point_at(person, (40, 40))
    person.press(Qt.Key_G, Qt.ShiftModifier)
    assert len(person.session.prompts.points) == 1
    np.testing.assert_array_equal(person.session.candidates[0].mask, first)
    assert labels_of(objects) == [0, 1, 2], "it stays as it is until it is accepted"

    asked = len(person.predictor.asked)
    person.click(image, (60, 70))
    person.qtbot.waitUntil(lambda: len(person.predictor.asked) > asked)
    person.wait_answer(1)
    np.testing.assert_array_equal(person.predictor.asked[-1]["mask"], first)
    assert len(person.predictor.asked[-1]["points"]) == 2
    corrected = person.session.candidates[0].mask
    person.press(Qt.Key_N)
    np.testing.assert_array_equal(objects.data == 1, corrected)
    assert len(json.loads(objects.features["prompts"][1])["points"]) == 2
    for _ in range(3):
        person.press(*UNDO)
    np.testing.assert_array_equal(objects.data == 1, first)
    assert not person.session.prompts


def test_closing_the_dock_keeps_unsaved_prompts_and_a_new_one_takes_them_up(person):
    from napari_segany.widgets.prompt_widget import PromptWidget
    from napari_segany.widgets.settings import Settings

    viewer = person.viewer
    objects = accept_at(person, (40, 40))
    person.click(person.session.image, (90, 110))
    person.wait_answer(3)
    viewer.window.remove_dock_widget(person.widget)
    assert len(viewer.layers["prompt points"].data) == 1
    assert "prompt boxes" not in viewer.layers
    assert not objects.keymap, "napari's own keys of the layer are back"
    viewer.layers.selection.active = objects
    person.press(*UNDO)
    assert labels_of(objects) == [0], "by napari's own undo"

    widget = PromptWidget(viewer, load_predictor=lambda model, device: person.predictor, settings=Settings())
    viewer.window.add_dock_widget(widget, name="Prompt segmentation")
    person.qtbot.waitUntil(lambda: len(widget.session.candidates) == 3, timeout=20_000)
    assert sum(layer.name.startswith("prompt points") for layer in viewer.layers) == 1
    assert widget.objects_row.restore.isEnabled(), "closing saved the work"
    widget.objects_row.restore.click()
    np.testing.assert_array_equal(labels_of(viewer.layers["objects"]), [0, 1])
