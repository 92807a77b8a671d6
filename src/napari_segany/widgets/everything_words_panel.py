"""The part of the dock "Segment everything" that asks in words. Shows `session.words` and decides nothing."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget
from superqt import QLabeledDoubleSlider

from napari_segany.engine.text_query import BACKGROUND, DEFAULT_CLIP
from napari_segany.widgets.everything_words import EverythingWords
from napari_segany.widgets.path_row import PathRow


class WordsPanel(QWidget):
    """Words, what competes with them, a threshold, and where CLIP is.

    Parameters
    ----------
    words : EverythingWords
        What is shown and called.
    """

    def __init__(self, words: EverythingWords, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._words = words
        self.line = _line("What is looked for; several descriptions with commas between them. Enter begins.")
        self.line.setPlaceholderText("a nucleus, a cell")
        self.line.setClearButtonEnabled(True)
        self.background_line = _line("Descriptions of everything else, which compete with the words.")
        self.background_line.setPlaceholderText(", ".join(BACKGROUND))
        self.slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 1)
        self.slider.setSingleStep(0.01)
        self.slider.setDecimals(2)
        self.slider.setValue(0.5)
        self.slider.setToolTip("<qt>Least probability of an object that is kept. Shows at once.</qt>")
        self.folder_row = PathRow(
            "A folder with a CLIP; without one, the public model is used once it is on this computer.",
            "Choose the folder with a CLIP",
        )
        self.folder_row.line.setPlaceholderText(DEFAULT_CLIP)
        self.button = QPushButton()
        self.button.setToolTip("<qt>Fetches the model from the network, once. Nothing else here does.</qt>")
        self.status_label = QLabel()
        self.status_label.setWordWrap(True)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignRight)
        for title, field in (
            ("Look for", self.line),
            ("And not for", self.background_line),
            ("Fits from", self.slider),
            ("CLIP", self.folder_row),
        ):
            form.addRow(title, field)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(form)
        column.addWidget(self.button)
        column.addWidget(self.status_label)

        self.line.returnPressed.connect(self._look)
        self.line.textChanged.connect(lambda text: None if text.strip() else words.forget())
        self.background_line.returnPressed.connect(self._look)
        self.slider.valueChanged.connect(self._move)
        self.folder_row.line.returnPressed.connect(self._look)
        self.button.clicked.connect(words.download)
        words.changed.connect(self._show)
        self._show()

    def _look(self) -> None:
        texts = _parts(self.line.text())
        if not texts:
            self._words.forget()
            return
        self._words.look_for(
            *texts,
            background=_parts(self.background_line.text()) or BACKGROUND,
            threshold=round(float(self.slider.value()), 4),
            model=self.folder_row.text or DEFAULT_CLIP,
        )

    def _move(self, value: float) -> None:
        if self._words.query is not None:
            self._words.set_threshold(round(float(value), 4))

    def _show(self) -> None:
        words = self._words
        self.status_label.setText(words.status)
        self.button.setVisible(words.needs_download)
        self.button.setText(f"Download CLIP ({words.download_size})")
        if words.query is not None:
            self.slider.blockSignals(True)
            self.slider.setValue(words.query.threshold)
            self.slider.blockSignals(False)
            if not self.line.hasFocus() and _parts(self.line.text()) != list(words.query.words):
                self.line.setText(", ".join(words.query.words))


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _line(tip: str) -> QLineEdit:
    line = QLineEdit()
    line.setToolTip(f"<qt>{tip}</qt>")
    return line
