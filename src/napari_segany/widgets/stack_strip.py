"""A strip with a tick for each slice of a stack: which are ready, which have prompts, which is shown."""

from __future__ import annotations

from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_segany.widgets.stack_marks import SliceMarks

_READY = QColor("#3fae6b")
_WAITING = QColor("#5a626c")
_PROMPTED = QColor("#f2b134")
_HERE = QColor("#ffffff")
_HEIGHT = 16


class SliceStrip(QWidget):
    """Draws `SliceMarks`; emits `chosen` with the slice that is clicked on."""

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._marks = SliceMarks()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(
            "A tick for each slice: green ones are ready for clicks, yellow marks have prompts. Click to go there"
        )

    def sizeHint(self) -> QSize:
        """Return a low strip."""
        return QSize(120, _HEIGHT)

    def show_marks(self, marks: SliceMarks) -> None:
        """Draw these."""
        if marks != self._marks:
            self._marks = marks
            self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw a tick for each slice."""
        painter = QPainter(self)
        count = len(self._marks.ready)
        for place, ready in enumerate(self._marks.ready):
            painter.fillRect(self._tick(place, count), _READY if ready else _WAITING)
        for place in self._marks.prompted:
            tick = self._tick(place, count)
            painter.fillRect(tick.adjusted(0, 0, max(0.0, 2 - tick.width()), -tick.height() / 2), _PROMPTED)
        if self._marks.here is not None:
            painter.setPen(_HERE)
            painter.drawRect(self._tick(self._marks.here, count).adjusted(-0.5, 0, 0.5, -1))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Tell which slice is meant."""
        count = len(self._marks.ready)
        if event is not None and count and event.button() == Qt.MouseButton.LeftButton:
            self.chosen.emit(min(count - 1, max(0, int(event.position().x() * count / self.width()))))

    def _tick(self, place: int, count: int) -> QRectF:
        wide = self.width() / count
        gap = 1.0 if wide > 3 else 0.0
        return QRectF(place * wide, 0, wide - gap, self.height())
