"""The part "Stack" of the prompt dock: shows a session's stack, calls its methods and decides nothing itself."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from napari_segany.widgets.section import Section
from napari_segany.widgets.small_parts import button, drawn_later
from napari_segany.widgets.stack_choices import Direction
from napari_segany.widgets.stack_marks import SliceMarks
from napari_segany.widgets.stack_run import RunState
from napari_segany.widgets.stack_strip import SliceStrip
from napari_segany.widgets.stack_words import ready_text, working_text
from napari_segany.widgets.stack_work import StackWork

DIRECTION_TEXTS: dict[Direction, str] = {
    "both": "both ways",
    "forwards": "forwards",
    "backwards": "backwards",
    "between": "between prompted slices",
}


class StackPanel(QWidget):
    """Carries objects through the slices of a stack.

    Parameters
    ----------
    stack : StackWork
        What the buttons call.
    """

    def __init__(self, stack: StackWork, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._stack = stack
        self._build()
        stack.choices.changed.connect(self._show_choices)
        stack.marks_changed.connect(self._show_marks)
        stack.state_changed.connect(self._show_state)
        self._show_choices()
        self._show_marks(stack.marks)
        self._show_state(stack.state)

    # ------------------------------------------------------------------------ layout

    def _build(self) -> None:
        stack = self._stack
        self.axis = QComboBox()
        self.axis.setToolTip("The axis that leads from slice to slice")
        self.axis.activated.connect(self._choose_axis)
        self.direction = QComboBox()
        for direction, text in DIRECTION_TEXTS.items():
            self.direction.addItem(text, direction)
        self.direction.setToolTip("Where to go from the slices that have prompts")
        self.direction.activated.connect(self._choose_direction)
        self.time = QCheckBox("slices are time points")
        self.time.setToolTip("Objects may divide, and a Tracks layer shows where they go")
        self.time.clicked.connect(self._choose_time)
        self.min_overlap = _limit("An object stops where its mask overlaps less with that of the slice before")
        self.min_predicted_iou = _limit("An object stops where the model is less sure of its mask")
        self.ahead = QCheckBox("compute slices ahead")
        self.ahead.setToolTip("Make the slices around the shown one ready while the computer has nothing else to do")
        self.ahead.clicked.connect(self._choose_ahead)
        self.propagate = button(
            "Propagate", "Carry the object under work, or the selected objects, through the stack", stack.propagate
        )
        self.correct = button(
            "Correct from here", "The clicks on this slice correct the selected object from here on", stack.correct
        )
        self.cancel = button("Cancel", "Stop; what was found stays, undo takes it back", stack.cancel)
        self.bar = QProgressBar()
        self.bar.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.strip = SliceStrip()
        self.strip.chosen.connect(stack.show)
        self.ready = QLabel()
        self.ready.setWordWrap(True)
        for box in (self.time, self.ahead):
            box.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        for number in (self.min_overlap, self.min_predicted_iou):
            number.editingFinished.connect(self._choose_limits)
        self._lay_out()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignRight)
        form.addRow("Through", self.axis)
        form.addRow("", self.time)
        form.addRow("Go", self.direction)
        form.addRow("Overlap at least", self.min_overlap)
        form.addRow("Predicted IoU at least", self.min_predicted_iou)
        buttons, running = QHBoxLayout(), QHBoxLayout()
        buttons.addWidget(self.propagate)
        buttons.addWidget(self.correct)
        running.addWidget(self.bar, stretch=1)
        running.addWidget(self.cancel)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(form)
        column.addLayout(buttons)
        column.addLayout(running)
        column.addWidget(self.strip)
        column.addWidget(self.ready)
        column.addWidget(self.ahead)

    # ----------------------------------------------------------------------- choices

    def _choose_axis(self, index: int) -> None:
        self._stack.choices.axis = self.axis.itemData(index)

    def _choose_direction(self, index: int) -> None:
        self._stack.choices.direction = self.direction.itemData(index)

    def _choose_time(self, on: bool) -> None:
        self._stack.choices.is_time = on

    def _choose_ahead(self, on: bool) -> None:
        self._stack.ahead.enabled = on

    def _choose_limits(self) -> None:
        choices = self._stack.choices
        choices.settings = replace(
            choices.settings,
            min_overlap=self.min_overlap.value(),
            min_predicted_iou=self.min_predicted_iou.value(),
        )

    # ------------------------------------------------------------- showing the state

    def _show_choices(self) -> None:
        choices = self._stack.choices
        texts = [choices.axis_name(axis) for axis in choices.axes]
        if [self.axis.itemText(index) for index in range(self.axis.count())] != texts:
            self.axis.clear()
            for axis, text in zip(choices.axes, texts, strict=True):
                self.axis.addItem(text, axis)
        self.axis.setCurrentIndex(self.axis.findData(choices.axis))
        self.time.setChecked(choices.is_time)
        self.direction.setCurrentIndex(self.direction.findData(choices.direction))
        self.min_overlap.setValue(choices.settings.min_overlap)
        self.min_predicted_iou.setValue(choices.settings.min_predicted_iou)
        self._enable()

    def _show_marks(self, marks: SliceMarks) -> None:
        ahead = self._stack.ahead
        self.strip.show_marks(marks)
        self.ready.setText(ready_text(marks.ready, room=ahead.room, failure=ahead.failure))
        self.ahead.setChecked(ahead.enabled)

    def _show_state(self, state: RunState) -> None:
        progress = state.progress
        with drawn_later(self.bar):
            self.bar.setRange(0, progress.total if state.is_working else 1)
            self.bar.setValue(progress.done if state.is_working else 0)
        self.bar.setFormat(working_text(progress.note, state.seconds_left) if state.is_working else "")
        self._enable()

    def _enable(self) -> None:
        possible = self._stack.choices.line is not None
        working = self._stack.state.is_working
        self.propagate.setEnabled(possible and not working)
        self.correct.setEnabled(possible and not working)
        self.cancel.setEnabled(working)


class StackSection(Section):
    """The panel under a title that is unfolded where there is a stack.

    Parameters
    ----------
    stack : StackWork
        What the panel shows.
    """

    def __init__(self, stack: StackWork) -> None:
        self.panel = StackPanel(stack)
        super().__init__("Stack", self.panel)
        self._stack = stack
        self._was_stack = False
        stack.choices.changed.connect(self._look_again)

    def _look_again(self) -> None:
        is_stack = self._stack.choices.line is not None
        if is_stack != self._was_stack:
            self._was_stack = is_stack
            (self.expand if is_stack else self.collapse)(animate=False)


def _limit(tip: str) -> QDoubleSpinBox:
    number = QDoubleSpinBox()
    number.setRange(0.0, 1.0)
    number.setSingleStep(0.05)
    number.setDecimals(2)
    number.setToolTip(tip)
    return number
