"""Many boxes at once with real events: a Shapes layer, boxes drawn by hand into it, and a CSV file from the dock."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from napari.layers import Shapes
from qtpy.QtCore import Qt
from tests.canvas.hands import answer, choose, press, unfold
from tests.canvas.test_many_and_sessions import ManyDiscs
from tests.widgets.test_one_each import SIDE, grid

from napari_segany.engine.one_each import AT_A_TIME

BOXES = grid(6, 8, side=4, step=8)
DRAWN = (90, 20, 110, 50)
UNDO = (Qt.Key_Z, Qt.ControlModifier)


def corners(box):
    top, left, bottom, right = box
    return [(top, left), (top, right), (bottom, right), (bottom, left)]


@pytest.fixture
def person(drive):
    person = drive(np.zeros((SIDE, SIDE), np.uint8), predictor=ManyDiscs(), contrast_limits=(0, 1), scale=(0.5, 0.5))
    person.wait_ready()
    unfold(person.widget, "One object per point or box")
    return person


def objects_of(person, number):
    person.qtbot.waitUntil(lambda: "objects" in person.viewer.layers, timeout=20_000)
    layer = person.viewer.layers["objects"]
    person.qtbot.waitUntil(lambda: layer.data.max() == number, timeout=20_000)
    return layer


def test_a_whole_shapes_layer_becomes_as_many_objects_in_one_pass_and_one_step(person):
    panel, said = person.widget.one_each_panel, person.widget.status_label
    shapes = Shapes([corners(box) for box in BOXES / 2], shape_type="rectangle", name="cells")
    person.viewer.add_layer(shapes)  # of another scale than the image
    shapes.mode = "add_rectangle"
    low, high = np.reshape(DRAWN, (2, 2)) / 2
    person.drag(shapes, low, high)
    person.qtbot.waitUntil(lambda: shapes.nshapes == len(BOXES) + 1)
    choose(panel.layers, "cells")
    assert panel.make.text() == "One object per box (49)"
    assert panel.note.text() == "cells: 49 boxes."
    person.predictor.calls.clear()
    press(panel.make)
    objects = objects_of(person, 49)
    assert person.predictor.calls == [AT_A_TIME, 49 - AT_A_TIME], "boxes are asked together, not one by one"
    for number, (top, left, bottom, right) in enumerate(BOXES, 1):
        assert (objects.data[top : bottom + 1, left : right + 1] == number).all()
        assert (objects.data == number).sum() == 25
    found = np.argwhere(objects.data == 49)
    assert np.abs(np.concatenate([found.min(axis=0), found.max(axis=0)]) - DRAWN).max() < 1.5
    assert "49 objects of 49 boxes of 'cells'" in said.text()
    assert shapes.nshapes == 49, "the layer is left as it is"
    assert json.loads(objects.features["prompts"][2])["box"] == BOXES[1].tolist()

    person.viewer.layers.selection.active = objects
    person.press(*UNDO)
    assert not objects.data.any()
    assert not person.widget.objects_row.undo.isEnabled(), "it was one step"
    person.press(Qt.Key_Z, Qt.ControlModifier | Qt.ShiftModifier)
    assert objects.data.max() == 49


def test_boxes_of_a_csv_file_that_is_opened_in_the_dock(person, tmp_path):
    panel, said = person.widget.one_each_panel, person.widget.status_label
    path, bad = tmp_path / "boxes.csv", tmp_path / "bad.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("name", "row_min", "col_min", "row_max", "col_max"))
        writer.writerows((f"cell {number}", *box) for number, box in enumerate(BOXES))
    bad.write_text("row_min,col_min,row_max,col_max\n1,2,3,four\n")
    press(panel.open)
    answer(panel.dialog, bad)
    assert said.text() == "line 2 of bad.csv has 'four' in the column col_max; give a number."
    assert "objects" not in person.viewer.layers

    person.predictor.calls.clear()
    press(panel.open)
    answer(panel.dialog, path)
    objects = objects_of(person, 48)
    assert person.predictor.calls == [AT_A_TIME, 48 - AT_A_TIME]
    expected = np.zeros((SIDE, SIDE), int)
    for number, (top, left, bottom, right) in enumerate(BOXES, 1):
        expected[top : bottom + 1, left : right + 1] = number
    np.testing.assert_array_equal(objects.data, expected)
    assert "48 objects of 48 boxes" in said.text()
    press(person.widget.objects_row.undo)
    assert not objects.data.any()
