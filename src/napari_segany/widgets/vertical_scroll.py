"""A scroll area that scrolls up and down only and is always as wide as what it holds needs."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtGui import QResizeEvent, QShowEvent
from qtpy.QtWidgets import QFrame, QScrollArea, QWidget

_LEAST_HEIGHT = 120


class VerticalScroll(QScrollArea):
    """Keeps a dock usable on low screens: docks can be taller than the screen, but must not be cut off at the side.

    Parameters
    ----------
    body : QWidget
        What is scrolled.
    """

    def __init__(self, body: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(body)
        body.installEventFilter(self)

    def minimumSizeHint(self) -> QSize:
        """Return the width of the body and its scroll bar, and a height that leaves room to scroll."""
        width = self.widget().minimumSizeHint().width() + self.verticalScrollBar().sizeHint().width()
        return QSize(width, _LEAST_HEIGHT)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Ask for the width anew when the body lays itself out: a part of it was unfolded, or words are longer."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.setMinimumWidth(self.minimumSizeHint().width())
        return super().eventFilter(watched, event)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Ask for the width anew: fonts and style sheets may have changed it."""
        super().resizeEvent(event)
        self.setMinimumWidth(self.minimumSizeHint().width())

    def showEvent(self, event: QShowEvent | None) -> None:
        """Ask for the width once the style sheet of the window counts."""
        super().showEvent(event)
        self.setMinimumWidth(self.minimumSizeHint().width())
