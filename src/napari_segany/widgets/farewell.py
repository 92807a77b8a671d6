"""Doing something when Qt destroys a widget, which is all that a dock widget hears of a viewer that is closed."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, Slot
from qtpy.QtWidgets import QWidget


class Farewell(QObject):
    """Calls back once when Qt has destroyed a widget. The widget keeps it; the callback must not touch the widget.

    A slot of a second object, and not a function connected to `destroyed`: Python's garbage collector empties such
    functions together with the widget's other references, and Qt would then call what is left of them. A connection
    between two objects ends with either of them.
    """

    _callback: Callable[[], None] | None = None

    def __init__(self, widget: QWidget, callback: Callable[[], None]) -> None:
        super().__init__()
        self._callback = callback
        widget.destroyed.connect(self._say)

    def forget(self) -> None:
        """Call nobody back: what was to be done is done."""
        self._callback = None

    @Slot()
    def _say(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()
