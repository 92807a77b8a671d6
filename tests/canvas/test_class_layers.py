"""Layers of classes from the buttons of the dock: semantic and instance output, of classes given before and after."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from tests.canvas.hands import press

IMAGE = np.random.default_rng(0).integers(0, 255, (120, 160), dtype=np.uint8)
CONTROL = Qt.ControlModifier


@pytest.fixture
def person(drive):
    """Somebody who has accepted two nuclei and something without a class, and defined two classes."""
    person = drive(IMAGE, scale=(0.5, 0.5), units=("um", "um"))
    person.wait_ready()
    panel = person.widget.classes_panel
    for name in ("nucleus", "debris"):
        QTest.keyClicks(panel.name, name)
        QTest.keyClick(panel.name, Qt.Key_Return)
    for position, (key, modifier) in {
        (30, 30): (Qt.Key_1, CONTROL),
        (60, 80): (Qt.Key_1, CONTROL),
        (90, 130): (Qt.Key_U, Qt.ShiftModifier),
    }.items():
        person.press(key, modifier)
        person.click(person.session.image, position)
        person.wait_answer(3)
        person.press(Qt.Key_N)
    return person


def wait_for(person, words):
    person.qtbot.waitUntil(lambda: words in person.widget.status_label.text(), timeout=20_000)


def test_the_layer_of_classes_has_the_number_of_its_class_in_each_pixel(person):
    viewer, panel = person.viewer, person.widget.classes_panel
    objects = viewer.layers["objects"]
    press(panel.layer_button)
    wait_for(person, "Made the layers classes")
    classes = viewer.layers["classes"]
    np.testing.assert_array_equal(classes.data, np.isin(objects.data, (1, 2)) * 1)
    assert classes.features["category"].tolist() == ["", "nucleus", "debris"]
    np.testing.assert_array_equal(classes.scale, objects.scale)
    assert classes.units == objects.units

    # after: the object under the mouse is selected and gets the second class
    person.point_at(person.session.image, (60, 80))
    viewer.layers.selection.active = objects
    person.press(Qt.Key_G)
    person.press(Qt.Key_2, CONTROL)
    press(panel.layer_button)
    person.qtbot.waitUntil(lambda: 2 in classes.data, timeout=20_000)
    np.testing.assert_array_equal(classes.data, np.choose(objects.data, (0, 1, 2, 0)))
    assert [layer.name for layer in viewer.layers].count("classes") == 1, "the layer is brought up to date"


def test_a_layer_per_class_has_its_objects_with_their_numbers(person):
    viewer, panel = person.viewer, person.widget.classes_panel
    objects = viewer.layers["objects"]
    press(panel.layers_button)
    wait_for(person, "Made the layers objects: nucleus.")
    nuclei = viewer.layers["objects: nucleus"]
    np.testing.assert_array_equal(nuclei.data, np.where(objects.data < 3, objects.data, 0))
    assert nuclei.features["category"].tolist()[1:] == ["nucleus"] * 2
    assert "objects: debris" not in viewer.layers

    person.point_at(person.session.image, (90, 130))
    viewer.layers.selection.active = objects
    person.press(Qt.Key_G)
    person.press(Qt.Key_2, CONTROL)
    press(panel.layers_button)
    wait_for(person, "objects: debris")
    np.testing.assert_array_equal(viewer.layers["objects: debris"].data, np.where(objects.data == 3, 3, 0))
    np.testing.assert_array_equal(nuclei.data, np.where(objects.data < 3, objects.data, 0))
    person.press(Qt.Key_Z, CONTROL)
    assert "objects: debris" in viewer.layers, "layers that were made are left to their owner"
