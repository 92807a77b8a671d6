"""The edge map as a layer: drawn where the image lies, cancelled, and told when it does not work."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_segany.engine import edges as engine
from napari_segany.engine.progress import Progress
from napari_segany.widgets import edges_widget
from napari_segany.widgets.catalogue import Catalogue, ModelChoice
from napari_segany.widgets.edges_session import EdgesSession
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.settings import Settings


@pytest.fixture
def asked(monkeypatch):
    """What the engine is asked for; its answer is the plane's brightness."""
    calls = []

    def edge_steps(predictor, image, settings, *, contrast_limits, thin):
        calls.append((predictor, settings.points_per_side, contrast_limits, thin))
        yield Progress(1, 2, "Asking the points")
        return np.asarray(image, np.float32) / 10

    monkeypatch.setattr(engine, "edge_steps", edge_steps)
    return calls


def test_the_shown_slice_is_drawn_where_it_lies(asked):
    viewer = ViewerModel()
    stack = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    image = viewer.add_image(stack, scale=(3, 2, 2), translate=(0, 7, 9), name="stack", contrast_limits=(5, 90))
    viewer.dims.set_point(0, 6)
    session = EdgesSession(viewer, SynchronousRunner(), lambda model, device: (model, device))
    session.choose(image)
    session.points_per_side = 4
    session.run()
    layer = viewer.layers["edges of stack"]
    assert layer.data.shape == (1, 5, 6)
    np.testing.assert_allclose(layer.data[0], stack[2] / 10, rtol=1e-6)
    np.testing.assert_allclose(layer.data_to_world((0, 1, 1)), image.data_to_world((2, 1, 1)))
    assert asked == [(("light", "auto"), 4, (5, 90), True)]
    assert session.progress is None
    assert "edges of stack" in session.message


def test_errors_and_a_missing_plane_are_told_in_one_sentence(asked):
    def missing(model, device):
        raise ValueError("no weights are here")

    viewer = ViewerModel()
    session = EdgesSession(viewer, SynchronousRunner(), missing)
    session.run()
    assert session.message == "Choose an image."
    session.choose(viewer.add_image(np.zeros((4, 5, 6))))
    session.run()
    assert session.message == "It did not work: no weights are here"
    viewer.dims.ndisplay = 3
    session.run()
    assert "2-D view" in session.message
    assert len(viewer.layers) == 1


def test_the_dock_lists_the_models_of_the_preferred_folder(viewer, qtbot, tmp_path, monkeypatch):
    looked_in = []

    def catalogue_steps(folder):
        yield Progress(0, 0)
        looked_in.append(folder)
        return Catalogue((ModelChoice("light", present=True), ModelChoice("vit_t", present=True)), ("auto",))

    monkeypatch.setattr(edges_widget, "catalogue_steps", catalogue_steps)
    widget = edges_widget.EdgesWidget(
        viewer, runner=SynchronousRunner(), settings=Settings(weights_folder=tmp_path), load_predictor=lambda *_: None
    )
    qtbot.addWidget(widget)
    assert looked_in == [tmp_path]
    assert widget.model_picker.findData("vit_t") >= 0


def test_cancelling_draws_nothing(asked):
    class Held:
        def start(self, title, steps, *, done, failed, report=None):
            self.steps, self.report, self.cancelled = steps, report, False
            report(next(steps))
            return self

        def cancel(self):
            self.cancelled = True
            self.steps.close()

        def close(self):
            pass

    viewer, runner = ViewerModel(), Held()
    session = EdgesSession(viewer, runner, lambda model, device: None)
    session.choose(viewer.add_image(np.zeros((5, 6))))
    session.run()
    assert session.progress.note == "Loading the model"
    session.choose(None)
    assert runner.cancelled
    assert session.progress is None
    assert len(viewer.layers) == 1
