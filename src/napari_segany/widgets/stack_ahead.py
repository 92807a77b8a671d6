"""Computes the embeddings of a stack's slices ahead of the user, the nearest first, whenever nothing else is to do.

It makes way at once for the shown slice and for propagation: what it has begun waits, half done, and is gone on with
afterwards. Knows neither napari nor Qt.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

from numpy.typing import ArrayLike
from psygnal import Signal

from napari_segany.engine.progress import Steps
from napari_segany.widgets.embedder import AnyPredictor, Embedder, EmbeddingState
from napari_segany.widgets.embedding_cache import EmbeddingKey
from napari_segany.widgets.progress_runner import Runner, Task
from napari_segany.widgets.stack_line import StackLine

_SHARE = 0.8
"""Part of the embedding cache that slices may fill ahead: what was just looked at must not be driven out."""

_REST_MS = 300
"""How long it rests after a prompt: the answer to the next click comes first."""


@dataclass(frozen=True)
class Slices:
    """The slices that are to be made ready.

    Attributes
    ----------
    line : StackLine
        The stack.
    here : int
        The shown slice.
    image : str
        Unique id of the image layer.
    contrast_limits : tuple of float, optional
        How its intensities are seen.
    read : callable
        Returns the image of a slice; called in the background.
    """

    line: StackLine
    here: int
    image: str
    contrast_limits: tuple[float, float] | None
    read: Callable[[int], ArrayLike]


class SlicesAhead:
    """Fills the embedding cache from the shown slice outwards.

    Parameters
    ----------
    runner : Runner
        Runs the work.
    embedder : Embedder
        Has the model and keeps the embeddings.

    Attributes
    ----------
    failure : str
        Why it has stopped, in words for the user; empty while it works.
    """

    changed = Signal()

    def __init__(self, runner: Runner, embedder: Embedder) -> None:
        self.failure = ""
        self._runner, self._embedder = runner, embedder
        self._enabled = False
        self._slices: Slices | None = None
        self._task: Task | None = None
        self._half_done: HalfDone | None = None
        self._is_starting = self._is_held = False
        self._naps = 0
        self._bytes = 0
        embedder.state_changed.connect(self._embedder_moved)

    # ------------------------------------------------------------------- for users

    @property
    def enabled(self) -> bool:
        """Whether slices are computed ahead at all."""
        return self._enabled

    @enabled.setter
    def enabled(self, on: bool) -> None:
        self._enabled = bool(on)
        self.failure = ""
        self._look_again()

    @property
    def is_working(self) -> bool:
        """Whether a slice is being computed right now."""
        return self._task is not None

    @property
    def ready(self) -> tuple[bool, ...]:
        """Of each slice, whether its embedding is there: a click on it is answered at once."""
        slices = self._slices
        if slices is None:
            return ()
        return tuple(self._key(slices, place) in self._embedder.cache for place in range(slices.line.length))

    @property
    def room(self) -> int:
        """How many slices fit into the cache; 0 while that is not known."""
        return int(_SHARE * self._embedder.cache.limit) // self._bytes if self._bytes else 0

    # ------------------------------------------------------------- for the session

    def turn_to(self, slices: Slices | None) -> None:
        """Go on around another slice, or in another stack."""
        self._slices = slices
        self._look_again()

    def hold(self, held: bool) -> None:
        """Rest while propagation computes slices itself."""
        self._is_held = held
        self._look_again()

    def make_way(self) -> None:
        """Rest a moment, for a question is asked."""
        if self._task is None:
            return
        self._pause()
        self._naps += 1
        nap = self._naps
        self._runner.later(lambda: self._wake(nap), _REST_MS)

    def close(self) -> None:
        """Stop for good."""
        self._embedder.state_changed.disconnect(self._embedder_moved)
        self._enabled = False
        self._pause()
        self._half_done = None

    # -------------------------------------------------------------------- internal

    def _embedder_moved(self, state: EmbeddingState) -> None:
        if state.phase in ("working", "ready"):
            self._look_again()

    def _look_again(self) -> None:
        if self._may_work():
            self._go_on()
        else:
            self._pause()
        self.changed.emit()

    def _may_work(self) -> bool:
        free = self._embedder.state.phase == "ready" and not self._is_held
        return self._enabled and not self.failure and free and self._embedder.predictor is not None

    def _wake(self, nap: int) -> None:
        if nap == self._naps:
            self._look_again()

    def _pause(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _go_on(self) -> None:
        if self._is_starting:
            return
        self._is_starting = True
        try:
            while self._task is None and self._may_work() and (work := self._next()) is not None:
                ended: list[bool] = []
                task = self._runner.start(
                    "Computing slices ahead",
                    work.steps(),
                    done=lambda result, ended=ended: self._slice_done(ended),  # type: ignore[misc]
                    failed=lambda error, ended=ended: self._slice_failed(ended, error),  # type: ignore[misc]
                )
                self._task = None if ended else task
        finally:
            self._is_starting = False

    def _next(self) -> HalfDone | None:
        """Return the nearest slice that is not there, as far as there is room."""
        slices, embedder = self._slices, self._embedder
        if slices is None or embedder.predictor is None:
            return None
        predictor = embedder.predictor
        nearest = slices.line.nearest_first(slices.here)
        for place in nearest[: self.room or None]:
            key = self._key(slices, place)
            if key in embedder.cache:
                continue
            if self._half_done is None or self._half_done.key != key:
                begin = partial(_encoding_steps, predictor, slices, place)
                self._half_done = HalfDone(key, begin, partial(embedder.cache.put, key))
            return self._half_done
        return None

    def _slice_done(self, ended: list[bool]) -> None:
        ended.append(True)
        self._task = None
        if self._half_done is not None:
            self._bytes = max(self._bytes, self._half_done.nbytes)
        self._half_done = None
        self._look_again()

    def _slice_failed(self, ended: list[bool], error: Exception) -> None:
        ended.append(True)
        self._task = self._half_done = None
        self.failure = str(error) or type(error).__name__
        self.changed.emit()

    def _key(self, slices: Slices, place: int) -> EmbeddingKey:
        return self._embedder.key(slices.image, slices.line.plane(place), slices.contrast_limits)


def _encoding_steps(predictor: AnyPredictor, slices: Slices, place: int) -> Steps[Any]:
    return (yield from predictor.encode_steps(slices.read(place), contrast_limits=slices.contrast_limits))


class HalfDone:
    """An embedding under way that can be left and gone on with, in another thread too.

    Parameters
    ----------
    key : hashable
        What it is of.
    begin : callable
        Begins the work.
    keep : callable
        Receives the embedding, in the thread that finished it.

    Attributes
    ----------
    nbytes : int
        What the embedding holds; 0 before it is there.
    """

    def __init__(self, key: Hashable, begin: Callable[[], Steps[Any]], keep: Callable[[Any], None]) -> None:
        self.key = key
        self.nbytes = 0
        self._begin, self._keep = begin, keep
        self._inner: Steps[Any] | None = None
        self._over = False
        self._lock = threading.Lock()  # the step that was under way when it was left may still be so

    def steps(self) -> Steps[None]:
        """Go on where the work was left."""
        while True:
            with self._lock:
                progress = self._step()
            if progress is None:
                return None
            yield progress

    def _step(self) -> Any:
        if self._over:
            return None
        try:
            if self._inner is None:
                self._inner = self._begin()
            return next(self._inner)
        except StopIteration as end:
            self._over = True
            self.nbytes = int(end.value.nbytes)
            self._keep(end.value)
            return None
