"""A shown viewer with the prompt widget, real mouse and key events, and a predictor that draws discs."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_segany.engine.prediction import Prediction
from napari_segany.engine.progress import Progress
from napari_segany.widgets.prompt_widget import PromptWidget
from napari_segany.widgets.session_saving import FOLDER_VARIABLE
from napari_segany.widgets.settings import Settings

RADII = (4, 8, 12)
USUAL = Settings()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder drives a shown viewer."""
    for item in items:
        if "canvas" in item.path.parts:
            item.add_marker(pytest.mark.canvas)


@pytest.fixture(scope="session", autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's napari settings out of the tests, and the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_CONFIG", str(tmp_path_factory.mktemp("napari") / "settings.yaml"))
        yield


@pytest.fixture(autouse=True)
def _no_earlier_work(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Save work where no other test has left any, for a dock offers what there is."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module", autouse=True)
def _thawed_after_the_file() -> Iterator[None]:
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _what_was_there_is_no_rubbish() -> None:
    """Spare the collector, which napari's fixture calls three times for each viewer, what earlier tests have left."""
    gc.collect()
    gc.freeze()


@dataclass
class DiscPredictor:
    """Answers a single click with three discs, all else with one mask; can be held while it encodes."""

    name: str = "discs"
    radii: tuple[int, ...] = RADII
    held: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)
    encoded: list[np.ndarray] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)

    def encode_steps(self, image, *, contrast_limits=None):
        self.begun.set()
        try:
            for done in range(1, 5):
                while self.held and done == 2 and not self.released.is_set():
                    yield Progress(1, 4, "Computing the image embedding")
                    time.sleep(0.005)
                yield Progress(done, 4, "Computing the image embedding")
        finally:
            self.closed.set()
        self.encoded.append(np.asarray(image))
        return SimpleNamespace(nbytes=1000, image_shape=image.shape[:2], mean=float(np.mean(image)))

    def predict(self, embedding, *, points=(), labels=(), box=None, mask=None):
        self.asked.append({"points": points, "labels": labels, "box": box, "mask": mask, "of": embedding.mean})
        radii = self.radii if len(points) == 1 and box is None and mask is None else self.radii[:1]
        rows, cols = np.indices(embedding.image_shape)
        masks = np.zeros((len(radii), *embedding.image_shape), bool)
        for rank, radius in enumerate(radii):
            if box is not None:
                masks[rank] |= (rows >= box[0]) & (rows <= box[2]) & (cols >= box[1]) & (cols <= box[3])
            for (row, col), label in zip(points, labels, strict=True):
                disc = np.hypot(rows - row, cols - col) <= radius
                masks[rank] = masks[rank] | disc if label else masks[rank] & ~disc
        scores = np.linspace(0.9, 0.7, len(radii), dtype=np.float32)
        return Prediction(masks, scores, scores + 0.05, np.full((len(radii), 8, 8), len(self.asked), np.float32))


class Driver:
    """A person in front of the viewer."""

    def __init__(self, viewer, widget, predictor, qtbot) -> None:
        self.viewer, self.widget, self.predictor, self.qtbot = viewer, widget, predictor, qtbot
        self.session = widget.session

    @property
    def canvas(self):
        return self.viewer.window._qt_viewer.canvas

    def on_canvas(self, layer, position) -> QPoint:
        """Where a data position of a layer is drawn, in pixels of the canvas."""
        node = self.canvas.layer_to_visual[layer].node
        shown = [axis - (self.viewer.dims.ndim - layer.ndim) for axis in self.viewer.dims.displayed]
        point = np.asarray(position, dtype=float)[shown][::-1]
        transform = self.canvas.view.transform * self.canvas.view.scene.transform
        drawn = transform.map(node.transform.map([*point, 0, 1]))
        # a pixel's centre is its integer position; visuals of images are shifted by half a pixel to that end
        return QPoint(*(round(value) for value in drawn[:2] / drawn[3]))

    def click(self, layer, position, button=Qt.LeftButton, modifier=Qt.NoModifier) -> None:
        QTest.mouseClick(self.canvas.native, button, modifier, self.on_canvas(layer, position))

    def point_at(self, layer, position) -> None:
        """Move the mouse without pressing it (QTest moves the pointer of the screen, which a window may cover)."""
        native, nothing = self.canvas.native, Qt.MouseButton.NoButton
        place = self.on_canvas(layer, position)
        where = QPointF(place), QPointF(native.mapToGlobal(place))
        QApplication.sendEvent(native, QMouseEvent(QEvent.Type.MouseMove, *where, nothing, nothing, Qt.NoModifier))

    def drag(self, layer, start, stop, until: Callable[[], bool] | None = None) -> None:
        """Press, move, and let go once `until` holds."""
        native = self.canvas.native
        first, last = self.on_canvas(layer, start), self.on_canvas(layer, stop)
        QTest.mouseMove(native, first)
        self.qtbot.wait(20)
        QTest.mousePress(native, Qt.LeftButton, Qt.NoModifier, first)
        for part in (0.3, 0.6, 1.0):
            QTest.mouseMove(native, first + (last - first) * part)
            self.qtbot.wait(20)
        if until is not None:
            self.qtbot.waitUntil(until, timeout=20_000)
        QTest.mouseRelease(native, Qt.LeftButton, Qt.NoModifier, last)

    def press(self, key, modifier=Qt.NoModifier) -> None:
        self.canvas.native.setFocus()
        QTest.keyClick(self.canvas.native, key, modifier)

    def wait_ready(self) -> None:
        self.qtbot.waitUntil(lambda: self.session.embedding_state.phase == "ready", timeout=20_000)

    def wait_answer(self, masks: int) -> None:
        """Wait until the present prompts are answered, with this many masks."""
        self.qtbot.waitUntil(
            lambda: (
                len(self.session.candidates) == masks and self.session._conversation.answered == self.session.prompts
            ),
            timeout=20_000,
        )


@pytest.fixture
def drive(make_napari_viewer, qtbot) -> Callable[..., Driver]:
    """Return what opens a shown viewer with layers, the widget and a predictor, and lets them be driven."""

    def begin(
        *images,
        predictor: Any = None,
        before: Callable[[Any], None] | None = None,
        settings: Settings | None = USUAL,
        load_predictor: Any = None,
        ahead: bool = False,
        **kwargs,
    ):
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1100, 750)
        for image in images:
            viewer.add_image(image, **kwargs)
        if before is not None:
            before(viewer)
        predictor = predictor or DiscPredictor()
        load = load_predictor or (lambda model, device: predictor)
        widget = PromptWidget(viewer, load_predictor=load, settings=settings)
        if not ahead:  # a second for each test, for layers that most of them do not need
            widget.layers_ahead.close()
        viewer.window.add_dock_widget(widget, name="Prompt segmentation", area="right")
        qtbot.wait(100)  # one draw must have happened before positions on the canvas are right
        return Driver(viewer, widget, predictor, qtbot)

    return begin
