"""The part of the dock that goes through a folder of images: the list, how far each is, next and previous."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QGridLayout, QLabel, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_segany.widgets.image_series import ImageSeries
from napari_segany.widgets.small_parts import button, open_folder_dialog

_MARKS = {"untouched": "○", "started": "◐", "done": "●"}
_HEIGHT = 130


class SeriesPanel(QWidget):
    """Shows an `ImageSeries` and calls its methods.

    Parameters
    ----------
    series : ImageSeries
        What the buttons do.
    """

    def __init__(self, series: ImageSeries) -> None:
        super().__init__()
        self._series = series
        self.dialog: QFileDialog | None = None
        tip = "Work through the images of a folder; prompts and objects of each are kept in its folder segany"
        self.open = button("Open folder ...", tip, self._ask)
        self.list = QListWidget()
        self.list.setToolTip(
            "○ untouched, ◐ started, ● done. Double click goes to an image; the present one is saved first"
        )
        self.list.setMaximumHeight(_HEIGHT)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.itemDoubleClicked.connect(lambda item: series.go_to(self.list.row(item)))
        self.previous = button("Previous", "Save, and go back to the image before", series.previous)
        self.next = button("Next", "Save, and go on with the next image", series.next)
        self.done = button(
            "Done, next", "Mark this image done, save, and go on with the next one", series.done_and_next
        )
        self.again = button("Not done", "Say that this image is not done yet", lambda: series.mark_done(False))
        self.note = QLabel()
        self.note.setWordWrap(True)
        grid = QGridLayout()
        for place, one in enumerate((self.previous, self.next, self.again, self.done)):
            grid.addWidget(one, *divmod(place, 2))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.open)
        column.addWidget(self.list)
        column.addWidget(self.note)
        column.addLayout(grid)
        series.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        series, statuses = self._series, self._series.statuses
        texts = [f"{_MARKS[status]}  {image.name}" for image, status in zip(series.images, statuses, strict=True)]
        if self.list.count() != len(texts):
            self.list.clear()
            for text in texts:
                self.list.addItem(QListWidgetItem(text))
        for row, text in enumerate(texts):
            item = self.list.item(row)
            if item is not None and item.text() != text:
                item.setText(text)
        self.list.setCurrentRow(series.position)
        self.list.setVisible(bool(texts))
        at, free = series.position, not series.is_moving
        here = 0 <= at < len(texts)
        self.open.setEnabled(free)
        self.previous.setEnabled(free and at > 0)
        self.next.setEnabled(free and at + 1 < len(texts))
        self.done.setEnabled(free and here)
        self.again.setEnabled(free and here and statuses[at] == "done")
        done = sum(status == "done" for status in statuses)
        self.note.setText(f"Image {at + 1} of {len(texts)}; {done} done." if texts else "No folder is open.")

    def _ask(self) -> None:
        if self.dialog is not None:
            self.dialog.close()
        self.dialog = open_folder_dialog(self, "Folder of images", "", self._series.attempt)
