"""The row that says how large objects usually are: not at all, measured first, or a number of pixels."""

from __future__ import annotations

from typing import Literal

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QHBoxLayout, QWidget

_FIRST, _LARGEST = 40.0, 9_999.0  # pixels: before anybody has said how many, and the most
_CHOICES = (("Objects of any size", "none"), ("Measure them first", "auto"), ("Objects of (px)", "given"))
_TIP = (
    "<qt>The usual diameter of the objects, for images that are done tile by tile. Levels that are finer than such "
    "objects need are left out, which saves time, and small objects get smaller tiles. <i>Measure them first</i> "
    "looks at a few tiles before the others; <i>Objects of any size</i> looks at all levels. <i>object_size</i></qt>"
)


class ObjectSizeRow(QWidget):
    """Emits `chosen` with a diameter in pixels, "auto" or None, as `TilingSettings` has it."""

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = QComboBox()
        for title, how in _CHOICES:
            self.combo.addItem(title, how)
        self.box = QDoubleSpinBox()
        self.box.setRange(1.0, _LARGEST)
        self.box.setDecimals(1)
        self.box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)  # they would make the dock wider
        self.box.setFixedWidth(self.box.fontMetrics().horizontalAdvance(f"{_LARGEST}") + 24)
        self.box.setKeyboardTracking(False)  # a number that is being typed is no wish yet
        self.box.setValue(_FIRST)
        for field in (self.combo, self.box):
            field.setToolTip(_TIP)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.combo, stretch=1)
        row.addWidget(self.box)
        self.combo.activated.connect(lambda _: self._tell())
        self.box.valueChanged.connect(lambda _: self._tell())
        self.show_size(None)

    def show_size(self, size: float | Literal["auto"] | None) -> None:
        """Show what is chosen, without emitting `chosen`."""
        how = "none" if size is None else "auto" if size == "auto" else "given"
        self.combo.setCurrentIndex(self.combo.findData(how))
        self.box.setVisible(how == "given")
        if isinstance(size, (int, float)):
            self.box.blockSignals(True)
            self.box.setValue(size)
            self.box.blockSignals(False)

    def _tell(self) -> None:
        how = self.combo.currentData()
        self.chosen.emit({"none": None, "auto": "auto"}.get(how, self.box.value()))
