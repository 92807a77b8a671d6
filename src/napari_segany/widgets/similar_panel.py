"""The part of the dock for finding similar objects: where to look, how similar, and accepting them."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_segany.widgets.find_similar import FindSimilar
from napari_segany.widgets.small_parts import button

_SOURCE_TEXTS = {"everything": "layer everything, if it is there", "model": "ask the model"}
_SLIDER = 1000


class SimilarPanel(QWidget):
    """Shows a `FindSimilar` and calls its methods.

    Parameters
    ----------
    similar : FindSimilar
        What the buttons do.
    """

    def __init__(self, similar: FindSimilar) -> None:
        super().__init__()
        self._similar = similar
        self.source = QComboBox()
        for value, text in _SOURCE_TEXTS.items():
            self.source.addItem(text, value)
        self.source.setToolTip(
            "<qt>Which masks are compared with what you chose: those that Segment everything found, or all that the "
            "model finds on this slice with low thresholds</qt>"
        )
        self.source.activated.connect(self._choose_source)
        self.find_button = button(
            "Find similar", "Rank all masks by how much they resemble the selected objects", similar.find
        )
        self.cancel_button = button("Cancel", "Stop, or drop what is marked", similar.cancel)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _SLIDER)
        self.slider.setToolTip("Masks that are at least so similar are marked; 1 is a perfect match")
        self.slider.valueChanged.connect(self._slid)
        self.value = QLabel()
        self.least_iou = QDoubleSpinBox()
        self.least_iou.setRange(0.0, 1.0)
        self.least_iou.setSingleStep(0.05)
        self.least_iou.setKeyboardTracking(False)
        self.least_iou.setToolTip("Masks of which the model thinks less are left out")
        self.least_iou.valueChanged.connect(self._set_least_iou)
        self.accept_button = button("Accept", "Make all marked masks objects; undo takes them back", similar.accept)
        similarity = QHBoxLayout()
        similarity.addWidget(self.slider, stretch=1)
        similarity.addWidget(self.value)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignRight)
        form.addRow("Among", self.source)
        form.addRow("Similarity", similarity)
        form.addRow("Predicted IoU from", self.least_iou)
        self.note = QLabel()
        self.note.setWordWrap(True)
        grid = QGridLayout()
        grid.addWidget(self.find_button, 0, 0)
        grid.addWidget(self.cancel_button, 0, 1)
        grid.addWidget(self.accept_button, 1, 0, 1, 2)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(form)
        column.addWidget(self.note)
        column.addLayout(grid)
        similar.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        similar = self._similar
        for field, value in ((self.slider, round(_SLIDER * similar.threshold)), (self.least_iou, similar.least_iou)):
            field.blockSignals(True)
            field.setValue(value)
            field.blockSignals(False)
        self.value.setText(f"{similar.threshold:.3f}")
        self.cancel_button.setEnabled(similar.progress is not None or similar.answer is not None)
        self.accept_button.setEnabled(similar.count > 0)
        self.accept_button.setText(f"Accept {similar.count}" if similar.count else "Accept")
        if similar.progress is not None:
            share = f" {similar.progress.done / similar.progress.total:.0%}" if similar.progress.total else ""
            self.note.setText(f"{similar.progress.note}{share}")
        elif similar.answer is not None:
            self.note.setText(f"{similar.count} of {similar.total} masks are marked.")
        else:
            self.note.setText("Select one or several objects (G), then find those that look like them.")

    def _slid(self, value: int) -> None:
        self._similar.threshold = value / _SLIDER

    def _set_least_iou(self, value: float) -> None:
        self._similar.least_iou = value

    def _choose_source(self, index: int) -> None:
        self._similar.source = self.source.itemData(index)
