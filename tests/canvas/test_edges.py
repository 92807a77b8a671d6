"""The dock "Edges of everything" in a shown viewer: a press of its button draws the layer, another one stops it."""

from __future__ import annotations

import time

import numpy as np
import torch
from qtpy.QtCore import Qt
from tests.training.conftest import TINY

from napari_segany.engine import edges as engine
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Progress, drain
from napari_segany.model import build_sam
from napari_segany.widgets.edges_widget import EdgesWidget
from napari_segany.widgets.settings import Settings


def test_run_and_cancel(make_napari_viewer, qtbot, monkeypatch):
    slow = True

    def edge_steps(predictor, image, settings, *, contrast_limits, thin):
        done = 0
        while slow:
            done = min(done + 1, 9)
            time.sleep(0.02)  # as a model does between its steps
            yield Progress(done, 10, f"Asking the points, {settings.points_per_side}")
        return np.asarray(image, np.float32)

    monkeypatch.setattr(engine, "edge_steps", edge_steps)
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.eye(20), name="eye")
    widget = EdgesWidget(viewer, load_predictor=lambda model, device: None, settings=Settings())
    viewer.window.add_dock_widget(widget, name="Edges of everything")
    widget.points.setValue(5)
    qtbot.mouseClick(widget.run_button, Qt.LeftButton)
    qtbot.waitUntil(lambda: widget.note.text() == "Asking the points, 5" and widget.bar.value() > 0)
    assert widget.run_button.text() == "Cancel"
    qtbot.mouseClick(widget.run_button, Qt.LeftButton)
    assert widget.note.text() == "Cancelled; nothing was drawn."
    slow = False
    qtbot.mouseClick(widget.run_button, Qt.LeftButton)
    qtbot.waitUntil(lambda: "edges of eye" in viewer.layers)
    assert widget.run_button.text() == "Run"
    np.testing.assert_array_equal(viewer.layers["edges of eye"].data, np.eye(20))


def test_the_layer_is_the_engines_edge_map(make_napari_viewer, qtbot):
    """A real run of a small model."""
    torch.manual_seed(0)
    predictor = Predictor(build_sam(TINY), device="cpu")
    image = np.zeros((40, 50))
    image[10:30, 15:35] = 1
    viewer = make_napari_viewer(show=True)
    viewer.add_image(image, name="square", contrast_limits=(0, 2))
    widget = EdgesWidget(viewer, load_predictor=lambda model, device: predictor, settings=Settings())
    viewer.window.add_dock_widget(widget, name="Edges of everything")
    widget.points.setValue(3)
    qtbot.mouseClick(widget.run_button, Qt.LeftButton)
    qtbot.waitUntil(lambda: "edges of square" in viewer.layers, timeout=20_000)
    expected = drain(engine.edge_steps(predictor, image, engine.edge_settings(3), contrast_limits=(0, 2), thin=True))
    assert expected.max() == 1
    # Another thread may round otherwise, and then a ridge lie elsewhere.
    assert np.isclose(viewer.layers["edges of square"].data, expected, atol=1e-3).mean() > 0.99
