"""Work that is done ahead of the user, piece by piece, whenever nothing else is to do. Knows neither napari nor Qt.

It makes way at once: what it has begun waits, half done, and is gone on with afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

from napari_segany.engine.progress import Steps
from napari_segany.widgets.half_done import Begun, HalfDone
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
    begun : Begun, optional
        What was begun, where others go on with it too.

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
        begun: Begun | None = None,
    ) -> None:
        self.nbytes = 0
        self._runner, self._may_work, self._next_piece, self._moved = runner, may_work, next_piece, moved
        self._task: Task | None = None
        self._begun = Begun() if begun is None else begun
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
        self._half_done = self._begun.take_up(key, begin, keep)
        return self._half_done

    def make_way(self) -> None:
        """Rest a moment, for a question is asked."""
        if self._task is None:
            return
        self.pause()
        self._nap.stir()

    def pause(self) -> None:
        """Rest until it is told to look again; what was begun is kept."""
        task, self._task, self._half_done = self._task, None, None
        if task is not None:
            task.cancel()

    def drop(self) -> None:
        """Rest until it is told to look again, and begin anew then."""
        self.pause()
        self._begun.drop()

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
            self._begun.tidy()
        piece.done(result)
        self.look_again()

    def _failed(self, piece: Piece, ended: list[bool], error: Exception) -> None:
        ended.append(True)
        self._task = self._half_done = None
        piece.failed(error)
        self.look_again()
