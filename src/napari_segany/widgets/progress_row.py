"""A progress bar for the image embedding, with the button that cancels or begins the work."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QWidget

from napari_segany.engine.progress import Progress
from napari_segany.widgets.embedder import EmbeddingState
from napari_segany.widgets.small_parts import fill_bar


class ProgressRow(QWidget):
    """Shows an `EmbeddingState`; emits `cancelled` and `begun` when its button is pressed."""

    cancelled = Signal()
    begun = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._working = False
        self.bar = QProgressBar()
        self.bar.setTextVisible(True)
        self.bar.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.button = QPushButton("Compute")
        self.button.setToolTip("Compute the image embedding now, or stop what is being computed")
        self.button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.button.clicked.connect(self._pressed)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.bar, stretch=1)
        layout.addWidget(self.button)

    def show_state(self, state: EmbeddingState, *, stale: bool, possible: bool) -> None:
        """Show how far the work is.

        Parameters
        ----------
        state : EmbeddingState
            The work.
        stale : bool
            Whether the contrast has changed since.
        possible : bool
            Whether there is a plane to work on.
        """
        self._working = state.phase == "working"
        progress = state.progress
        if self._working:
            self._fill(progress.done, progress.total, progress.note or "Working")
        elif state.phase == "ready":
            self._fill(1, 1, "Contrast has changed" if stale else "Image embedding ready")
        else:
            self._fill(0, 1, "Failed, see above" if state.phase == "failed" else "No image embedding")
        self.button.setText("Cancel" if self._working else "Compute")
        self.button.setEnabled(self._working or (possible and (stale or state.phase != "ready")))

    def _fill(self, done: int, total: int, text: str) -> None:
        fill_bar(self.bar, Progress(done, total))
        self.bar.setFormat(text)

    def _pressed(self) -> None:
        (self.cancelled if self._working else self.begun).emit()
