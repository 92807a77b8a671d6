"""Napari's own brush and eraser on `objects`, taken by key or by napari's buttons, with undo by key."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from tests.canvas.hands import press

IMAGE = np.random.default_rng(0).integers(0, 255, (120, 160), dtype=np.uint8)
UNDO = (Qt.Key_Z, Qt.ControlModifier)
REDO = (Qt.Key_Z, Qt.ControlModifier | Qt.ShiftModifier)


@pytest.fixture
def person(drive):
    """Somebody with two accepted objects and a mask under work, about to paint on the objects."""
    person = drive(IMAGE)
    person.wait_ready()
    for position in ((30, 40), (80, 110)):
        person.click(person.session.image, position)
        person.wait_answer(3)
        person.press(Qt.Key_W)
        person.press(Qt.Key_N)
    person.click(person.session.image, (100, 30))
    person.wait_answer(3)
    objects = person.viewer.layers["objects"]
    person.viewer.layers.selection.active = objects
    objects.brush_size = 10
    return person


def test_erasing_and_painting_by_key_keep_the_table_right_and_are_undone_in_their_order(person):
    objects = person.viewer.layers["objects"]
    before = objects.data.copy()
    person.press(Qt.Key_1)
    assert objects.mode == "erase"
    person.drag(objects, (30, 28), (30, 52))
    person.qtbot.waitUntil(lambda: (objects.data != before).any())
    erased = objects.data.copy()
    assert not erased[30, 35:46].any()
    assert ((erased == 0) | (erased == before)).all()
    assert objects.features["area"].tolist()[1:] == [(erased == 1).sum(), (erased == 2).sum()]

    objects.selected_label = 2
    person.press(Qt.Key_2)
    assert objects.mode == "paint"
    person.drag(objects, (80, 110), (40, 110))
    person.qtbot.waitUntil(lambda: (objects.data != erased).any())
    painted = objects.data.copy()
    assert (painted[45:80, 110] == 2).all()
    np.testing.assert_array_equal(painted == 1, erased == 1)
    assert objects.features["area"][2] == (painted == 2).sum() > (before == 2).sum()

    for expected in (erased, before):
        person.press(*UNDO)
        np.testing.assert_array_equal(objects.data, expected)
        assert objects.features["area"].tolist()[1:] == [(expected == 1).sum(), (expected == 2).sum()]
    assert person.widget.candidate_list.count() == 3, "the mask under work is still there"
    for expected in (erased, painted):
        person.press(*REDO)
        np.testing.assert_array_equal(objects.data, expected)
    assert objects.features["area"][2] == (painted == 2).sum()


def test_an_object_that_is_wiped_out_with_naparis_eraser_comes_back_with_its_row(person):
    objects = person.viewer.layers["objects"]
    before, row = objects.data.copy(), objects.features.loc[2].copy()
    controls = person.viewer.window._qt_viewer.controls.widgets[objects]
    press(controls.erase_button)
    assert objects.mode == "erase"
    objects.brush_size = 40
    person.drag(objects, (80, 110), (82, 112))
    person.qtbot.waitUntil(lambda: 2 not in objects.data)
    assert objects.features["predicted_iou"].notna().sum() == 1, "it leaves the table"
    assert (objects.data == 1).sum() == (before == 1).sum()
    person.press(*UNDO)
    np.testing.assert_array_equal(objects.data, before)
    assert objects.features["predicted_iou"][2] == row["predicted_iou"]
    assert objects.features["prompts"][2] == row["prompts"]
    person.press(*UNDO)  # the click, and then the object that was accepted before it
    person.press(*UNDO)
    assert objects.data.max() == 1
