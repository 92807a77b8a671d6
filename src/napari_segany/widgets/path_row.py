"""A line with the path of a folder, to be typed or chosen."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget

from napari_segany.widgets.small_parts import open_folder_dialog


class PathRow(QWidget):
    """Emits `changed` with the text whenever the user types or chooses a folder.

    Parameters
    ----------
    tip : str
        What the folder is for.
    title : str
        Of the dialog that chooses one.
    """

    changed = Signal(str)

    def __init__(self, tip: str, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self.dialog: QFileDialog | None = None
        self.line = QLineEdit()
        self.line.setToolTip(tip)
        self.line.setPlaceholderText("no folder")
        self.line.textEdited.connect(self.changed)
        self.button = QPushButton("Choose ...")
        self.button.setToolTip(tip)
        self.button.clicked.connect(lambda: self._browse())
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, stretch=1)
        row.addWidget(self.button)

    @property
    def text(self) -> str:
        """What is typed, without blanks around it."""
        return str(self.line.text()).strip()

    def show_path(self, path: Path | None) -> None:
        """Show a path without emitting `changed`; what is being typed and means the same is left alone."""
        typed = Path(self.text).expanduser().absolute() if self.text else None
        if path != typed:
            self.line.setText("" if path is None else str(path))

    def _browse(self) -> None:
        """Show a dialog beside the viewer, which goes on working."""
        if self.dialog is not None:
            self.dialog.close()
        self.dialog = open_folder_dialog(self, self._title, self.text, self._chosen)

    def _chosen(self, folder: str) -> None:
        self.line.setText(folder)
        self.changed.emit(folder)
