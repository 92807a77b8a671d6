"""The dock "Review masks", driven by keys: ratings in random order, blind, in every view."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_segany.evaluation.review import read_ratings
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.sa1b import write_sa1b
from napari_segany.widgets.review_session import VIEWS
from napari_segany.widgets.review_widget import ReviewWidget


@pytest.fixture
def folders(tmp_path):
    for name, left in (("one", 10), ("two", 12)):
        (tmp_path / name).mkdir()
        mask = np.zeros((60, 80), bool)
        mask[10:20, left : left + 15] = True
        Image.fromarray(np.full((60, 80), 90, np.uint8)).save(tmp_path / name / "sa_1.jpg")
        records = [MaskRecord.from_mask(mask, prompt={"points": [[15, 18]], "labels": [1]})]
        write_sa1b(tmp_path / name / "sa_1.json", records, file_name="sa_1.jpg", size=(60, 80))
    return {name: tmp_path / name for name in ("one", "two")}


def test_two_models_are_rated_with_keys(folders, tmp_path, make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    widget = ReviewWidget(viewer)
    dock = viewer.window.add_dock_widget(widget, name="Review masks")
    viewer.window.resize(1200, 900)
    qtbot.wait(100)  # the canvas has its size only then
    session, canvas = widget.session, viewer.window._qt_viewer.canvas.native
    assert viewer.keymap == {}, "napari keeps its keys as long as nothing is rated"
    session.open(folders, tmp_path / "ratings.csv")
    qtbot.wait(50)

    def press(key):
        canvas.setFocus()
        QTest.keyClick(canvas, key)

    first = session.review.current.source
    shown = {text for layer in viewer.layers for text in (layer.name, str(layer.metadata))} | {widget.note.text()}
    assert not any("one" in text or "two" in text for text in shown)
    zooms = {}
    for view in VIEWS:
        assert session.view == view
        zooms[view] = viewer.scene.camera.zoom
        assert viewer.layers["image"].visible == (view != "mask only")
        assert viewer.layers["mask"].contour == (2 if view == "contour" else 0)
        assert viewer.canvas.grid.enabled == (view == "side by side")
        press(Qt.Key_V)
    assert zooms["zoomed"] > 1.5 * zooms["whole"]
    dock.hide()
    press(Qt.Key_0)
    assert session.review.rated == 0, "what nobody looks at is not rated"
    assert viewer.keymap == {}
    dock.show()
    press(Qt.Key_0)
    assert session.review.current.source != first
    press(Qt.Key_Backspace)
    assert session.review.current.source == first
    press(Qt.Key_9)
    press(Qt.Key_3)
    press(Qt.Key_Backspace)
    assert session.review.rated == 2, "the last one can be rated anew"
    press(Qt.Key_4)
    assert widget.note.text() == f"All masks are rated. The histogram is in {tmp_path / 'ratings.png'}."
    assert (tmp_path / "ratings.png").is_file()
    ratings = {row["source"]: (row["rating"], row["object"]) for row in read_ratings(tmp_path / "ratings.csv")}
    assert ratings[first][0] == "9"
    assert len({name for _, name in ratings.values()}) == 1
    assert f"| {first} | 1 | 9.00 |" in widget.result.text()
    assert "mask" not in viewer.layers
    viewer.window.remove_dock_widget(widget)
    assert viewer.keymap == {}


def test_one_folder_is_rated_with_the_mouse(folders, tmp_path, make_napari_viewer, qtbot):
    """Three masks: the folder and the table from dialogs, the view from its box, ratings by click, and Back."""
    mask = np.zeros((60, 80), bool)
    mask[30:50, 40:60] = True
    records = [MaskRecord.from_mask(np.roll(mask, shift)) for shift in (0, 5, 10)]
    write_sa1b(tmp_path / "one" / "sa_1.json", records, file_name="sa_1.jpg", size=(60, 80))
    viewer = make_napari_viewer(show=True)
    widget = ReviewWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Review masks")
    viewer.window.resize(1200, 900)

    def click(button):
        qtbot.waitUntil(lambda: button.isEnabled() and not button.visibleRegion().isEmpty())
        qtbot.mouseClick(button, Qt.LeftButton)

    def rated():
        return {row["mask"]: row["rating"] for row in read_ratings(tmp_path / "ratings.csv")}

    assert not any(button.isEnabled() for button in (*widget.ratings, widget.back_button))
    click(widget.one)
    widget.dialog.fileSelected.emit(str(folders["one"]))
    assert not widget.dialog.isModal()
    widget.dialog.fileSelected.emit(str(tmp_path / "ratings.csv"))
    widget.dialog.close()
    assert widget.note.text().startswith("Mask 1 of 3")

    widget.views.showPopup()
    view = widget.views.view()
    place = view.visualRect(view.model().index(VIEWS.index("contour"), 0)).center()
    qtbot.mouseClick(view.viewport(), Qt.LeftButton, pos=place)
    qtbot.waitUntil(lambda: viewer.layers["mask"].contour == 2)

    click(widget.ratings[6])
    assert list(rated().values()) == ["7"]
    assert viewer.layers["mask"].contour == 2, "the view stays"
    click(widget.back_button)
    assert widget.note.text().startswith("Mask 1 of 3")
    click(widget.ratings[9])
    assert list(rated().values()) == ["10"]
    click(widget.ratings[0])
    click(widget.ratings[1])
    assert sorted(rated().values()) == ["1", "10", "2"]
    assert widget.note.text().startswith("All masks are rated.")
    assert not widget.ratings[0].isEnabled()
    assert "4.33" in widget.result.text()
