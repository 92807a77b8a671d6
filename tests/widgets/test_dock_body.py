"""Widgets end once when their dock lets go of them, and ask for places without standing in the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from napari.components import ViewerModel
from PIL import Image
from qtpy.QtWidgets import QWidget

from napari_segany.formats.record import MaskRecord
from napari_segany.formats.sa1b import write_sa1b
from napari_segany.widgets.dock_body import DockBody
from napari_segany.widgets.review_widget import ReviewWidget


def test_it_ends_once_however_often_it_loses_its_dock(qtbot):
    ends = []

    class Body(DockBody):
        def _end(self):
            ends.append(self)

    docks = [QWidget(), QWidget()]
    for dock in docks:
        qtbot.addWidget(dock)
    body = Body(docks[0])
    body.setParent(docks[1])
    assert not ends
    assert not body.is_closed
    body.setParent(None)
    body.setParent(docks[0])
    body.setParent(None)
    assert ends == [body]
    assert body.is_closed


def test_the_review_asks_for_its_places_one_after_the_other_beside_the_viewer(qtbot, tmp_path):
    viewer = ViewerModel()
    widget = ReviewWidget(viewer)
    qtbot.addWidget(widget)
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        Image.fromarray(np.zeros((20, 30), np.uint8)).save(folder / "sa_1.jpg")
        mask = np.zeros((20, 30), bool)
        mask[5:9, 5:9] = True
        write_sa1b(folder / "sa_1.json", [MaskRecord.from_mask(mask)], file_name="sa_1.jpg", size=(20, 30))
    widget.two.click()
    asked = []
    for answer in (tmp_path / "one", tmp_path / "two", tmp_path / "ratings.csv"):
        assert not widget.dialog.isModal()
        asked.append(widget.dialog.windowTitle())
        widget.dialog.fileSelected.emit(str(answer))
    assert asked == ["Folder 1 of 2", "Folder 2 of 2", "Where the ratings are kept"]
    assert Path(widget.session.review.current.source).name
    assert "image" in viewer.layers
    widget._tear_down()
    assert "image" not in viewer.layers
