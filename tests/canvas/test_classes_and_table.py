"""Classes by keys and clicks, and the table of objects in its dock, with real events."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QColor
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QColorDialog

IMAGE = np.random.default_rng(0).integers(0, 255, (120, 160), dtype=np.uint8)
CONTROL = Qt.ControlModifier


@pytest.fixture
def person(drive):
    person = drive(IMAGE, scale=(0.5, 0.5), units=("um", "um"))
    person.wait_ready()
    return person


def accept_at(person, position):
    person.click(person.session.image, position)
    person.wait_answer(3)
    person.press(Qt.Key_N)


def click_row(view, row, modifier=Qt.NoModifier):
    place = view.table.visualRect(view.model.index(row, 0)).center()
    QTest.mouseClick(view.table.viewport(), Qt.LeftButton, modifier, place)


def classes_of(person):
    return person.viewer.layers["objects"].features["category"].fillna("").tolist()[1:]


def test_classes_and_the_table_from_the_first_name_to_the_file(person, qtbot, tmp_path):
    panel, session = person.widget.classes_panel, person.session
    for name in ("nucleus", "debris"):
        QTest.keyClicks(panel.name, name)
        QTest.keyClick(panel.name, Qt.Key_Return)
    assert session.classes.current == "debris", "a new class is the one in use"
    person.press(Qt.Key_1, CONTROL)
    assert "nucleus" in panel.note.text()
    person.press(Qt.Key_U, Qt.ShiftModifier)
    assert "no class" in panel.note.text()
    person.press(Qt.Key_1, CONTROL)
    for position in ((30, 30), (60, 80), (90, 130)):
        accept_at(person, position)
    assert classes_of(person) == ["nucleus"] * 3

    QTest.mouseClick(panel.table_button, Qt.LeftButton)
    view = person.widget.table_dock.view
    qtbot.waitUntil(lambda: "area_um2" in session.table.frame and not session.table.is_measuring, timeout=20_000)
    pixels = (person.viewer.layers["objects"].data == 2).sum()
    assert session.table.frame["area_um2"].iloc[1] == pixels / 4
    assert view.model.rowCount() == 3
    zoom = person.viewer.scene.camera.zoom
    click_row(view, 1)
    assert session.editor.selection == (2,)
    assert person.viewer.scene.camera.zoom > zoom
    np.testing.assert_allclose(person.viewer.scene.camera.center[-2:], (30, 40), atol=1)
    click_row(view, 2, CONTROL)
    assert set(session.editor.selection) == {2, 3}

    person.press(Qt.Key_2, CONTROL)
    assert classes_of(person) == ["nucleus", "debris", "debris"]
    person.press(Qt.Key_Z, CONTROL)
    assert classes_of(person) == ["nucleus"] * 3
    item = panel.list.item(2)
    QTest.mouseClick(panel.list.viewport(), Qt.LeftButton, Qt.NoModifier, panel.list.visualItemRect(item).center())
    assert classes_of(person) == ["nucleus", "debris", "debris"]
    person.press(Qt.Key_U, Qt.ShiftModifier)
    assert classes_of(person) == ["nucleus", "", ""]
    person.press(Qt.Key_Z, CONTROL)
    assert classes_of(person) == ["nucleus", "debris", "debris"]

    QTest.mouseClick(panel.rename_button, Qt.LeftButton)
    assert "name of a class" in person.widget.status_label.text(), "nothing was typed"
    QTest.keyClicks(panel.name, "mitosis")
    QTest.mouseClick(panel.rename_button, Qt.LeftButton)
    assert classes_of(person) == ["mitosis", "debris", "debris"]
    panel.colour_button.click()
    dialog = panel.findChild(QColorDialog)
    dialog.setCurrentColor(QColor("#112233"))
    dialog.accept()
    assert session.classes.classes[0].colour == "#112233"

    QTest.keyClicks(view.filter, "class = debris")
    assert view.model.rowCount() == 2
    header = view.table.horizontalHeader()
    middle = QPoint(header.sectionViewportPosition(0) + header.sectionSize(0) // 2, header.height() // 2)
    QTest.mouseClick(header.viewport(), Qt.LeftButton, Qt.NoModifier, middle)
    assert view.model.rows["label"].tolist() == [3, 2]
    view.save_button.click()
    assert not view.dialog.isModal()
    view.dialog.fileSelected.emit(str(tmp_path / "objects.csv"))
    view.dialog.close()
    assert len((tmp_path / "objects.csv").read_text().splitlines()) == 3
    view.save_to(str(tmp_path / "nowhere" / "objects.csv"))
    assert "could not be saved" in view.note.text()
    QTest.keyClicks(view.filter, ", meen > 3")
    assert "no column" in view.note.text()


def test_the_table_closes_with_the_dock_and_opens_once(person):
    accept_at(person, (30, 30))
    first = person.widget.table_dock.open()
    assert person.widget.table_dock.open() is first
    docks = person.viewer.window.dock_widgets
    assert "Table of objects" in docks
    person.viewer.window.remove_dock_widget(first)
    second = person.widget.table_dock.open()
    assert second is not first
    person.viewer.window.remove_dock_widget(person.widget)
    assert second.is_closed
    assert "Table of objects" not in person.viewer.window.dock_widgets
