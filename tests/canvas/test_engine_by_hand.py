"""The dock "Data engine" from its first button to the last, by mouse and keys alone."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt
from tests.canvas.conftest import DiscPredictor, Driver

from napari_segany.engine.data_engine import clock, stages
from napari_segany.engine.data_engine.clock import HINT
from napari_segany.engine.data_engine.folder import DataEngine
from napari_segany.engine.data_engine.masks import EngineMask, Origin
from napari_segany.engine.progress import Progress
from napari_segany.formats.record import MaskRecord
from napari_segany.widgets import engine_keeping, engine_widget
from napari_segany.widgets.engine_widget import EngineWidget
from napari_segany.widgets.section import Section
from napari_segany.widgets.settings import Settings

FILLED = (np.s_[40:50, 60:75], np.s_[5:15, 50:70])


def choose(widget, button, folder, qtbot):
    """Press a button that asks for a folder, and answer in the dialog beside the viewer."""
    qtbot.waitUntil(lambda: button.isEnabled() and not button.visibleRegion().isEmpty())
    before = widget.dialog
    qtbot.mouseClick(button, Qt.LeftButton)
    assert widget.dialog is not before
    assert not widget.dialog.isModal()
    widget.dialog.fileSelected.emit(str(folder))
    widget.dialog.close()


@pytest.fixture
def folder(tmp_path):
    for name in "abc":
        pixels = np.random.default_rng(0).integers(0, 99, (60, 80)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return tmp_path


@pytest.fixture
def quick(monkeypatch):
    """Let the model find two masks at once, the hint come at once, and masks be kept at once."""

    def model_masks(engine, name, predictor, stage, there=()):
        yield Progress(0, 1, "Asking the points")
        for where in FILLED:
            mask = np.zeros((60, 80), bool)
            mask[where] = True
            engine.add(name, [EngineMask(MaskRecord.from_mask(mask), Origin(stage, model="discs"))])
        return len(FILLED)

    monkeypatch.setattr(stages, "model_masks", model_masks)
    monkeypatch.setattr(clock, "HINT_SECONDS", 0.05)
    monkeypatch.setattr(engine_widget, "_LOOK_MS", 50)
    monkeypatch.setattr(engine_keeping, "_DELAY_MS", 50)


def test_a_folder_is_annotated_by_hand(folder, quick, make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 900)
    predictor = DiscPredictor()
    widget = EngineWidget(viewer, load_predictor=lambda model, device: predictor, settings=Settings(preview=False))
    viewer.window.add_dock_widget(widget, name="Data engine", area="right")
    driver = Driver(viewer, widget.prompts, predictor, qtbot)
    choose(widget, widget.folder_button, folder, qtbot)
    qtbot.wait(100)  # one draw must have happened before positions on the canvas are right
    driver.wait_ready()

    def on_disk(name):
        return DataEngine(folder, folder / "segany").masks(name)

    # a wrong mask is chosen with the mouse and taken out
    qtbot.mouseClick(widget.fill_button, Qt.LeftButton)
    qtbot.waitUntil(lambda: "filled in" in viewer.layers)
    filled = viewer.layers["filled in"]
    viewer.layers.selection.active = filled
    driver.click(filled, (45, 65))
    assert filled.selected_label == 1
    driver.click(filled, (10, 60))
    assert filled.selected_label == 2
    qtbot.mouseClick(widget.remove_button, Qt.LeftButton)
    assert widget.note.text() == "Mask 2 is gone."
    assert [one.record.mask[45, 65] for one in on_disk("a")] == [True]

    # an object that takes too long; kept on disk without a press of "Image done"
    viewer.layers.selection.active = widget.prompts.session.prompt_layers.points
    driver.click(viewer.layers["a"], (20, 20))
    qtbot.waitUntil(lambda: widget.note.text() == HINT)
    driver.wait_answer(3)
    driver.press(Qt.Key_N)
    qtbot.waitUntil(lambda: len(on_disk("a")) == 2)

    # brush and eraser on the layer `objects`
    objects = viewer.layers["objects"]
    viewer.layers.selection.active = objects
    driver.press(Qt.Key_P)
    assert objects.mode == "paint"
    objects.selected_label, objects.brush_size = 7, 6
    driver.drag(objects, (50, 10), (50, 30))
    qtbot.waitUntil(lambda: len(on_disk("a")) == 3)
    painted = on_disk("a")[-1]
    assert painted.record.mask[50, 20]
    assert painted.origin.model == ""
    objects.mode = "erase"
    driver.drag(objects, (50, 10), (50, 20))
    qtbot.waitUntil(lambda: on_disk("a")[-1].record.area < painted.record.area)

    # the list of images, the rest, and the data set
    view = widget.images.view()
    widget.images.showPopup()
    qtbot.mouseClick(view.viewport(), Qt.LeftButton, pos=view.visualRect(view.model().index(1, 0)).center())
    qtbot.waitUntil(lambda: widget.session.name == "b")
    assert "objects" not in viewer.layers
    qtbot.mouseClick(widget.rest_button, Qt.LeftButton)
    qtbot.waitUntil(lambda: widget.note.text() == "4 masks were made.")
    qtbot.mouseClick(widget.done_button, Qt.LeftButton)
    (section,) = (one for one in widget.findChildren(Section) if one.isAncestorOf(widget.title))
    qtbot.mouseClick(section.toggleButton(), Qt.LeftButton)
    qtbot.keyClicks(widget.title, "Discs")
    choose(widget, widget.export_button, folder, qtbot)
    qtbot.waitUntil(lambda: "choose a new or empty folder" in widget.note.text())
    choose(widget, widget.export_button, folder / "out", qtbot)
    qtbot.waitUntil(lambda: widget.note.text().startswith("The data set is in"))
    assert (folder / "out/README.md").read_text().startswith("# Discs\n")
