"""The dock of segmenting a folder without a canvas: what it shows, and that its parts call the session."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from PIL import Image as Picture
from qtpy.QtCore import Qt

from napari_segany.engine.automatic_presets import PRESETS
from napari_segany.engine.batch.output_names import EVERY_OUTPUT
from napari_segany.engine.progress import Progress
from napari_segany.widgets import batch_widget
from napari_segany.widgets.batch_run_row import BatchRunRow
from napari_segany.widgets.batch_widget import BatchWidget
from napari_segany.widgets.batch_work import BatchStep
from napari_segany.widgets.catalogue import Catalogue, ModelChoice
from napari_segany.widgets.everything_asker import WorkState
from napari_segany.widgets.everything_parameters import PARAMETERS
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.settings import Settings

SHAPE = (64, 64)
DISCS = ((20, 20, 12, 200), (45, 45, 10, 240))
CATALOGUE = Catalogue((ModelChoice("light", present=True), ModelChoice("vit_b", present=True)), ("auto", "cpu"))


class DiscModel:
    """The model that finds discs."""

    def __init__(self, finder):
        self.finder = finder

    def digest_steps(self):
        yield Progress(0, 1)
        return "discs"

    def load(self):
        return self.finder


@pytest.fixture
def open_widget(viewer, discs, qtbot, monkeypatch):
    def catalogue_steps(folder):
        yield Progress(0, 0)
        return CATALOGUE

    monkeypatch.setattr(batch_widget, "catalogue_steps", catalogue_steps)

    def begin(runner=None, settings=None, *, closed=True):
        """`closed`: at the end of the test; a widget that leaves its dock is deleted by then."""
        widget = BatchWidget(
            viewer,
            runner=runner or SynchronousRunner(),
            make_model=lambda model, device: DiscModel(discs.DiscFinder()),
            settings=settings or Settings(),
        )
        if closed:
            qtbot.addWidget(widget)
        widget.session.change(points_per_side=4, pred_iou_thresh=0.5, stability_score_thresh=0.5)
        return widget

    return begin


@pytest.fixture
def widget(open_widget):
    return open_widget()


@pytest.fixture
def folder(tmp_path, discs):
    folder = tmp_path / "in"
    (folder / "deeper").mkdir(parents=True)
    for path in (folder / "a.png", folder / "deeper/b.png"):
        Picture.fromarray(discs.disc_image(SHAPE, DISCS)).save(path)
    return folder


def press(qtbot, button) -> None:
    qtbot.mouseClick(button, Qt.LeftButton)


def choose(combo, name) -> None:
    combo.setCurrentIndex(combo.findData(name))
    combo.activated.emit(combo.currentIndex())


def pick(qtbot, combo, text) -> None:
    """Choose by keys, as from an open list."""
    combo.setCurrentIndex(0)
    while combo.currentText() != text:
        before = combo.currentIndex()
        qtbot.keyClick(combo, Qt.Key_Down)
        assert combo.currentIndex() > before


def type_into(qtbot, row, text) -> None:
    row.line.clear()
    qtbot.keyClicks(row.line, str(text))


def test_the_open_layers_are_listed_and_segmented(widget, viewer, discs, qtbot, tmp_path):
    assert widget.inputs_row.words.text() == "No image layers"
    assert widget.status_label.text().startswith("No image is open")
    for name in "abcde":
        layer = viewer.add_image(discs.disc_image(SHAPE, DISCS), name=name)
    assert widget.inputs_row.words.text() == "5 image layers: a, b, c, d, ..."
    layer.name = "z"
    assert widget.inputs_row.words.toolTip().splitlines() == ["a", "b", "c", "d", "z"]
    type_into(qtbot, widget.output_row, tmp_path / "out")
    assert widget.status_label.text().startswith("Press Run.")
    assert not widget.open_button.isEnabled()
    press(qtbot, widget.run_row.button)
    assert widget.status_label.text() == "5 images, 10 masks."
    press(qtbot, widget.open_button)
    assert viewer.layers["z masks"].data.max() == 2


def test_a_folder_is_typed_or_chosen(widget, folder, qtbot, tmp_path):
    row = widget.inputs_row
    choose(row.source_combo, "folder")
    assert row.words.isHidden()
    assert row.files_button.isHidden()
    assert not row.folder_row.isHidden()
    assert widget.status_label.text() == "Choose a folder of images."
    type_into(qtbot, row.folder_row, folder)
    assert widget.session.folder == folder
    press(qtbot, widget.output_row.button)
    assert not widget.output_row.dialog.isModal()
    widget.output_row.dialog.fileSelected.emit(str(tmp_path / "chosen"))
    assert widget.session.output == tmp_path / "chosen"
    press(qtbot, widget.run_row.button)
    assert widget.status_label.text() == "1 image, 2 masks."
    row.recursive_box.setChecked(True)
    assert widget.session.recursive
    press(qtbot, widget.run_row.button)
    assert widget.status_label.text() == "2 images, 4 masks, 1 complete before."


def test_zarrs_of_the_folder_are_segmented_with_its_files(widget, folder, viewer, discs, qtbot, tmp_path):
    zarr.save_array(str(folder / "slide.zarr"), discs.disc_image((128, 160), ((60, 70, 20, 200),)))
    choose(widget.inputs_row.source_combo, "folder")
    type_into(qtbot, widget.inputs_row.folder_row, folder)
    type_into(qtbot, widget.output_row, tmp_path / "out")
    press(qtbot, widget.run_row.button)
    assert widget.status_label.text().startswith("2 images, 3 masks. 1 of them was done tile by tile")
    press(qtbot, widget.open_button)
    assert {layer.name for layer in viewer.layers} == {"a", "a masks", "slide masks"}


def test_files_are_chosen(widget, folder, qtbot, tmp_path):
    row = widget.inputs_row
    choose(row.source_combo, "files")
    assert row.words.text() == "No files"
    files = [str(folder / "a.png"), str(folder / "deeper/b.png")]
    press(qtbot, row.files_button)
    assert not row.dialog.isModal()
    row.dialog.filesSelected.emit(files)
    row.dialog.close()
    assert row.words.text() == "2 files: a.png, b.png"
    press(qtbot, row.files_button)
    row.dialog.reject()
    assert len(widget.session.files) == 2, "a dialog that was closed changes nothing"
    type_into(qtbot, widget.output_row, tmp_path / "out")
    press(qtbot, widget.run_row.button)
    assert widget.status_label.text() == "2 images, 4 masks."


def test_the_session_shows_in_the_widget(widget, folder, tmp_path):
    session = widget.session
    session.use_folder(folder, recursive=True)
    session.choose_output(tmp_path / "out")
    assert widget.inputs_row.source_combo.currentData() == "folder"
    assert widget.inputs_row.folder_row.line.text() == str(folder)
    assert widget.inputs_row.recursive_box.isChecked()
    assert widget.output_row.line.text() == str(tmp_path / "out")
    session.choose_output(None)
    assert widget.output_row.line.text() == ""
    assert widget.status_label.text() == "Choose a folder to write into."


def test_outputs_are_ticked_and_explained(widget):
    assert [name for name, box in widget.output_boxes.items() if box.isChecked()] == ["labels", "csv"]
    for name, box in widget.output_boxes.items():
        assert EVERY_OUTPUT[name] in box.toolTip()
        box.setChecked(name in ("coco", "yolo"))
    assert widget.session.outputs == ("coco", "yolo")
    for box in widget.output_boxes.values():
        box.setChecked(False)
    assert widget.session.outputs == ()


def test_presets_fields_and_overlaps(widget):
    for preset in PRESETS:
        choose(widget.preset_combo, preset.name)
        assert widget.session.settings == preset.settings
        assert widget.preset_note.text() == preset.note
    widget.form.fields["pred_iou_thresh"].setValue(0.33)
    assert widget.session.settings.pred_iou_thresh == 0.33
    assert widget.preset_combo.currentIndex() == -1
    assert widget.preset_note.text() == "Own settings."
    choose(widget.painting_combo, "larger")
    assert widget.session.painting == "larger"
    for parameter in PARAMETERS:
        tip = widget.form.fields[parameter.name].toolTip()
        assert parameter.tip in tip
        assert "at once." not in tip.replace(parameter.tip, "")


def test_the_size_of_objects_of_images_by_tiles(widget, qtbot):
    row, section = widget.object_size_row, widget.tiling_section
    assert not section.isExpanded()
    qtbot.mouseClick(section.toggleButton(), Qt.LeftButton)
    assert section.isExpanded()
    assert widget.session.tiling.object_size is None
    assert row.box.isHidden()
    pick(qtbot, row.combo, "Measure them first")
    assert widget.session.tiling.object_size == "auto"
    pick(qtbot, row.combo, "Objects of (px)")
    assert not row.box.isHidden()
    row.box.selectAll()
    qtbot.keyClicks(row.box, "36")
    assert widget.session.tiling.object_size != 36, "a number that is being typed is no wish yet"
    qtbot.keyClick(row.box, Qt.Key_Return)
    assert widget.session.tiling.object_size == 36
    widget.session.choose_object_size(None)
    assert row.combo.currentText() == "Objects of any size"
    pick(qtbot, row.combo, "Objects of (px)")
    assert widget.session.tiling.object_size == 36, "the number is remembered"
    for field in (row.combo, row.box):
        assert "diameter" in field.toolTip()


def test_model_and_device(widget):
    widget.model_picker.chosen.emit("vit_b")
    assert widget.session.model == widget.model_picker.currentData() == "vit_b"
    widget.device_combo.textActivated.emit("cpu")
    assert widget.session.device == "cpu"


def test_the_preferences_are_where_it_begins(open_widget, tmp_path):
    widget = open_widget(settings=Settings(model="vit_b", device="cpu"))
    assert widget.session.model == widget.model_picker.currentData() == "vit_b"
    assert widget.device_combo.currentText() == "cpu"


def test_nothing_chosen_is_said_when_run_is_pressed(widget, viewer, qtbot):
    press(qtbot, widget.run_row.button)
    assert widget.status_label.text().startswith("No image is open")
    viewer.add_image(np.zeros(SHAPE, np.uint8))
    press(qtbot, widget.run_row.button)
    assert widget.status_label.text() == "Choose a folder to write into."
    assert widget.run_row.button.text() == "Run"


def test_run_cancel_and_go_on(open_widget, by_hand, folder, qtbot, tmp_path):
    widget = open_widget(by_hand)
    widget.session.use_folder(folder, recursive=True)
    widget.session.choose_output(tmp_path / "out")
    press(qtbot, widget.run_row.button)
    assert widget.run_row.button.text() == "Cancel"
    task = by_hand.tasks[-1]
    while widget.run_row.images_bar.format() != "1 of 2 images":
        assert task.step()
    press(qtbot, widget.run_row.button)
    assert widget.run_row.button.text() == "Run"
    assert widget.status_label.text().startswith("Stopped: 1 of 2 images are complete.")
    press(qtbot, widget.run_row.button)
    by_hand.finish_all()
    assert widget.status_label.text() == "2 images, 4 masks, 1 complete before."
    assert widget.open_button.isEnabled()


def test_progress_over_images_and_within_one(qtbot):
    row = BatchRunRow()
    qtbot.addWidget(row)
    assert row.images_bar.isHidden()
    step = BatchStep(1, 4, "cells: Asking the points", Progress(3, 12), has_begun=True)
    row.show_state(WorkState("working", step, 75.0))
    assert (row.images_bar.value(), row.images_bar.format()) == (250, "1 of 4 images")
    assert row.stage_bar.value() == 250
    assert row.note.text() == "cells: Asking the points. About 1 min left."
    row.show_state(WorkState("working", Progress(0, 0, "Looking for the images")))
    assert row.images_bar.maximum() == 0
    assert row.stage_bar.isHidden()
    with qtbot.waitSignal(row.cancelled):
        press(qtbot, row.button)
    row.show_state(WorkState("failed", message="no"))
    assert row.note.isHidden()
    with qtbot.waitSignal(row.run_wanted):
        press(qtbot, row.button)


def test_taken_out_of_its_dock_it_lets_go(open_widget, by_hand, viewer, folder, tmp_path, qtbot):
    from qtpy.QtWidgets import QWidget

    widget = open_widget(by_hand, closed=False)
    holder = QWidget()
    qtbot.addWidget(holder)
    widget.setParent(holder)
    widget.session.use_folder(folder)
    widget.session.choose_output(tmp_path / "out")
    widget.session.run()
    widget.setParent(None)
    assert not by_hand.running
    viewer.add_image(np.zeros(SHAPE))
    assert widget.inputs_row.source_combo.currentData() == "folder"
