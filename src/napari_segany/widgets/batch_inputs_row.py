"""The part of the batch's dock that says which images are meant: the open layers, a folder, or files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_segany.engine.batch.inputs import IMAGE_SUFFIXES
from napari_segany.widgets.batch_words import counted
from napari_segany.widgets.path_row import PathRow
from napari_segany.widgets.small_parts import open_files_dialog

_TITLES = {"layers": "Open image layers", "folder": "A folder", "files": "Files"}
_MOST_NAMES = 4


class BatchInputsRow(QWidget):
    """Emits `source_chosen` ("layers", "folder", "files"), `folder_chosen` and `files_chosen`."""

    source_chosen = Signal(str)
    folder_chosen = Signal(str, bool)
    files_chosen = Signal(list)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.dialog: QFileDialog | None = None
        self.source_combo = QComboBox()
        for name, title in _TITLES.items():
            self.source_combo.addItem(title, name)
        self.source_combo.setToolTip(
            "<qt>What to segment. Stacks go slice by slice: the last two axes are the image.</qt>"
        )
        self.source_combo.activated.connect(lambda _: self.source_chosen.emit(self.source_combo.currentData()))
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.folder_row = PathRow("The folder of images", "Folder of images")
        self.folder_row.changed.connect(lambda _: self._tell_folder())
        self.recursive_box = QCheckBox("Folders within it too")
        self.recursive_box.setToolTip("Take the images of folders within this folder as well")
        self.recursive_box.toggled.connect(lambda _: self._tell_folder())
        self.files_button = QPushButton("Choose files ...")
        self.files_button.setToolTip("TIFF, OME-TIFF, PNG, JPEG, .npy, or whatever scikit-image reads")
        self.files_button.clicked.connect(lambda: self._browse())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        line = QHBoxLayout()
        line.addWidget(self.source_combo, stretch=1)
        line.addWidget(self.files_button)
        column.addLayout(line)
        for part in (self.folder_row, self.recursive_box, self.words):
            column.addWidget(part)
        self.show_source("layers")

    def show_source(self, source: str) -> None:
        """Show what is segmented, with what belongs to it."""
        self.source_combo.setCurrentIndex(self.source_combo.findData(source))
        self.folder_row.setVisible(source == "folder")
        self.recursive_box.setVisible(source == "folder")
        self.files_button.setVisible(source == "files")
        self.words.setVisible(source != "folder")

    def show_folder(self, folder: Path | None, *, recursive: bool) -> None:
        """Show the folder of images."""
        self.folder_row.show_path(folder)
        self.recursive_box.blockSignals(True)
        self.recursive_box.setChecked(recursive)
        self.recursive_box.blockSignals(False)

    def show_names(self, names: Sequence[str], noun: str) -> None:
        """Show how many layers or files there are, and the first of them."""
        first = ", ".join(names[:_MOST_NAMES])
        more = ", ..." if len(names) > _MOST_NAMES else ""
        self.words.setText(f"{counted(len(names), noun)}: {first}{more}" if names else f"No {noun}s")
        self.words.setToolTip("\n".join(names))

    def _tell_folder(self) -> None:
        self.folder_chosen.emit(self.folder_row.text, self.recursive_box.isChecked())

    def _browse(self) -> None:
        endings = " ".join(f"*{suffix}" for suffix in IMAGE_SUFFIXES)
        filters = f"Images ({endings});;All files (*)"
        self.dialog = open_files_dialog(self, "Images", filters, self.files_chosen.emit)
