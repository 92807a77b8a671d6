"""A widget in a dock, which ends what it began when napari takes it out of there."""

from __future__ import annotations

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QWidget


class DockBody(QWidget):
    """Calls `_end` once when napari takes it out of its dock: that is all that napari does to close one.

    For a viewer that is closed as a whole see `Farewell`.
    """

    _has_ended = False

    @property
    def is_closed(self) -> bool:
        """Whether it has been taken out of its dock."""
        return self._has_ended

    def event(self, event: QEvent) -> bool:
        """Tear down where the widget loses its dock."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._tear_down()
        return bool(super().event(event))

    def _tear_down(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._end()

    def _end(self) -> None:
        """Stop the work and let go of the viewer."""
        raise NotImplementedError
