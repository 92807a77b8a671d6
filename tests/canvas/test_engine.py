"""The dock "Data engine", driven by clicks and keys: two images of a folder, filled in, annotated, and exported."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt
from tests.canvas.conftest import DiscPredictor, Driver

from napari_segany.engine.data_engine import stages
from napari_segany.engine.data_engine.masks import EngineMask, Origin
from napari_segany.engine.progress import Progress
from napari_segany.formats.record import MaskRecord
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
    qtbot.waitUntil(lambda: session._took != {})
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
