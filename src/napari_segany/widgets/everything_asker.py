"""Has the model, times it and asks it about slices, one piece of work at a time. Knows no layers and no Qt."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from psygnal import Signal

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.progress import Progress, Steps
from napari_segany.widgets.embedder import NO_PROGRESS, LoadPredictor
from napari_segany.widgets.embedding_cache import EmbeddingCache, EmbeddingKey
from napari_segany.widgets.everything_clock import Countdown
from napari_segany.widgets.everything_work import (
    AskProgress,
    Clock,
    ModelReady,
    PlaneQuestion,
    Prepared,
    ask_steps,
    prepare_steps,
    with_model_steps,
)
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.progress_runner import Runner, Task

if TYPE_CHECKING:
    from napari_segany.engine.automatic_estimate import Speed
    from napari_segany.engine.embedding import ImageEmbedding

Phase = Literal["idle", "working", "failed"]


@dataclass(frozen=True)
class WorkState:
    """How far the work is.

    Attributes
    ----------
    phase : str
        "idle", "working" or "failed".
    progress : Progress
        Of the work under way.
    seconds_left : float or None
        What is left at the pace so far, where that can be told.
    message : str
        Of a failure, what went wrong and what to do.
    """

    phase: Phase = "idle"
    progress: Progress = NO_PROGRESS
    seconds_left: float | None = None
    message: str = ""


@dataclass(frozen=True)
class Estimate:
    """How much a run asks, and how long it takes where that has been measured: points, slices, seconds."""

    points: int
    slices: int
    seconds: float | None


@dataclass(frozen=True)
class About:
    """What questions are about: an image layer by its unique id, and its contrast limits (None for RGB)."""

    image: str
    contrast_limits: tuple[float, float] | None


@dataclass(frozen=True)
class Encodings:
    """What a run encoded so far.

    Attributes
    ----------
    encode_s : float or None
        What encoding a whole plane took, the last time; None where nothing had to be encoded.
    between : int
        How many planes and crops were encoded after the first point was asked, so that the pace counts them.
    planes : int
        How many planes are finished.
    """

    encode_s: float | None = None
    between: int = 0
    planes: int = 0

    def after(self, encode_s: float | None, crops: int) -> Encodings:
        """Return it after one more plane, with so many crops besides the plane itself."""
        more = crops + (encode_s is not None and self.planes > 0)
        last = self.encode_s if encode_s is None else encode_s
        return Encodings(last, self.between + more, self.planes + 1)


class EverythingAsker:
    """The model of a session, and what it is asked.

    Parameters
    ----------
    runner : Runner
        Runs the work.
    load_predictor : callable
        Makes a predictor for a model's and a device's name.
    cache_bytes : int
        Bytes of image embeddings to keep.
    model, device : str
        Which model, and where it computes.
    clock : callable
        Returns the time in seconds.

    Attributes
    ----------
    state : WorkState
        How far the work is.
    """

    state_changed = Signal(WorkState)
    answered = Signal(object)
    speed_changed = Signal()

    def __init__(
        self,
        runner: Runner,
        load_predictor: LoadPredictor,
        cache_bytes: int,
        *,
        model: str,
        device: str,
        clock: Clock = time.perf_counter,
    ) -> None:
        self.model, self.device = model, device
        self.state = WorkState()
        self._speeds: dict[tuple[str, str], Speed] = {}
        self.cache: EmbeddingCache[ImageEmbedding] = EmbeddingCache(cache_bytes)
        self._predictor: Any = None
        self._runner = runner
        self._load = load_predictor
        self._clock = clock
        self._task: Task | None = None
        self._countdown = Countdown(clock)
        self._is_ahead = False
        self._encodings = Encodings()

    def use(self, *, model: str | None = None, device: str | None = None) -> None:
        """Ask another model, or compute elsewhere, from the next work on."""
        self.cancel()
        self.model, self.device = model or self.model, device or self.device
        self._predictor = None
        self.speed_changed.emit()

    @property
    def is_at_work(self) -> bool:
        """Whether something is under way that was asked for, a run or a download; what is prepared ahead is not."""
        return self.state.phase == "working" and not self._is_ahead

    @property
    def speed(self) -> Speed | None:
        """What was measured with the present model and device."""
        return self._speeds.get((self.model, self.device))

    def cancel(self) -> None:
        """Stop the work before its next step; finished slices stay."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
            self._become(WorkState())

    def download(self, title: str, steps: Steps[Any], done: Callable[[], None]) -> None:
        """Fetch weights as the one piece of work, then call `done`."""
        self._start(title, steps, lambda _: done())

    def embedding(self, about: About, plane: Plane) -> ImageEmbedding | None:
        """Return the embedding of a plane, if it is there."""
        return self.cache.get(self._key(about, plane))

    def prepare(self, about: About, question: PlaneQuestion, settings: AutomaticSettings) -> None:
        """Make the embedding of a plane and measure how long a point takes."""
        work = partial(
            prepare_steps,
            question=question,
            limits=about.contrast_limits,
            settings=settings,
            clock=self._clock,
        )
        title = "Preparing to segment everything"
        self._start(title, self._with_model(work), partial(self._prepared, about), ahead=True)

    def run(
        self,
        about: About,
        questions: Sequence[PlaneQuestion],
        settings: AutomaticSettings,
        done: Callable[[int], None],
    ) -> None:
        """Ask about planes, tell each answer with `answered`, and at the end call `done` with their number."""
        work = partial(
            ask_steps, questions=questions, limits=about.contrast_limits, settings=settings, clock=self._clock
        )

        def ended(asked: int) -> None:
            self._learn_from_run(planes=len(questions))
            done(asked)

        self._start("Segmenting everything", self._with_model(work), ended, about, keep=len(questions) == 1)

    # -------------------------------------------------------------------- internal

    def _key(self, about: About, plane: Plane) -> EmbeddingKey:
        return EmbeddingKey(about.image, plane, about.contrast_limits, self.model, self.device)

    def _with_model(self, work: Callable[[Any], Steps[Any]]) -> Steps[Any]:
        load = partial(self._load, self.model, self.device)
        return with_model_steps(self._predictor, load, self.model, work)

    def _start(
        self,
        title: str,
        steps: Steps[Any],
        done: Callable[[Any], None],
        about: About | None = None,
        *,
        keep: bool = False,
        ahead: bool = False,
    ) -> None:
        self.cancel()
        self._is_ahead = ahead
        self._countdown = Countdown(self._clock)
        self._encodings = Encodings()
        self._become(WorkState("working", Progress(0, 0, title)))

        def ended(result: Any) -> None:
            self._task = None
            self._become(WorkState())
            done(result)

        task = self._runner.start(
            title, steps, done=ended, failed=self._failed, report=partial(self._report, about, keep)
        )
        # A runner that works at once has ended already, and `done` may have begun other work.
        if self.state.phase == "working" and self._task is None:
            self._task = task

    def _report(self, about: About | None, keep: bool, progress: Progress) -> None:
        if isinstance(progress, ModelReady):
            self._predictor = progress.predictor
        counts = isinstance(progress, AskProgress) and progress.counts
        left = self._countdown.seconds_left(progress.done, progress.total) if counts else None
        self._become(WorkState("working", progress, left))
        if isinstance(progress, AskProgress) and progress.answer is not None and about is not None:
            answer = progress.answer
            if keep:
                self.cache.put(self._key(about, answer.plane), answer.embedding)
            crops = sum(crop.layer > 0 for crop in answer.candidates.crops)
            self._encodings = self._encodings.after(answer.encode_s, crops)
            self.answered.emit(answer)

    def _prepared(self, about: About, prepared: Prepared) -> None:
        from napari_segany.engine.automatic_estimate import Speed

        self.cache.put(self._key(about, prepared.plane), prepared.embedding)
        known = 0.0 if self.speed is None else self.speed.encode_s
        encode_s = known if prepared.encode_s is None else prepared.encode_s
        self._speeds[self.model, self.device] = Speed(encode_s, prepared.point_s)
        self.speed_changed.emit()

    def _learn_from_run(self, planes: int) -> None:
        """Take what encoding took, and the pace of the points, which says more than one call measured before.

        Of several planes the pace is taken only where nothing was measured: they may be asked different points.
        """
        from napari_segany.engine.automatic_estimate import Speed

        known, pace_s = self.speed, self._countdown.pace_s
        if pace_s is None:
            return
        encode_s = self._encodings.encode_s
        if encode_s is None:
            encode_s = 0.0 if known is None else known.encode_s
        if known is None or planes == 1:
            point_s = max(pace_s - self._encodings.between * encode_s / self._countdown.units, 0.0)
        else:
            point_s = known.point_s
        self._speeds[self.model, self.device] = Speed(encode_s, point_s)
        self.speed_changed.emit()

    def _failed(self, error: Exception) -> None:
        self._task = None
        self._become(WorkState("failed", message=str(error) or type(error).__name__))

    def _become(self, state: WorkState) -> None:
        self.state = state
        self.state_changed.emit(state)
