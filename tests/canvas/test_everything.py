"""Segmenting everything with real mouse and key events: run, cancel, filter, delete, join, pick, save, open again."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from napari._app_model import get_app_model
from pycocotools.coco import COCO
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog
from tests.tiny_clip import write_tiny_clip

from napari_segany.widgets.everything_widget import EverythingWidget
from napari_segany.widgets.kept_masks import MASKS_KEY
from napari_segany.widgets.section import Section
from napari_segany.widgets.settings import Settings

SHAPE = (96, 128)
# a cell with a nucleus in it, and two cells apart
DISCS = ((30, 30, 18, 150), (30, 30, 8, 240), (70, 100, 10, 200), (20, 100, 10, 230))


class Person:
    """Somebody in front of the viewer."""

    def __init__(self, viewer, widget, finder, qtbot) -> None:
        self.viewer, self.widget, self.finder, self.qtbot = viewer, widget, finder, qtbot
        self.session, self.editor = widget.session, widget.session.editor

    @property
    def canvas(self):
        return self.viewer.window._qt_viewer.canvas

    @property
    def idle(self) -> bool:
        return not self.session.is_busy

    def press(self, button) -> None:
        self.qtbot.mouseClick(button, Qt.LeftButton)

    def key(self, key, modifier=Qt.NoModifier) -> None:
        self.canvas.native.setFocus()
        QTest.keyClick(self.canvas.native, key, modifier)

    def click(self, position, modifier=Qt.NoModifier) -> None:
        image = self.session.image
        transform = self.canvas.view.transform * self.canvas.view.scene.transform
        point = transform.map([*np.asarray(image.data_to_world(position))[::-1], 0, 1])
        place = QPoint(*(round(value) for value in point[:2] / point[3]))
        QTest.mouseClick(self.canvas.native, Qt.LeftButton, modifier, place)

    def run(self, count) -> None:
        self.press(self.widget.run_row.button)
        self.qtbot.waitUntil(lambda: len(self.session.objects) == count and self.idle, timeout=60_000)


@pytest.fixture
def begin(make_napari_viewer, qtbot, discs):
    def open_it(image, **kwargs):
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1200, 850)
        viewer.add_image(image, **kwargs)
        finder = discs.DiscFinder()
        widget = EverythingWidget(viewer, load_predictor=lambda model, device: finder, settings=Settings())
        viewer.window.add_dock_widget(widget, name="Segment everything", area="right")
        person = Person(viewer, widget, finder, qtbot)
        person.session.change(points_per_side=8, pred_iou_thresh=0.5, stability_score_thresh=0.5)
        qtbot.waitUntil(lambda: person.idle, timeout=60_000)  # the model is loaded and timed
        qtbot.wait(100)
        return person

    return open_it


@pytest.fixture
def person(begin, discs):
    return begin(discs.disc_image(SHAPE, DISCS), name="discs")


def test_run_filter_select_delete_and_take_back(person):
    assert "less than" in person.widget.run_row.estimate.text() or "about" in person.widget.run_row.estimate.text()
    person.run(4)
    layer = person.session.layer
    assert person.viewer.layers.selection.active is layer
    calls = person.finder.calls

    slider = person.widget.form.fields["pred_iou_thresh"]._slider
    QTest.mouseClick(slider, Qt.LeftButton, Qt.NoModifier, QPoint(slider.width() - 2, slider.height() // 2))
    person.qtbot.waitUntil(lambda: person.idle and not layer.data.any(), timeout=20_000)
    assert person.session.settings.pred_iou_thresh > 0.97
    QTest.mouseClick(slider, Qt.LeftButton, Qt.NoModifier, QPoint(1, slider.height() // 2))
    person.qtbot.waitUntil(lambda: person.idle and len(person.session.objects) >= 4, timeout=20_000)
    person.session.change(pred_iou_thresh=0.5)
    person.qtbot.waitUntil(lambda: person.idle and len(person.session.objects) == 4, timeout=20_000)
    assert person.finder.calls == calls, "filtering must not ask the model"

    nucleus, cell = int(layer.data[30, 30]), int(layer.data[30, 16])
    person.click((30, 30))
    assert person.editor.selection == (nucleus,)
    person.click((30, 30))
    assert person.editor.selection == (cell,), "a click on the same place goes to the object around"
    person.click((30, 30))
    person.key(Qt.Key_Delete)
    person.qtbot.waitUntil(lambda: person.idle and layer.data[30, 30] == cell, timeout=20_000)
    assert nucleus not in person.session.objects
    person.key(Qt.Key_Z, Qt.ControlModifier)
    person.qtbot.waitUntil(lambda: person.idle and layer.data[30, 30] == nucleus, timeout=20_000)


def test_join_and_pick(person):
    person.run(4)
    layer = person.session.layer
    person.click((70, 100))
    person.click((20, 100), Qt.ShiftModifier)
    first, second = person.editor.selection
    person.key(Qt.Key_J)
    joined = min(first, second)
    person.qtbot.waitUntil(
        lambda: person.idle and layer.data[70, 100] == layer.data[20, 100] == joined, timeout=20_000
    )
    person.key(Qt.Key_N)
    objects = person.viewer.layers["objects"]
    np.testing.assert_array_equal(objects.data == 1, layer.data == joined)


def test_dragging_moves_the_view_and_selects_nothing(person):
    person.run(4)
    native, center = person.canvas.native, person.viewer.scene.camera.center
    QTest.mousePress(native, Qt.LeftButton, Qt.NoModifier, QPoint(200, 200))
    for step in (20, 60):
        QTest.mouseMove(native, QPoint(200 + step, 200 + step))
        person.qtbot.wait(20)
    QTest.mouseRelease(native, Qt.LeftButton, Qt.NoModifier, QPoint(260, 260))
    assert person.editor.selection == ()
    assert person.viewer.scene.camera.center != center


def test_cancel_stops_and_keeps_the_slices_that_are_finished(begin, discs):
    person = begin(np.stack([discs.disc_image(SHAPE, DISCS)] * 3), contrast_limits=(0, 255))
    row = person.widget.run_row
    row.slices.setCurrentIndex(1)
    finished = person.session.results_changed
    finished.connect(lambda: setattr(person.finder, "held", True))
    person.press(row.button)
    person.qtbot.waitUntil(lambda: person.finder.held, timeout=60_000)
    assert row.button.text() == "Cancel"
    person.press(row.button)
    person.finder.released.set()
    person.qtbot.waitUntil(lambda: person.idle and person.widget._runner.running == 0, timeout=20_000)
    slices = {found.plane.index for found in person.session.objects.values()}
    assert 0 < len(slices) < 3
    drawn = set(np.flatnonzero(person.session.layer.data.any(axis=(1, 2))))
    assert drawn == {index for (index,) in slices}


def test_naparis_features_table_selects_the_objects_rightly(person):
    person.run(4)
    layer = person.session.layer
    person.click((70, 100))
    person.key(Qt.Key_Delete)  # a gap in the labels must not shift the rows
    person.qtbot.waitUntil(lambda: person.idle and layer.data[70, 100] == 0, timeout=20_000)
    _, table = person.viewer.window.add_plugin_dock_widget("napari", "Features table widget")
    person.viewer.layers.selection.active = layer
    person.qtbot.waitUntil(lambda: table.table.model().rowCount() == len(layer.features), timeout=20_000)
    label = int(layer.data[20, 100])
    table.table.selectRow(label)
    assert layer.selected_label == label
    assert person.editor.selection == (label,)
    assert layer.features.loc[label, "index"] == label
    assert layer.features.loc[label, "area"] == person.session.objects[label].record.area
    person.click((30, 30))
    (row,) = {index.row() for index in table.table.selectionModel().selectedIndexes()}
    assert table.table.model().mapToSource(table.table.model().index(row, 0)).row() == person.editor.selection[0]


def test_an_object_is_deleted_and_the_rest_saved_as_coco_and_loaded_again(person, tmp_path, monkeypatch):
    person.run(4)
    layer = person.session.layer
    person.click((70, 100))
    person.key(Qt.Key_Delete)
    person.qtbot.waitUntil(lambda: person.idle and layer.data[70, 100] == 0, timeout=20_000)
    before = person.session.objects
    assert len(before) == 3
    path = tmp_path / "discs.coco.json"
    asked = []

    def answered(self, parent, caption, directory, filter, options):
        asked.append(filter)
        return str(path), "napari-segany COCO instances (*.coco.json *.json)"

    monkeypatch.setattr(QFileDialog, "getSaveFileName", answered)
    person.viewer.layers.selection = {layer}
    execute = get_app_model().commands.execute_command
    execute("napari.window.file.save_layers_dialog.selected").result()
    assert len(asked) == 1
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    annotations = {one["label"]: one for one in coco.loadAnns(coco.getAnnIds())}
    assert set(annotations) == set(before)
    for label, found in before.items():  # the cell is whole, the nucleus in it too
        np.testing.assert_array_equal(coco.annToMask(annotations[label]) > 0, found.record.mask)

    person.viewer.open(str(path), plugin="napari-segany")
    back = person.viewer.layers[-1]
    np.testing.assert_array_equal(back.data, layer.data)
    for name in ("predicted_iou", "stability_score", "area"):
        np.testing.assert_array_equal(back.features[name], layer.features[name])
    kept = {one.label: one.record for one in back.metadata[MASKS_KEY].planes[()]}
    assert {label: record.rle for label, record in kept.items()} == {
        label: found.record.rle for label, found in before.items()
    }

    person.viewer.layers.remove(layer)  # and into the widget, to go on with them
    assert person.session.objects == {}
    person.editor.open_records([record for _, record in sorted(kept.items())])
    person.qtbot.waitUntil(lambda: person.idle and len(person.session.objects) == 3, timeout=20_000)
    person.click((20, 100))
    person.key(Qt.Key_Delete)
    person.qtbot.waitUntil(lambda: person.idle and person.session.layer.data[20, 100] == 0, timeout=20_000)


def test_closed_while_it_runs(person):
    person.finder.held = True
    person.finder.begun.clear()
    person.press(person.widget.run_row.button)
    person.qtbot.waitUntil(person.finder.begun.is_set, timeout=20_000)
    person.viewer.window.remove_dock_widget(person.widget)
    person.finder.released.set()
    person.qtbot.waitUntil(lambda: person.widget._runner.running == 0, timeout=20_000)
    assert [layer.name for layer in person.viewer.layers] == ["discs"]


def test_it_opens_by_its_plugin_name(make_napari_viewer_proxy, discs, qtbot):
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(1280, 800)
    viewer.add_image(discs.disc_image(SHAPE, DISCS), name="discs")
    _, widget = viewer.window.add_plugin_dock_widget("napari-segany", "Segment everything")
    assert type(widget).__name__ == "EverythingWidget"
    assert widget.session.image.name == "discs"
    qtbot.wait(50)
    right = widget.mapToGlobal(widget.rect().topRight()).x()
    for part in (widget.run_row.button, widget.delete_button, widget.form.fields["pred_iou_thresh"]):
        assert part.mapToGlobal(part.rect().topRight()).x() <= right
    assert widget.height() <= 800
    qtbot.waitUntil(lambda: widget.session.state.phase != "working", timeout=120_000)


def test_words_typed_in_the_dock_choose_among_the_objects(person, tmp_path, qtbot):
    pytest.importorskip("transformers")
    write_tiny_clip(tmp_path)
    person.run(4)
    panel, words = person.widget.words_panel, person.session.words
    (section,) = [one for one in person.widget.findChildren(Section) if one.text() == "Words"]
    person.press(section.toggleButton())
    qtbot.waitUntil(panel.isVisible)

    def enter(line, text) -> None:
        line.setFocus()
        line.selectAll()
        QTest.keyClicks(line, text)
        QTest.keyClick(line, Qt.Key_Return)

    enter(panel.line, "a nucleus")  # the public CLIP is not here, and is not fetched unasked
    qtbot.waitUntil(lambda: words.needs_download, timeout=60_000)
    assert panel.button.isVisible()
    assert panel.button.text() == "Download CLIP (0.6 GB)"
    assert len(person.session.objects) == 4
    enter(panel.folder_row.line, str(tmp_path))
    qtbot.waitUntil(lambda: "fit" in words.status and not words.is_busy and person.idle, timeout=60_000)
    assert not panel.button.isVisible()
    scores = words.fit(person.session.plane).scores.values()
    assert panel.status_label.text() == words.status

    calls, shown = person.finder.calls, panel.slider._slider
    QTest.mouseClick(shown, Qt.LeftButton, Qt.NoModifier, QPoint(shown.width() - 2, shown.height() // 2))
    qtbot.waitUntil(lambda: words.query.threshold > max(scores) and person.idle and not person.session.objects)
    assert "None of 4 objects fits" in panel.status_label.text()
    assert not person.session.layer.data.any()
    QTest.mouseClick(shown, Qt.LeftButton, Qt.NoModifier, QPoint(2, shown.height() // 2))
    qtbot.waitUntil(lambda: len(person.session.objects) == 4 and person.idle)
    assert person.session.layer.features["fits_words"].notna().sum() == 4
    panel.line.setFocus()
    panel.line.selectAll()
    QTest.keyClick(panel.line, Qt.Key_Delete)
    qtbot.waitUntil(lambda: words.query is None and person.idle and "fits_words" not in person.session.layer.features)
    assert person.finder.calls == calls
