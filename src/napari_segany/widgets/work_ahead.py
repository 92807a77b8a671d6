"""Work that is done ahead of the user, piece by piece, whenever nothing else is to do. Knows neither napari nor Qt.

It makes way at once: what it has begun waits, half done, and is gone on with afterwards.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

from napari_segany.engine.progress import Steps
from napari_segany.widgets.progress_runner import Runner, Task
from napari_segany.widgets.rest import Rest

_REST_MS = 300
"""How long it rests after a prompt: the answer to the next click comes first."""


def _nothing(*values: Any) -> None:
    """Take what nobody wants."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A piece of work.

    Attributes
    ----------
    title : str
        What is done, in words for a user.
    steps : generator of Progress
        The work.
    done, failed : callable
        Receive its result or its error, in the thread of the layers, before the next piece is looked for.
    """

    title: str
    steps: Steps[Any]
    done: Callable[[Any], None] = _nothing
    failed: Callable[[Exception], None] = _nothing


class WorkAhead:
    """Runs one piece after the other as long as it may.

    Parameters
    ----------
    runner : Runner
        Runs the work.
    may_work : callable
        Whether nothing else is to do.
    next_piece : callable
        Returns the next piece; None when all is done.
    moved : callable
        Called after each look at what there is to do.

    Attributes
    ----------
    nbytes : int
        What the largest embedding so far holds; 0 before there is one.
    """

    def __init__(
        self,
        runner: Runner,
        may_work: Callable[[], bool],
        next_piece: Callable[[], Piece | None],
        moved: Callable[[], None] = _nothing,
    ) -> None:
        self.nbytes = 0
        self._runner, self._may_work, self._next_piece, self._moved = runner, may_work, next_piece, moved
        self._task: Task | None = None
        self._half_done: HalfDone | None = None
        self._is_starting = False
        self._nap = Rest(runner, self.look_again, _REST_MS)

    @property
    def is_working(self) -> bool:
        """Whether a piece is under way right now."""
        return self._task is not None

    def look_again(self) -> None:
        """Go on if it may now, rest if it may not."""
        if self._may_work():
            self._go_on()
        else:
            self.pause()
        self._moved()

    def half_done(self, key: Hashable, begin: Callable[[], Steps[Any]], keep: Callable[[Any], None]) -> HalfDone:
        """Return an embedding to go on with: the one that was left, if it is of this key, else a new one."""
        if self._half_done is None or self._half_done.key != key:
            self._half_done = HalfDone(key, begin, keep)
        return self._half_done

    def make_way(self) -> None:
        """Rest a moment, for a question is asked."""
        if self._task is None:
            return
        self.pause()
        self._nap.stir()

    def pause(self) -> None:
        """Rest until it is told to look again; what was begun is kept."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    def drop(self) -> None:
        """Rest until it is told to look again, and begin anew then."""
        self.pause()
        self._half_done = None

    def close(self) -> None:
        """Stop, and drop what was begun."""
        self._nap.forget()
        self.drop()

    def _go_on(self) -> None:
        if self._is_starting:
            return
        self._is_starting = True
        try:
            while self._task is None and self._may_work() and (piece := self._next_piece()) is not None:
                ended: list[bool] = []
                task = self._runner.start(
                    piece.title,
                    piece.steps,
                    done=partial(self._done, piece, ended),
                    failed=partial(self._failed, piece, ended),
                )
                self._task = None if ended else task
        finally:
            self._is_starting = False

    def _done(self, piece: Piece, ended: list[bool], result: Any) -> None:
        ended.append(True)
        self._task = None
        if self._half_done is not None and self._half_done.is_over:
            self.nbytes = max(self.nbytes, self._half_done.nbytes)
            self._half_done = None
        piece.done(result)
        self.look_again()

    def _failed(self, piece: Piece, ended: list[bool], error: Exception) -> None:
        ended.append(True)
        self._task = self._half_done = None
        piece.failed(error)
        self.look_again()


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

    @property
    def is_over(self) -> bool:
        """Whether the embedding is there."""
        return self._over

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
