"""The dock "Data engine", driven by clicks and keys: two images of a folder, filled in, annotated, and exported."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt
from tests.canvas.conftest import DiscPredictor, Driver
from tests.training.conftest import TINY

from napari_segany.engine.data_engine import stages
from napari_segany.engine.data_engine.folder import DataEngine
from napari_segany.engine.data_engine.lessons import read_lessons
from napari_segany.engine.data_engine.masks import EngineMask, Origin
from napari_segany.engine.progress import Progress
from napari_segany.formats.record import MaskRecord
from napari_segany.model import build_sam, save_sam
from napari_segany.training import engine_rounds
from napari_segany.training.config import TrainingConfig
from napari_segany.widgets.engine_widget import EngineWidget
from napari_segany.widgets.settings import Settings


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b"):
        Image.fromarray(np.random.default_rng(0).integers(0, 99, (60, 80)).astype(np.uint8)).save(
            tmp_path / f"{name}.png"
        )
    return tmp_path


def test_two_images_become_a_data_set(folder, make_napari_viewer, qtbot, monkeypatch):
    def model_masks(engine, name, predictor, stage, there):
        yield Progress(0, 1, "Asking the points")
        mask = np.zeros((60, 80), bool)
        mask[40:50, 60:75] = True
        engine.add(name, [EngineMask(MaskRecord.from_mask(mask), Origin(stage, model="discs"))])
        return 1

    monkeypatch.setattr(stages, "model_masks", model_masks)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 900)
    predictor = DiscPredictor()
    widget = EngineWidget(viewer, load_predictor=lambda model, device: predictor, settings=Settings(preview=False))
    viewer.window.add_dock_widget(widget, name="Data engine", area="right")
    session = widget.session
    session.open(folder)
    driver = Driver(viewer, widget.prompts, predictor, qtbot)
    viewer.reset_view()
    qtbot.wait(100)
    driver.wait_ready()
    qtbot.mouseClick(widget.fill_button, Qt.LeftButton)
    qtbot.waitUntil(lambda: "filled in" in viewer.layers)
    driver.click(viewer.layers["a"], (20, 20))
    driver.wait_answer(3)
    driver.press(Qt.Key_N)
    qtbot.waitUntil(lambda: bool(session._efforts.masks()))
    qtbot.mouseClick(widget.done_button, Qt.LeftButton)
    assert session.name == "b"
    assert "1 of 2 images done" in widget.counts.text()
    assert [layer.name for layer in viewer.layers if layer.name in ("a", "b", "filled in")] == ["b"]
    filled, clicked = session.engine.masks("a")
    assert (filled.origin.stage, clicked.origin.stage, clicked.origin.clicks) == ("semi-automatic", "assisted", 1)
    assert clicked.origin.seconds > 0
    assert clicked.record.mask[20, 20]
    session.export(folder / "out", "Discs", "drawn", "CC0")
    qtbot.waitUntil(lambda: session.progress is None)
    values = json.loads((folder / "out/sa_000000/sa_1.json").read_text())
    assert [one["stage"] for one in values["image"]["provenance"]] == ["semi-automatic", "assisted"]
    assert "| licence | CC0 |" in (folder / "out/README.md").read_text()
    assert (folder / "out/times.png").is_file()


def test_the_model_is_taught_while_the_person_goes_on(folder, make_napari_viewer, qtbot, monkeypatch):
    """A real training of a small model: progress, Cancel, numbers before and after, and the better one stays."""
    knobs = {"crop_size": 64, "batch_size": 1, "masks_per_image": 1, "rounds": 1, "procedural_share": 0.0}
    knobs |= {"validation_objects": 1, "picture_every": 0}

    def config(init, steps):
        return TrainingConfig(**knobs, steps=steps, validate_every=steps, checkpoint_every=steps)

    monkeypatch.setattr(engine_rounds, "retraining_config", config)
    weights = folder / "tiny.safetensors"
    save_sam(build_sam(TINY), weights, dtype=None)
    Image.open(folder / "a.png").save(folder / "c.png")
    engine, mask = DataEngine(folder, folder / "segany"), np.zeros((60, 80), bool)
    mask[10:40, 20:50] = True
    for name in ("a", "b"):
        engine.add(name, [EngineMask(MaskRecord.from_mask(mask), Origin("assisted"))])
        engine.finish(name)
    viewer = make_napari_viewer(show=True)
    predictor, settings = DiscPredictor(), Settings(preview=False, model=str(weights))
    widget = EngineWidget(viewer, load_predictor=lambda model, device: predictor, settings=settings)
    viewer.window.add_dock_widget(widget, name="Data engine", area="right")
    session = widget.session
    session.open(folder)
    driver = Driver(viewer, widget.prompts, predictor, qtbot)
    driver.wait_ready()
    session.training_steps = 200
    qtbot.mouseClick(widget.retrain_button, Qt.LeftButton)
    qtbot.waitUntil(lambda: widget.bar.value() >= 10, timeout=20_000)
    assert not widget.fill_button.isEnabled()
    qtbot.mouseClick(widget.done_button, Qt.LeftButton)  # it can go on meanwhile
    assert "3 of 3 images done" in widget.counts.text()
    qtbot.mouseClick(widget.cancel_button, Qt.LeftButton)
    assert widget.note.text() == "Cancelled."
    assert widget.prompts.session.model == str(weights)
    session.training_steps = 2
    qtbot.mouseClick(widget.retrain_button, Qt.LeftButton)
    qtbot.waitUntil(lambda: session.progress is None, timeout=20_000)
    assert widget.note.text().startswith("IoU after one click on images kept aside: ")
    taught, is_better = read_lessons(session.engine.work), "The next images use the new model." in session.message
    assert len(taught.aside) == 1
    assert widget.prompts.session.model == str(session.engine.work / taught.weights if is_better else weights)
    assert len(taught.learned) == is_better  # the third has no masks
    driver.wait_ready()
