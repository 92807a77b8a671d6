"""Waiting until what moves has come to rest: the mouse, the view, the objects. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from napari_segany.widgets.progress_runner import Runner


class Rest:
    """Calls back once it has been stirred and then not again for a while.

    Parameters
    ----------
    runner : Runner
        Waits; a synchronous one calls back at once.
    callback : callable
        What is called.
    delay_ms : int
        How long it must have been still, in milliseconds.
    """

    def __init__(self, runner: Runner, callback: Callable[[], None], delay_ms: int) -> None:
        self._runner, self._callback, self._delay_ms = runner, callback, delay_ms
        self._stirs = 0

    def stir(self, event: object = None) -> None:
        """Call back after the delay, counted from now."""
        self._stirs += 1
        self._runner.later(partial(self._over, self._stirs), self._delay_ms)

    def forget(self) -> None:
        """Do not call back any more for what has been stirred so far."""
        self._stirs += 1

    def _over(self, stir: int) -> None:
        if stir == self._stirs:
            self._callback()
