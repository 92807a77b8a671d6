"""Saving and opening as a person does it: the menu's dialog, a file dropped on the canvas, a damaged file."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from pycocotools.coco import COCO
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QFileDialog

from napari_segany.formats.record import MaskRecord
from napari_segany.formats.sa1b import write_sa1b
from napari_segany.widgets.file_writers import NotSavedError

SHAPE = (60, 80)
COCO_FILTER = "napari-segany COCO instances (*.coco.json *.json)"


@pytest.fixture
def labels() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint16)
    labels[5:30, 5:30] = 1
    labels[10:20, 10:20] = 3
    return labels


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8), name="image")
    return viewer


def answer_dialog(monkeypatch, path, wanted: str, offered: list[str]) -> None:
    """Let the save dialog be answered with a name and a filter."""

    def answered(self, parent, caption, directory, filter, options):
        offered.extend(filter.split(";;"))
        return str(path), wanted

    monkeypatch.setattr(QFileDialog, "getSaveFileName", answered)


def drop(viewer, *paths) -> None:
    """Drop files on the viewer, as from a file manager."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    event = QDropEvent(
        QPointF(20, 20), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    viewer.window._qt_viewer.dropEvent(event)


def test_save_selected_and_drop_again(viewer, labels, tmp_path, monkeypatch):
    features = {"index": range(4), "predicted_iou": [np.nan, 0.9, np.nan, 0.7]}
    layer = viewer.add_labels(labels, name="objects", features=features)
    viewer.layers.selection = {layer}
    offered: list[str] = []
    answer_dialog(monkeypatch, tmp_path / "objects", COCO_FILTER, offered)
    viewer.window._qt_viewer._save_layers_dialog(selected=True)
    assert {COCO_FILTER, "napari-segany SA-1B masks (*.sa1b.json)"} <= set(offered)
    path = tmp_path / "objects.coco.json"
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    for annotation in coco.loadAnns(coco.getAnnIds()):
        np.testing.assert_array_equal(coco.annToMask(annotation) > 0, labels == annotation["label"])
    assert coco.loadImgs(1)[0]["file_name"] == "image", "the only image of the labels' size"
    drop(viewer, path)
    back = viewer.layers[-1]
    assert back.name == "objects [1]"
    np.testing.assert_array_equal(back.data, labels)
    np.testing.assert_array_equal(back.features["predicted_iou"], features["predicted_iou"])


def test_save_all_offers_the_formats_beside_an_image(viewer, labels, tmp_path, monkeypatch):
    viewer.add_labels(labels, name="objects")
    offered: list[str] = []
    answer_dialog(monkeypatch, tmp_path / "all.coco.json", COCO_FILTER, offered)
    viewer.window._qt_viewer._save_layers_dialog()
    assert COCO_FILTER in offered
    assert (tmp_path / "all.coco.json").is_file()


def test_the_status_bar_and_the_features_table_tell_the_scores_of_a_dropped_file(viewer, tmp_path):
    large, small = np.zeros((2, *SHAPE), bool)
    large[2:40, 2:40] = small[10:20, 10:20] = True
    records = [MaskRecord.from_mask(small, predicted_iou=0.25), MaskRecord.from_mask(large, predicted_iou=0.75)]
    write_sa1b(tmp_path / "sa_1.json", records, file_name="sa_1.jpg", size=SHAPE)
    drop(viewer, tmp_path / "sa_1.json")
    layer = viewer.layers[-1]
    assert "predicted_iou: 0.25" in str(layer.get_status((15, 15), world=True))
    assert "predicted_iou: 0.75" in str(layer.get_status((5, 5), world=True))
    assert layer.features["predicted_iou"][layer.data[15, 15]] == 0.25


def test_a_damaged_file_is_one_sentence_and_opens_nothing(viewer, tmp_path):
    path = tmp_path / "cut.coco.json"
    path.write_text('{"images": [')
    for open_it in (lambda: drop(viewer, path), lambda: viewer.open(str(path), plugin="napari-segany")):
        before = len(notification_manager.records)
        open_it()
        (notification,) = notification_manager.records[before:]
        assert notification.message == "cut.coco.json is no JSON file, or it is cut off; a COCO file was expected."
        assert notification.severity == "error"
    assert [layer.name for layer in viewer.layers] == ["image"]


def test_what_cannot_be_saved_is_told(viewer, labels, tmp_path, monkeypatch):
    layer = viewer.add_labels(np.stack([labels, labels]), name="stack")
    viewer.layers.selection = {layer}
    answer_dialog(monkeypatch, tmp_path / "a.sa1b.json", "napari-segany SA-1B masks (*.sa1b.json)", [])
    with pytest.raises(NotSavedError, match="takes a stack plane by plane"):
        viewer.window._qt_viewer._save_layers_dialog(selected=True)


def test_readers_and_writers_are_greyed_out_in_the_command_palette(viewer):
    from napari._app_model import get_app_model
    from napari._qt.widgets.qt_command_palette import _enabled

    app = get_app_model()
    files = [
        item.command
        for item in app.menus.get_menu(app.menus.COMMAND_PALETTE_ID)
        if item.command.id.startswith(("napari-segany.read_", "napari-segany.write_"))
    ]
    assert len(files) == 14
    assert not any(_enabled(command, {}) for command in files)
