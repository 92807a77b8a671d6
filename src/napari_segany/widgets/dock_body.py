"""A widget in a dock, which ends what it began when napari takes it out of there."""

from __future__ import annotations

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QWidget

from napari_segany.widgets.farewell import Farewell


class DockBody(QWidget):
    """Calls `_end` once when napari takes it out of its dock: that is all that napari does to close one.

    For a viewer that is closed as a whole a dock has a `Farewell`, which has nothing to do once `_end` was called.
    """

    _has_ended = False
    _farewell: Farewell | None = None

    @property
    def is_closed(self) -> bool:
        """Whether it has been taken out of its dock."""
        return self._has_ended

    def event(self, event: QEvent) -> bool:
        """Tear down where the widget loses its dock; Qt frees it later, and with it all that its signals call."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._tear_down()
            self.deleteLater()
        return bool(super().event(event))

    def _tear_down(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            if self._farewell is not None:
                self._farewell.forget()
            self._end()

    def _end(self) -> None:
        """Stop the work and let go of the viewer."""
        raise NotImplementedError
