"""Callbacks that are due at the same time, with the event loop in between: no two long ones in one turn of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from qtpy.QtCore import QTimer

_LONG_S = 0.005
"""What takes longer has its turn for itself."""


class Turns:
    """Calls back from the event loop.

    Qt calls all timers that are due in one turn, and what waits for no time at all before those, so that layers that
    are added one at a time would come two or three at once, and nothing would be drawn or heard in between.

    Attributes
    ----------
    is_closed : bool
        Whether nothing is called back any more.
    """

    def __init__(self) -> None:
        self.is_closed = False
        self._is_taken = False

    def add(self, callback: Callable[[], None], delay_ms: int) -> None:
        """Call back after a delay, or in the next turn that is free."""
        QTimer.singleShot(max(delay_ms, 1), partial(self._call, callback))

    def _call(self, callback: Callable[[], None]) -> None:
        if self.is_closed:
            return
        if self._is_taken:
            self.add(callback, 1)
            return
        began = time.perf_counter()
        callback()
        if time.perf_counter() - began > _LONG_S:
            self._is_taken = True
            QTimer.singleShot(1, self._over)

    def _over(self) -> None:
        self._is_taken = False
