"""The dock widget without a canvas: what it shows, and that its parts call the session."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox, QWidget

from napari_segany.engine.mask_cleaning import CleanUp
from napari_segany.engine.progress import Progress
from napari_segany.widgets import prompt_widget
from napari_segany.widgets.catalogue import Catalogue, ModelChoice
from napari_segany.widgets.embedder import EmbeddingState
from napari_segany.widgets.keys import KEYS
from napari_segany.widgets.progress_row import ProgressRow
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.prompt_widget import PromptWidget
from napari_segany.widgets.settings import Settings

FLAT = np.arange(40 * 50, dtype=np.uint8).reshape(40, 50)
CATALOGUE = Catalogue(
    (
        ModelChoice("light", present=True, note="Small."),
        ModelChoice("vit_b", present=False, size_bytes=375_042_383, note="Licence: Apache-2.0."),
        ModelChoice("vit_l", present=False, damaged=True),
    ),
    ("auto", "cpu"),
)


@pytest.fixture
def open_widget(viewer, predictor, qtbot, monkeypatch, tmp_path):
    monkeypatch.setenv("SEGANY_DATA", str(tmp_path))

    def catalogue_steps(folder):
        yield Progress(0, 0)
        return CATALOGUE

    monkeypatch.setattr(prompt_widget, "catalogue_steps", catalogue_steps)

    def begin(runner=None, *, closed=True):
        """`closed`: at the end of the test; a widget that leaves its dock is deleted by then."""
        widget = PromptWidget(
            viewer,
            runner=runner or SynchronousRunner(),
            load_predictor=lambda model, device: predictor,
            settings=Settings(),
        )
        if closed:
            qtbot.addWidget(widget)
        return widget

    return begin


def test_it_begins_with_the_active_image_and_the_point_tool(open_widget, viewer):
    first, _ = viewer.add_image(FLAT, name="one"), viewer.add_image(FLAT, name="two")
    viewer.layers.selection.active = first
    widget = open_widget()
    assert widget.session.image is first
    assert widget.image_combo.currentText() == "one"
    assert widget.session.prompt_layers.points.mode == "add"
    assert widget.tool_row.points.isChecked()
    assert widget.session.embedding_state.phase == "ready"
    assert "Click on an object" in widget.status_label.text()


def test_without_an_image_it_waits_for_one(open_widget, viewer):
    widget = open_widget()
    assert widget.status_label.text() == "Open an image to begin."
    assert not widget.progress_row.button.isEnabled()
    image = viewer.add_image(FLAT)
    assert widget.session.image is image
    assert widget.session.prompt_layers.points.mode == "add"


def test_images_only_are_offered_and_choosing_one_changes_the_session(open_widget, viewer):
    viewer.add_image(FLAT, name="one")
    viewer.add_image(FLAT, name="two")
    widget = open_widget()
    viewer.add_labels(np.zeros((4, 4), int), name="drawn")
    assert [widget.image_combo.itemText(index) for index in range(widget.image_combo.count())] == ["two", "one"]
    widget.image_combo.setCurrentIndex(1)
    assert widget.session.image.name == "one"
    viewer.layers["one"].name = "renamed"
    assert widget.image_combo.currentText() == "renamed"


def test_list_and_buttons_show_the_candidates(open_widget, viewer, qtbot):
    viewer.add_image(FLAT)
    widget = open_widget()
    assert not widget.accept_button.isEnabled()
    widget.session.add_point((10, 20))
    assert widget.candidate_list.count() == 3
    assert widget.candidate_list.item(1).text() == "mask 2\npredicted IoU 0.80\nstability 0.85"
    assert not widget.candidate_list.item(0).icon().isNull()
    assert widget.candidate_list.currentRow() == 0
    qtbot.mouseClick(widget.next_button, Qt.LeftButton)
    assert (widget.candidate_list.currentRow(), widget.session.selected) == (1, 1)
    qtbot.mouseClick(widget.previous_button, Qt.LeftButton)
    assert widget.session.selected == 0
    qtbot.mouseClick(widget.accept_button, Qt.LeftButton)
    assert viewer.layers["objects"].data.max() == 1
    assert widget.candidate_list.count() == 0
    assert not widget.next_button.isEnabled()
    widget.session.add_point((30, 20))
    qtbot.mouseClick(widget.drop_button, Qt.LeftButton)
    assert not widget.session.prompts
    assert not widget.drop_button.isEnabled()


def test_what_becomes_of_overlaps_is_a_choice(open_widget, viewer):
    viewer.add_image(FLAT)
    widget = open_widget()
    assert widget.session.overlap == "keep"
    combo = widget.objects_row.overlap
    combo.activated.emit(combo.findData("smaller"))
    assert widget.session.overlap == "smaller"


def test_clean_up_is_chosen_in_the_dock(open_widget, viewer, qtbot):
    viewer.add_image(FLAT)
    widget = open_widget()
    row, editor = widget.objects_row, widget.session.editor
    row.fill_holes.setChecked(True)
    row.largest_part.setChecked(True)
    row.drop_islands.setValue(7)
    row.smooth.setValue(2)
    assert editor.cleaning == CleanUp(True, 7, True, 2)
    assert not editor.clean_accepted
    row.clean_accepted.setChecked(True)
    assert editor.clean_accepted


def test_buttons_for_objects_follow_the_selection_and_the_history(open_widget, viewer, qtbot):
    viewer.add_image(FLAT)
    widget = open_widget()
    row, session = widget.objects_row, widget.session
    buttons = (row.delete, row.reopen, row.merge, row.split, row.clean)
    assert not any(button.isEnabled() for button in (*buttons, row.undo, row.redo, row.restore))
    for position in ((5, 5), (20, 20)):
        session.add_point(position)
        session.accept()
    assert row.undo.isEnabled()
    session.editor.select([1])
    assert [button.isEnabled() for button in buttons] == [True, True, False, True, True]
    session.editor.select([1, 2])
    assert [button.isEnabled() for button in buttons] == [True, False, True, False, True]
    qtbot.mouseClick(row.merge, Qt.LeftButton)
    assert session.editor.labels == (1,)
    qtbot.mouseClick(row.undo, Qt.LeftButton)
    assert session.editor.labels == (1, 2)
    qtbot.mouseClick(row.redo, Qt.LeftButton)
    assert session.editor.labels == (1,)
    session.editor.select([1])
    qtbot.mouseClick(row.reopen, Qt.LeftButton)
    assert widget.candidate_list.count() == 1
    qtbot.mouseClick(row.delete, Qt.LeftButton)
    assert session.editor.labels == ()


def test_tools_and_polarity_follow_the_session(open_widget, viewer, qtbot):
    viewer.add_image(FLAT)
    widget = open_widget()
    qtbot.mouseClick(widget.tool_row.boxes, Qt.LeftButton)
    assert viewer.layers.selection.active.mode == "add_rectangle"
    viewer.layers.selection.active = viewer.layers[0]
    assert not widget.tool_row.boxes.isChecked()
    qtbot.mouseClick(widget.tool_row.polarity, Qt.LeftButton)
    assert widget.session.polarity == "background"
    assert "Background" in widget.tool_row.polarity.text()


def test_the_selected_object_becomes_a_prompt_or_the_dock_says_why_not(open_widget, viewer, qtbot):
    viewer.add_image(FLAT)
    labels = np.zeros((40, 50), int)
    labels[5:15, 5:15] = 4
    layer = viewer.add_labels(labels, name="drawn")
    widget = open_widget()
    layer.selected_label = 9
    qtbot.mouseClick(widget.object_picker.button, Qt.LeftButton)
    assert "Object 9 of the layer 'drawn' is not on this plane" in widget.status_label.text()
    layer.selected_label = 4
    qtbot.mouseClick(widget.object_picker.button, Qt.LeftButton)
    assert widget.session.prompts.mask.label == 4
    combo = widget.object_picker.combo
    assert [combo.itemText(index) for index in range(combo.count())] == ["drawn"], "previews are not offered"


def test_a_prompt_where_there_is_no_plane_is_said_in_the_dock(open_widget, viewer, qtbot):
    viewer.add_image(np.zeros((4, 40, 50)))
    viewer.add_labels(np.ones((4, 40, 50), int))
    widget = open_widget()
    viewer.dims.ndisplay = 3
    qtbot.mouseClick(widget.object_picker.button, Qt.LeftButton)
    assert "2-D view" in widget.status_label.text()


# ---------------------------------------------------------------------- models


def test_models_that_are_not_here_say_what_they_cost(open_widget):
    picker = open_widget().model_picker
    assert picker.itemText(0) == "light"
    assert "download (375 MB)" in picker.itemText(1)
    assert picker.currentData() == "light"


def pick(picker, name):
    picker.activated.emit(picker.findData(name))


def answer(qtbot, dialog, agreed):
    """Press Yes or No in a dialog that stands beside the viewer."""
    assert not dialog.isModal()
    which = QMessageBox.StandardButton.Yes if agreed else QMessageBox.StandardButton.No
    qtbot.mouseClick(dialog.button(which), Qt.LeftButton)
    assert not dialog.isVisible()


@pytest.mark.parametrize("agreed", [True, False])
def test_a_download_is_asked_for_first_and_shown(open_widget, viewer, by_hand, monkeypatch, qtbot, agreed):
    downloads = []

    def weights_steps(name, folder):
        downloads.append(name)
        yield Progress(100, 200, "Downloading vit_b")
        return "path"

    monkeypatch.setattr(prompt_widget, "weights_steps", weights_steps)
    viewer.add_image(FLAT)
    widget = open_widget(by_hand)
    by_hand.finish_all()
    pick(widget.model_picker, "vit_b")
    assert "375 MB" in widget.model_picker.dialog.text()
    assert "Apache-2.0" in widget.model_picker.dialog.text()
    assert by_hand.running == [], "nothing is fetched before the answer"
    answer(qtbot, widget.model_picker.dialog, agreed)
    if not agreed:
        assert by_hand.running == []
        assert widget.session.model == "light"
        assert widget.model_picker.currentData() == "light"
        return
    by_hand.running[0].step()
    assert widget.progress_row.bar.format() == "Downloading vit_b"
    assert widget.progress_row.button.text() == "Cancel"
    by_hand.finish_all()
    assert downloads == ["vit_b"]
    assert widget.session.model == "vit_b"
    assert widget.model_picker.currentData() == "vit_b"
    assert widget.session.embedding_state.phase == "ready"


def test_a_download_can_be_cancelled_and_the_model_stays(open_widget, viewer, by_hand, monkeypatch, qtbot):
    def weights_steps(name, folder):
        while True:
            yield Progress(100, 200, "Downloading vit_b")

    monkeypatch.setattr(prompt_widget, "weights_steps", weights_steps)
    viewer.add_image(FLAT)
    widget = open_widget(by_hand)
    by_hand.finish_all()
    pick(widget.model_picker, "vit_b")
    answer(qtbot, widget.model_picker.dialog, True)
    (task,) = by_hand.running
    task.step()
    qtbot.mouseClick(widget.progress_row.button, Qt.LeftButton)
    assert task.cancelled
    assert widget.session.model == "light"
    widget.session.add_point((10, 20))
    by_hand.finish_all()
    assert len(widget.session.candidates) == 3


def test_a_checkpoint_file_can_be_chosen(open_widget):
    widget = open_widget()
    pick(widget.model_picker, "")
    assert not widget.model_picker.dialog.isModal()
    widget.model_picker.dialog.fileSelected.emit("/data/mine.pth")
    widget.model_picker.dialog.close()
    assert widget.session.model == "/data/mine.pth"
    assert widget.model_picker.currentText() == "mine.pth"
    widget.model_picker.set_catalogue(CATALOGUE)
    assert widget.model_picker.currentText() == "mine.pth"
    pick(widget.model_picker, "")
    widget.model_picker.dialog.reject()
    assert widget.session.model == "/data/mine.pth"


def test_the_device_is_passed_on(open_widget):
    widget = open_widget()
    assert [widget.device_combo.itemText(index) for index in range(widget.device_combo.count())] == ["auto", "cpu"]
    widget.device_combo.textActivated.emit("cpu")
    assert widget.session.device == "cpu"


# ------------------------------------------------------------------- small parts


@pytest.mark.parametrize(
    ("state", "stale", "possible", "text", "button", "enabled"),
    [
        (EmbeddingState("none"), False, True, "No image embedding", "Compute", True),
        (EmbeddingState("none"), False, False, "No image embedding", "Compute", False),
        (EmbeddingState("working", Progress(3, 12, "Encoding")), False, True, "Encoding", "Cancel", True),
        (EmbeddingState("ready"), False, True, "Image embedding ready", "Compute", False),
        (EmbeddingState("ready"), True, True, "Contrast has changed", "Compute", True),
        (EmbeddingState("failed", message="no"), False, True, "Failed", "Compute", True),
    ],
)
def test_progress_row(qtbot, state, stale, possible, text, button, enabled):
    row = ProgressRow()
    qtbot.addWidget(row)
    row.show_state(state, stale=stale, possible=possible)
    assert row.bar.format().startswith(text)
    assert (row.button.text(), row.button.isEnabled()) == (button, enabled)


def test_totals_beyond_32_bits_are_shown(qtbot):
    row = ProgressRow()
    qtbot.addWidget(row)
    row.show_state(EmbeddingState("working", Progress(2**33, 2**34)), stale=False, possible=True)
    assert row.bar.value() == row.bar.maximum() / 2


def test_every_key_is_named_bound_and_given_back(open_widget, viewer):
    names = {key.key.replace("Control", "Ctrl").replace("-", "+") for key in KEYS}

    def bound(keymap):
        return {str(key) for key in keymap} & names

    viewer.add_image(FLAT)
    assert bound(viewer.keymap) == set()
    widget = open_widget()
    widget.session.add_point((10, 20))
    assert len(bound(viewer.keymap)) == len(KEYS)
    for name in ("prompt points", "prompt boxes", "mask 1", "mask 3"):
        assert len(bound(viewer.layers[name].keymap)) == len(KEYS)
    widget._tear_down()
    assert bound(viewer.keymap) == set()


def test_keys_of_others_are_left_alone(open_widget, viewer):
    @viewer.bind_key("N")
    def theirs(viewer):
        """Belong to somebody else."""

    kept = dict(viewer.keymap)
    widget = open_widget()
    widget._tear_down()
    assert viewer.keymap == kept


def test_taken_out_of_its_dock_it_lets_go_of_everything(open_widget, viewer, by_hand, qtbot):
    viewer.add_image(FLAT, name="flat")
    widget = open_widget(by_hand, closed=False)
    by_hand.run_waiting()
    dock = QWidget()
    qtbot.addWidget(dock)
    widget.setParent(dock)
    assert by_hand.running
    widget.setParent(None)
    assert by_hand.running == []
    assert [layer.name for layer in viewer.layers] == ["flat"]
    viewer.add_image(FLAT)
    viewer.layers.clear()


def test_a_list_of_models_that_cannot_be_made_is_said(viewer, predictor, qtbot, monkeypatch):
    def catalogue_steps(folder):
        yield Progress(0, 0)
        raise OSError("the folder cannot be read")

    monkeypatch.setattr(prompt_widget, "catalogue_steps", catalogue_steps)
    loader = SimpleNamespace(load=lambda model, device: predictor)
    widget = PromptWidget(viewer, runner=SynchronousRunner(), load_predictor=loader.load, settings=Settings())
    qtbot.addWidget(widget)
    assert "the folder cannot be read" in widget.status_label.text()
    assert widget.model_picker.itemText(0) == "light"
