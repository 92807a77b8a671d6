"""Small Qt parts that dock widgets are put together from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QFrame, QLabel, QMessageBox, QProgressBar, QPushButton, QWidget

from napari_segany.engine.progress import Progress
from napari_segany.widgets.keys import KEYS

_THOUSANDTHS = 1000


def button(text: str, tip: str, action: Callable[[], Any]) -> QPushButton:
    """Return a button that leaves the keyboard to the canvas."""
    made = QPushButton(text)
    made.setToolTip(tip)
    made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    made.clicked.connect(lambda: action())
    return made


def fill_bar(bar: QProgressBar, progress: Progress | None) -> None:
    """Show in a bar how far work is; empty for none."""
    total = 0 if progress is None else progress.total
    with drawn_later(bar):
        # A range of 0 to 0 is Qt's "busy". Totals in bytes would overflow its 32 bits: show thousandths.
        bar.setRange(0, _THOUSANDTHS if total or progress is None else 0)
        bar.setValue(round(_THOUSANDTHS * progress.done / total) if progress is not None and total else 0)


@contextmanager
def drawn_later(widget: QWidget) -> Iterator[None]:
    """Have changes of a widget drawn once, when the event is over: a progress bar draws the whole window at each."""
    widget.setUpdatesEnabled(False)
    try:
        yield
    finally:
        widget.setUpdatesEnabled(True)


def wrapping_label(text: str = "") -> QLabel:
    """Return a label that breaks its lines."""
    label = QLabel(text)
    label.setWordWrap(True)
    return label


def rule() -> QFrame:
    """Return a horizontal line."""
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    line.setFrameShadow(QFrame.Shadow.Sunken)
    return line


def key_list() -> QLabel:
    """Return the keys of prompting as a table."""
    texts = {key.key: key.text for key in KEYS if not key.arguments}
    texts["Ctrl-1 ... Ctrl-9"] = "choose a class"
    rows = "".join(f"<tr><td><b>{key}</b>&nbsp;&nbsp;</td><td>{text}</td></tr>" for key, text in texts.items())
    label = QLabel(f"<table>{rows}</table>")
    label.setToolTip("Keys of this widget; they work while the canvas or a prompt layer is active")
    return label


def open_file_dialog(parent: QWidget, title: str, filters: str, chosen: Callable[[str], None]) -> QFileDialog:
    """Show a dialog for a file to open, beside the viewer, which goes on working; return the dialog."""
    dialog = QFileDialog(parent, title, "", filters)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    return _shown(dialog, chosen)


def open_files_dialog(
    parent: QWidget | None, title: str, filters: str, chosen: Callable[[list[str]], object]
) -> QFileDialog:
    """Show a dialog for several files to open, beside the viewer, which goes on working; return the dialog."""
    dialog = QFileDialog(parent, title, "", filters)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
    dialog.filesSelected.connect(chosen)
    return _beside(dialog)


def open_save_dialog(
    parent: QWidget, title: str, name: str, filters: str, chosen: Callable[[str], None]
) -> QFileDialog:
    """Show a dialog for a file to write, beside the viewer, which goes on working; return the dialog.

    A name without an ending gets that of the chosen filter. Whether to replace a file is asked beside the viewer,
    too: the question that Qt's own dialog asks would block it.
    """
    dialog = QFileDialog(parent, title, "", filters)
    dialog.setOption(QFileDialog.Option.DontConfirmOverwrite)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setFileMode(QFileDialog.FileMode.AnyFile)
    dialog.selectFile(name)
    dialog.setDefaultSuffix(_first_ending(dialog.selectedNameFilter()))
    dialog.filterSelected.connect(lambda text: dialog.setDefaultSuffix(_first_ending(text)))
    return _shown(dialog, lambda path: _unless_there(parent, title, path, chosen))


def _unless_there(parent: QWidget, title: str, path: str, chosen: Callable[[str], None]) -> None:
    """Write a file, after a question where there is one already."""
    file = Path(path)
    if file.exists():
        open_question(parent, title, f"{file.name} exists already. Replace it?", lambda: chosen(path))
    else:
        chosen(path)


def _first_ending(name_filter: str) -> str:
    """Return "gpkg" of "GeoPackage (*.gpkg)", and "" of a filter for all files."""
    first = name_filter.rpartition("(")[2].rstrip(")").split(" ")[0]
    return first.removeprefix("*.") if first.startswith("*.") else ""


def open_folder_dialog(parent: QWidget | None, title: str, folder: str, chosen: Callable[[str], None]) -> QFileDialog:
    """Show a dialog for a folder, beside the viewer, which goes on working; return the dialog."""
    dialog = QFileDialog(parent, title, folder)
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    dialog.setOption(QFileDialog.Option.ShowDirsOnly)
    return _shown(dialog, chosen)


def _shown(dialog: QFileDialog, chosen: Callable[[str], None]) -> QFileDialog:
    dialog.fileSelected.connect(chosen)
    return _beside(dialog)


def _beside(dialog: QFileDialog) -> QFileDialog:
    dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
    dialog.setModal(False)
    dialog.show()
    return dialog


def open_question(parent: QWidget, title: str, question: str, agreed: Callable[[], object]) -> QMessageBox:
    """Ask a question that is answered by Yes or No, beside the viewer, which goes on working; return the dialog."""
    buttons = QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No
    dialog = QMessageBox(QMessageBox.Icon.Question, title, question, buttons, parent)
    dialog.button(QMessageBox.StandardButton.Yes).clicked.connect(lambda: agreed())
    dialog.setModal(False)
    dialog.show()
    return dialog
