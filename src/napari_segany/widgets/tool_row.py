"""The buttons that choose what the mouse does: points or boxes, foreground or background."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QWidget

from napari_segany.widgets.prompt_layers import FOREGROUND


class ToolRow(QWidget):
    """Emits `tool_chosen` with "points" or "boxes", and `polarity_toggled`."""

    tool_chosen = Signal(str)
    polarity_toggled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.points = _button("Click", "Click on the object; right click or Ctrl-click on what does not belong to it")
        self.boxes = _button("Box", "Drag a box around the object")
        self.polarity = _button("", "")
        self.points.setCheckable(True)
        self.boxes.setCheckable(True)
        group = QButtonGroup(self)
        group.addButton(self.points)
        group.addButton(self.boxes)
        self.points.clicked.connect(lambda: self.tool_chosen.emit("points"))
        self.boxes.clicked.connect(lambda: self.tool_chosen.emit("boxes"))
        self.polarity.clicked.connect(lambda: self.polarity_toggled.emit())
        self._group = group
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for button, stretch in ((self.points, 2), (self.boxes, 2), (self.polarity, 3)):
            layout.addWidget(button, stretch=stretch)
        self.show_polarity(FOREGROUND)

    def show_polarity(self, polarity: str) -> None:
        """Say what a plain click means."""
        foreground = polarity == FOREGROUND
        self.polarity.setText("● Foreground  Q" if foreground else "✕ Background  Q")
        self.polarity.setStyleSheet(f"color: {'#5fe35f' if foreground else '#ff6b6b'};")
        other = "background" if foreground else "foreground"
        self.polarity.setToolTip(
            f"A plain click means {polarity}, a right click or Ctrl-click {other}. Press Q to swap them."
        )

    def show_tool(self, name: str | None) -> None:
        """Show which tool the mouse has; None if neither."""
        self._group.setExclusive(False)
        self.points.setChecked(name == "points")
        self.boxes.setChecked(name == "boxes")
        self._group.setExclusive(True)


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return button
