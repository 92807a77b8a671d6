"""The part "Large image" of the prompt dock: which windows are ready, and where embeddings are kept."""

from __future__ import annotations

from html import escape
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QLabel, QVBoxLayout, QWidget

from napari_segany.engine.cache_places import CachePlaces, cache_folder
from napari_segany.widgets.windows_ahead import WindowsAhead


class WindowsPanel(QWidget):
    """Shows a session's windows and calls its methods.

    Parameters
    ----------
    windows : WindowsAhead
        The windows.
    places : CachePlaces
        Where embeddings are kept, as the preferences say.
    """

    def __init__(self, windows: WindowsAhead, places: CachePlaces, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._windows = windows
        self.note = _words()
        self.ahead = QCheckBox("Encode windows ahead")
        self.ahead.setToolTip(
            "<qt>While nothing else is to do, the windows around the last click are encoded, then those in view, so "
            "that the next click is answered at once</qt>"
        )
        self.outlines = QCheckBox("Outline ready windows")
        self.outlines.setToolTip(
            "<qt>Clicks within a green outline are answered without encoding. Those that are kept on the disk or in "
            "a prepared folder are loaded where you look</qt>"
        )
        self.prepared = _words()
        self.prepared.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.prepared.setText(_about(places))
        self.prepared.setToolTip("<qt>Both folders are chosen in File &gt; Preferences</qt>")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.note, self.ahead, self.outlines, self.prepared):
            column.addWidget(part)
        self.ahead.toggled.connect(lambda on: setattr(windows, "enabled", on))
        self.outlines.toggled.connect(lambda on: setattr(windows, "outlined", on))
        windows.changed.connect(self._show)
        self._show()

    def _show(self, event: Any = None) -> None:
        windows = self._windows
        for box, on in ((self.ahead, windows.enabled), (self.outlines, windows.outlined)):
            box.blockSignals(True)
            box.setChecked(on)
            box.blockSignals(False)
        self.note.setText(_note(windows))


def _note(windows: WindowsAhead) -> str:
    if windows.failure:
        return f"No more windows are encoded ahead: {windows.failure}"
    count = len(windows.ready)
    sentences = [f"{count} {'window is' if count == 1 else 'windows are'} ready."]
    if not windows.of_large_plane:
        sentences = ["Images with a side above 4,096 pixels are encoded in windows, where they are clicked on."]
    if windows.is_working:
        sentences.append("The next one is being made ready.")
    if windows.unprepared:
        sentences.append(f"Nothing prepared fits the image as it is shown. {windows.unprepared}")
    if windows.rounding_error:
        sentences.append(
            f"Half precision, in which embeddings are kept, changes this one by {windows.rounding_error:.1e}."
        )
    return " ".join(sentences)


def _about(places: CachePlaces) -> str:
    kept = f"in <i>{escape(str(cache_folder(places.folder)))}</i>" if places.limit else "nowhere on the disk"
    prepared = "none" if places.prepared is None else f"<i>{escape(str(places.prepared))}</i>"
    return (
        f"Embeddings are kept {kept}; prepared ones: {prepared}. <code>segany embed FOLDER</code> on a fast computer "
        "makes a folder of prepared ones, with which this one needs no encoder."
    )


def _words() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    return label
