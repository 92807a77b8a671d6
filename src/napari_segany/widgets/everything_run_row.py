"""The row that runs and cancels segmenting everything, with its progress, what is left, and the estimate."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_segany.widgets.everything_asker import Estimate, WorkState
from napari_segany.widgets.everything_clock import about
from napari_segany.widgets.small_parts import fill_bar


class RunRow(QWidget):
    """Emits `run_wanted` (with whether all slices are meant), `cancelled`, and `slices_chosen`."""

    run_wanted = Signal(bool)
    cancelled = Signal()
    slices_chosen = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._working = False
        self.slices = QComboBox()
        self.slices.addItems(["This slice", "All slices"])
        self.slices.setToolTip("Of a stack: the shown slice, or all along the axes that are not displayed")
        self.slices.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.slices.activated.connect(lambda _: self.slices_chosen.emit())
        self.button = QPushButton("Run")
        self.button.setToolTip("Segment everything now, or stop it; what is found so far stays")
        self.button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.button.clicked.connect(self._pressed)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.estimate = QLabel()
        self.estimate.setWordWrap(True)
        self.estimate.setToolTip("From a few points that were asked for the purpose, on this computer")
        self.note = QLabel()
        self.note.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(self.slices)
        row.addWidget(self.button, stretch=1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.estimate)
        column.addWidget(self.bar)
        column.addWidget(self.note)
        self.show_state(WorkState(), possible=False)

    @property
    def all_slices(self) -> bool:
        """Whether all slices are meant."""
        return bool(self.slices.isEnabled() and self.slices.currentIndex() == 1)

    def show_state(self, state: WorkState, *, possible: bool) -> None:
        """Show how far the work is; `possible` tells whether there is something to run."""
        self._working = state.phase == "working"
        progress = state.progress
        fill_bar(self.bar, progress if self._working else None)
        left = "" if state.seconds_left is None else f" {about(state.seconds_left).capitalize()} left."
        self.note.setText(f"{progress.note}.{left}" if self._working else "")
        self.bar.setVisible(self._working)
        self.note.setVisible(self._working)
        self.button.setText("Cancel" if self._working else "Run")
        self.button.setEnabled(self._working or possible)

    def show_slices(self, count: int) -> None:
        """Offer all slices where there are several."""
        self.slices.setItemText(1, f"All {count} slices" if count > 1 else "All slices")
        self.slices.setEnabled(count > 1)

    def show_estimate(self, estimate: Estimate | None) -> None:
        """Show what a run takes."""
        if estimate is None:
            self.estimate.setText("")
            return
        points = "point" if estimate.points == 1 else "points"
        slices = f" on {estimate.slices:,} slices" if estimate.slices > 1 else ""
        time = "not measured yet" if estimate.seconds is None else about(estimate.seconds)
        self.estimate.setText(f"{estimate.points:,} {points}{slices}: {time}")

    def _pressed(self) -> None:
        if self._working:
            self.cancelled.emit()
        else:
            self.run_wanted.emit(self.all_slices)
