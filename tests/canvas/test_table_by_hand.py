"""The table of objects by hand: sorted both ways, filtered, gone through without zooming, and saved by its dialog."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from tests.canvas.hands import LEFT, answer, pick, press, tick

IMAGE = np.random.default_rng(0).integers(0, 255, (120, 160), dtype=np.uint8)
PIXEL = 0.5
PLACES = {(30, 30): 2, (60, 80): 3, (90, 130): 1}


@pytest.fixture
def person(drive):
    """Somebody with three objects of different sizes, and their table beside the image."""
    person = drive(IMAGE, scale=(PIXEL, PIXEL), units=("um", "um"))
    person.wait_ready()
    for position, mask in PLACES.items():
        person.click(person.session.image, position)
        person.wait_answer(3)
        for _ in range(mask - 1):
            person.press(Qt.Key_W)
        person.press(Qt.Key_N)
    press(person.widget.classes_panel.table_button)
    view = person.widget.table_dock.view
    person.qtbot.waitUntil(lambda: view.note.text() == "3 of 3 objects", timeout=20_000)
    person.qtbot.wait(50)
    return person


def column(view, name):
    """The texts of a column, as they are shown from top to bottom."""
    titles = [view.model.headerData(at, Qt.Orientation.Horizontal) for at in range(view.model.columnCount())]
    at = titles.index(name)
    return [view.model.data(view.model.index(row, at)) for row in range(view.model.rowCount())]


def click_header(view, name):
    header = view.table.horizontalHeader()
    at = next(at for at in range(header.count()) if view.model.headerData(at, Qt.Orientation.Horizontal) == name)
    view.table.scrollTo(view.model.index(0, at))
    middle = QPoint(header.sectionViewportPosition(at) + header.sectionSize(at) // 2, header.height() // 2)
    QTest.mouseClick(header.viewport(), LEFT, pos=middle)


def test_a_header_sorts_both_ways_a_filter_hides_and_what_is_shown_is_saved(person, tmp_path):
    view, labels = person.widget.table_dock.view, person.viewer.layers["objects"].data
    pixels = {number: int((labels == number).sum()) for number in (1, 2, 3)}
    assert pixels[3] < pixels[1] < pixels[2]
    click_header(view, "area_um2")
    order = column(view, "label")
    assert order in (["3", "1", "2"], ["2", "1", "3"])
    click_header(view, "area_um2")
    assert column(view, "label") == order[::-1]
    assert [float(text) for text in column(view, "area_um2")] == pytest.approx(
        [pixels[int(number)] * PIXEL**2 for number in order[::-1]], rel=1e-3
    )

    QTest.keyClicks(view.filter, f"pixels > {pixels[3]}")
    person.qtbot.waitUntil(lambda: sorted(column(view, "label")) == ["1", "2"])
    assert view.note.text() == "2 of 3 objects"
    press(view.save_button)
    answer(view.dialog, tmp_path / "objects")
    with (tmp_path / "objects.csv").open(newline="") as file:
        saved = {int(row["label"]): row for row in csv.DictReader(file)}
    assert sorted(saved) == [1, 2]
    for number, row in saved.items():
        assert int(row["pixels"]) == pixels[number]
        assert float(row["area_um2"]) == pytest.approx(pixels[number] * PIXEL**2)
    means = [name for name in saved[1] if "mean" in name]
    assert float(saved[1][means[0]]) == pytest.approx(IMAGE[labels == 1].mean())

    view.filter.setFocus()
    QTest.keyClick(view.filter, Qt.Key_A, Qt.ControlModifier)
    QTest.keyClick(view.filter, Qt.Key_Backspace)
    assert view.note.text() == "3 of 3 objects"


def test_a_click_zooms_to_the_object_or_only_selects_it(person):
    view, camera = person.widget.table_dock.view, person.viewer.scene.camera
    zoom, centre = camera.zoom, camera.center
    tick(view.zoom_box)
    pick(view.table, column(view, "label").index("2"))
    person.qtbot.waitUntil(
        lambda: "selected objects" in [layer.name for layer in person.viewer.layers if layer.visible]
    )
    assert (camera.zoom, camera.center) == (zoom, centre), "it is seen already"
    tick(view.zoom_box)
    pick(view.table, column(view, "label").index("3"))
    assert camera.zoom > 2 * zoom
    np.testing.assert_allclose(camera.center[-2:], np.multiply((90, 130), PIXEL), atol=1)
    assert person.widget.objects_row.delete.isEnabled()
    person.viewer.layers.selection.active = person.viewer.layers["objects"]
    press(person.widget.objects_row.delete)
    person.qtbot.waitUntil(lambda: sorted(column(view, "label")) == ["1", "2"])
    assert 3 not in person.viewer.layers["objects"].data
