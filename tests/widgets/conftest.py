"""A viewer model without a canvas, a predictor that answers squares, and runners that are driven by hand."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari._app_model import get_app_model
from napari.components import ViewerModel
from napari.plugins import _initialize_plugins

from napari_segany.engine import tiling
from napari_segany.engine.prediction import Prediction
from napari_segany.engine.progress import Progress
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession


@pytest.fixture(scope="session", autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory):
    """Keep the user's napari settings out of the tests, and the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_CONFIG", str(tmp_path_factory.mktemp("napari") / "settings.yaml"))
        yield


@pytest.fixture
def known_to_napari() -> None:
    """Our readers and writers are registered with napari, as after its start.

    A viewer that another test of this process opened may have done so already, and napari refuses it twice.
    """
    if "napari-segany.write_coco" not in get_app_model().commands:
        _initialize_plugins()


@pytest.fixture
def _small_ones_count_as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planes from 1001 pixels on are asked in windows, so that tests need no large ones."""
    monkeypatch.setattr(tiling, "LARGE_SIDE", 1000)


@dataclass
class SquarePredictor:
    """Answers with squares whose upper left corner is the first point (or the box); remembers what it was asked."""

    name: str = "squares"
    asked: list[dict[str, Any]] = field(default_factory=list)
    encoded: list[np.ndarray] = field(default_factory=list)
    limits: list[Any] = field(default_factory=list)
    nbytes: int = 1000
    failure: Exception | None = None

    def encode_steps(self, image, *, contrast_limits=None):
        yield Progress(1, 2, "encoding")
        if self.failure is not None:
            raise self.failure
        self.encoded.append(np.asarray(image))
        self.limits.append(contrast_limits)
        return SimpleNamespace(nbytes=self.nbytes, image_shape=image.shape[:2], number=len(self.encoded))

    def predict(self, embedding, *, points=None, labels=None, box=None, mask=None):
        self.asked.append({"points": points, "labels": labels, "box": box, "mask": mask, "of": embedding.number})
        count = 3 if points is not None and len(points) == 1 and box is None and mask is None else 1
        masks = np.zeros((count, *embedding.image_shape), bool)
        row, col = (int(value) for value in (points[0] if points else box[:2]))
        for rank in range(count):
            side = 3 + 2 * rank
            masks[rank, row : row + side, col : col + side] = True
        scores = np.linspace(0.9, 0.7, count, dtype=np.float32)
        # the logits tell which answer and which rank they came from
        logits = np.stack([np.full((4, 4), len(self.asked) + rank / 10, np.float32) for rank in range(count)])
        return Prediction(masks, scores, scores + 0.05, logits)


class HandTask:
    """Work that goes on when a test says so."""

    def __init__(self, title, steps, done, failed, report):
        self.title, self.steps, self.done, self.failed, self.report = title, steps, done, failed, report
        self.cancelled = self.over = False

    def cancel(self):
        self.cancelled = self.over = True
        self.steps.close()

    def step(self) -> bool:
        """Do one step; return whether there may be more."""
        try:
            progress = next(self.steps)
        except StopIteration as end:
            self.over = True
            self.done(end.value)
            return False
        except Exception as error:  # noqa: BLE001 - as every runner does
            self.over = True
            self.failed(error)
            return False
        if self.report is not None:
            self.report(progress)
        return True

    def finish(self):
        while not self.over and self.step():
            pass


class HandRunner:
    """Begins nothing by itself."""

    def __init__(self):
        self.tasks: list[HandTask] = []
        self.waiting: list[Callable[[], None]] = []

    def start(self, title, steps, *, done, failed, report=None):
        self.tasks.append(HandTask(title, steps, done, failed, report))
        return self.tasks[-1]

    def later(self, callback, delay_ms=0):
        self.waiting.append(callback)

    def close(self):
        for task in self.tasks:
            if not task.over:
                task.cancel()

    @property
    def running(self) -> list[HandTask]:
        return [task for task in self.tasks if not task.over]

    def run_waiting(self):
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()

    def finish_all(self):
        while self.waiting or self.running:
            self.run_waiting()
            for task in self.running:
                task.finish()


@pytest.fixture(scope="module", autouse=True)
def _what_was_there_is_no_rubbish() -> Iterator[None]:
    """Spare the collector, which napari's fixture calls three times for each viewer, what earlier files have left."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def predictor() -> SquarePredictor:
    return SquarePredictor()


@pytest.fixture
def new_predictor() -> type[SquarePredictor]:
    return SquarePredictor


@pytest.fixture
def by_hand() -> HandRunner:
    return HandRunner()


@pytest.fixture
def session(viewer, predictor) -> PromptSession:
    """A session that answers at once."""
    return PromptSession(viewer, SynchronousRunner(), lambda model, device: predictor)


@pytest.fixture
def slow_session(viewer, predictor, by_hand) -> PromptSession:
    """A session whose work goes on when the runner `by_hand` says so."""
    return PromptSession(viewer, by_hand, lambda model, device: predictor)
