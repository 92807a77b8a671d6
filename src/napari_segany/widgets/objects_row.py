"""The part of the dock for accepted objects: undo, the selection and what is done to it, overlaps and clean-up."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QGridLayout, QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_segany.engine.mask_cleaning import LARGEST_RADIUS, CleanUp
from napari_segany.engine.object_overlap import OverlapRule

OVERLAP_TEXTS: dict[OverlapRule, str] = {
    "keep": "others keep theirs",
    "overwrite": "new object wins",
    "smaller": "smaller one wins",
}


class ObjectsRow(QWidget):
    """Emits `pressed` with the name of a session's method, `overlap_chosen`, and `cleaning_chosen`."""

    pressed = Signal(str)
    overlap_chosen = Signal(str)
    cleaning_chosen = Signal(CleanUp, bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        button = self._button
        self.undo = button("Undo  Ctrl-Z", "undo", "Take the last click, accepted object, edit or stroke back")
        self.redo = button("Redo  Ctrl-Shift-Z", "redo", "Do again what was undone last")
        self.delete = button("Delete  Shift-N", "editor.delete", "Delete the selected objects")
        self.reopen = button("Correct  Shift-G", "editor.reopen", "Open the selected object again with its prompts")
        self.merge = button("Merge  J", "editor.merge", "Make the selected objects one")
        self.split = button(
            "Split  K", "editor.split", "Separate the parts of the selected object, or cut it at clicks"
        )
        self.clean = button("Clean up", "editor.clean_up", "Clean the selected objects as chosen here")
        self.restore = button("Restore", "restore", "Bring back what was saved of this image in an earlier session")
        grid = QGridLayout()
        pairs = (self.undo, self.redo, self.delete, self.reopen, self.merge, self.split, self.clean, self.restore)
        for place, one in enumerate(pairs):
            grid.addWidget(one, place // 2, place % 2)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(grid)
        column.addLayout(self._choices())
        self.show_selection(())
        self.show_history(can_undo=False, can_redo=False)

    def show_selection(self, labels: tuple[int, ...]) -> None:
        """Enable what can be done to these objects."""
        for button in (self.delete, self.clean):
            button.setEnabled(bool(labels))
        for button in (self.reopen, self.split):
            button.setEnabled(len(labels) == 1)
        self.merge.setEnabled(len(labels) > 1)

    def show_history(self, *, can_undo: bool, can_redo: bool) -> None:
        """Enable undo and redo."""
        self.undo.setEnabled(can_undo)
        self.redo.setEnabled(can_redo)

    def show_choices(self, rule: OverlapRule, cleaning: CleanUp, *, clean_accepted: bool) -> None:
        """Show what holds; nothing is emitted for it."""
        self.overlap.setCurrentIndex(self.overlap.findData(rule))
        self.blockSignals(True)
        self.largest_part.setChecked(cleaning.largest_part)
        self.fill_holes.setChecked(cleaning.fill_holes)
        self.drop_islands.setValue(cleaning.drop_islands)
        self.smooth.setValue(cleaning.smooth)
        self.clean_accepted.setChecked(clean_accepted)
        self.blockSignals(False)

    @property
    def cleaning(self) -> CleanUp:
        """What is chosen."""
        return CleanUp(
            largest_part=self.largest_part.isChecked(),
            drop_islands=self.drop_islands.value(),
            fill_holes=self.fill_holes.isChecked(),
            smooth=self.smooth.value(),
        )

    def _choices(self) -> QFormLayout:
        self.overlap = QComboBox()
        for rule, text in OVERLAP_TEXTS.items():
            self.overlap.addItem(text, rule)
        self.overlap.setToolTip("What becomes of pixels that other objects have, when a mask is accepted")
        self.overlap.activated.connect(lambda index: self.overlap_chosen.emit(self.overlap.itemData(index)))
        self.largest_part = _box("largest part only", "Keep the largest of several parts")
        self.fill_holes = _box("fill holes", "Fill background that the object encloses")
        self.drop_islands = _number(1_000_000, "px", "Drop parts with fewer pixels; the largest one stays")
        self.smooth = _number(LARGEST_RADIUS, "px", "Radius of the disc whose majority decides each pixel")
        self.clean_accepted = _box("also when accepting", "Clean masks as they are accepted")
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignRight)
        form.addRow("Overlaps", self.overlap)
        form.addRow("Clean-up", self.largest_part)
        form.addRow("", self.fill_holes)
        form.addRow("Islands below", self.drop_islands)
        form.addRow("Smooth by", self.smooth)
        form.addRow("", self.clean_accepted)
        for box in (self.largest_part, self.fill_holes, self.clean_accepted):
            box.toggled.connect(self._cleaning_changed)
        for number in (self.drop_islands, self.smooth):
            number.valueChanged.connect(self._cleaning_changed)
        return form

    def _cleaning_changed(self, value: object = None) -> None:
        self.cleaning_chosen.emit(self.cleaning, self.clean_accepted.isChecked())

    def _button(self, text: str, method: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        emit: Callable[[], None] = partial(self.pressed.emit, method)
        button.clicked.connect(lambda: emit())
        return button


def _box(text: str, tip: str) -> QCheckBox:
    box = QCheckBox(text)
    box.setToolTip(tip)
    box.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return box


def _number(highest: int, unit: str, tip: str) -> QSpinBox:
    number = QSpinBox()
    number.setRange(0, highest)
    number.setSuffix(f" {unit}")
    number.setSpecialValueText("off")
    number.setToolTip(tip)
    return number
