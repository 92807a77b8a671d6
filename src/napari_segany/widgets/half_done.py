"""Embeddings that were begun and left, to be gone on with. Knows neither napari nor Qt."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any

from napari_segany.engine.progress import Steps


def _nothing(value: Any) -> None:
    """Keep nothing: what is made keeps itself."""


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
        inner, self._inner = self._inner or self._begin(), None
        try:
            progress = next(inner)
        except StopIteration as end:
            self._over = True
            self.nbytes = int(end.value.nbytes)
            self._keep(end.value)
            return None
        self._inner = inner  # work that has failed begins anew
        return progress


class Begun:
    """The embeddings that were begun last. May be used from any thread.

    Parameters
    ----------
    room : int
        How many are kept: each holds what its encoder works on.
    """

    def __init__(self, room: int = 1) -> None:
        self._room = room
        self._held: tuple[HalfDone, ...] = ()
        self._lock = threading.Lock()

    def take_up(
        self, key: Hashable, begin: Callable[[], Steps[Any]], keep: Callable[[Any], None] = _nothing
    ) -> HalfDone:
        """Return an embedding to go on with: one that was left, if it is of this key, else a new one."""
        with self._lock:
            left = tuple(one for one in self._held if not one.is_over)
            same = [one for one in left if one.key == key]
            work = same[0] if same else HalfDone(key, begin, keep)
            self._held = (*(one for one in left if one is not work), work)[-self._room :]
            return work

    def tidy(self) -> None:
        """Let go of those that are there by now, and of what they were made of."""
        with self._lock:
            self._held = tuple(one for one in self._held if not one.is_over)

    def drop(self) -> None:
        """Keep none."""
        with self._lock:
            self._held = ()
