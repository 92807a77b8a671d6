"""The row that runs and cancels a batch, with its progress over images and within the one at work."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_segany.engine.progress import Progress
from napari_segany.widgets.batch_words import counted
from napari_segany.widgets.batch_work import BatchStep
from napari_segany.widgets.everything_asker import WorkState
from napari_segany.widgets.everything_clock import about
from napari_segany.widgets.small_parts import fill_bar


class BatchRunRow(QWidget):
    """Emits `run_wanted` and `cancelled`."""

    run_wanted = Signal()
    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._working = False
        self.button = QPushButton()
        self.button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.button.clicked.connect(lambda: (self.cancelled if self._working else self.run_wanted).emit())
        self.images_bar, self.stage_bar = _bar(), _bar()
        self.images_bar.setToolTip("Images that are done")
        self.stage_bar.setToolTip("The image at work")
        self.note = QLabel()
        self.note.setWordWrap(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.button, self.images_bar, self.stage_bar, self.note):
            column.addWidget(part)
        self.show_state(WorkState())

    def show_state(self, state: WorkState) -> None:
        """Show how far the work is."""
        self._working = state.phase == "working"
        self.button.setText("Cancel" if self._working else "Run")
        self.button.setToolTip(
            "Stop; images that are finished stay" if self._working else "Segment all images; what is complete is kept"
        )
        for part in (self.images_bar, self.stage_bar, self.note):
            part.setVisible(self._working)
        if self._working:
            self._show_progress(state.progress, state.seconds_left)

    def _show_progress(self, progress: Progress, seconds_left: float | None) -> None:
        counts = isinstance(progress, BatchStep)
        stage = (progress.stage if isinstance(progress, BatchStep) else None) or Progress(0, 0)
        fill_bar(self.images_bar, progress)
        self.images_bar.setFormat(f"{progress.done:,} of {counted(progress.total, 'image')}" if counts else "")
        self.stage_bar.setVisible(counts)
        fill_bar(self.stage_bar, stage)
        left = "" if seconds_left is None else f" {about(seconds_left).capitalize()} left."
        self.note.setText(f"{progress.note}.{left}")


def _bar() -> QProgressBar:
    bar = QProgressBar()
    bar.setAlignment(Qt.AlignmentFlag.AlignCenter)
    bar.setFormat("")
    return bar
