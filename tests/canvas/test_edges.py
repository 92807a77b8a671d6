"""The dock "Edges of everything" in a shown viewer: a press of its button draws the layer, another one stops it."""

from __future__ import annotations

import time

import numpy as np
from qtpy.QtCore import Qt

from napari_segany.engine import edges as engine
from napari_segany.engine.progress import Progress
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
