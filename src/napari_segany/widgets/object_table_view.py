"""The table of objects in a dock: shows an `ObjectBrowser`, and calls its methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from qtpy.QtCore import QAbstractTableModel, QItemSelection, QItemSelectionModel, QModelIndex, Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QTableView,
    QVBoxLayout,
)

from napari_segany.widgets.dock_body import DockBody
from napari_segany.widgets.object_browser import ObjectBrowser
from napari_segany.widgets.object_editor import ObjectEditor
from napari_segany.widgets.small_parts import button, open_save_dialog

_DISPLAY = Qt.ItemDataRole.DisplayRole
_ALIGN = Qt.ItemDataRole.TextAlignmentRole


class ObjectTableModel(QAbstractTableModel):
    """The shown rows and columns of a browser, as Qt asks for them."""

    def __init__(self, browser: ObjectBrowser) -> None:
        super().__init__()
        self._browser = browser
        self.rows: pd.DataFrame = browser.rows
        self.columns = browser.columns
        self._values: dict[str, list[Any]] = {}

    def refresh(self) -> None:
        """Show what the browser shows now."""
        self.beginResetModel()
        self.rows, self.columns = self._browser.rows, self._browser.columns
        self._values = {}
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of objects that are shown."""
        return len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return len(self.columns)

    def data(self, index: QModelIndex, role: int = _DISPLAY) -> Any:
        """Return the text of a cell; empty for what is not known."""
        if role == _ALIGN:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role != _DISPLAY or not index.isValid():
            return None
        name = self.columns[index.column()]
        if name not in self._values:  # Qt asks for a thousand cells at a time, and pandas takes long for each
            self._values[name] = self.rows[name].tolist()
        return _text(self._values[name][index.row()])

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = _DISPLAY) -> Any:
        """Return the name of a column."""
        if role == _DISPLAY and orientation == Qt.Orientation.Horizontal and section < len(self.columns):
            return self.columns[section]
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column, as its header was clicked on."""
        if 0 <= column < len(self.columns):
            self._browser.sort(self.columns[column], ascending=order == Qt.SortOrder.AscendingOrder)
            self.refresh()


class ObjectTableView(DockBody):
    """The table with its filter.

    Parameters
    ----------
    browser : ObjectBrowser
        What is shown.
    editor : ObjectEditor
        Has the selection.
    remove : callable
        Takes this widget out of its dock.
    """

    def __init__(self, browser: ObjectBrowser, editor: ObjectEditor, remove: Callable[[], None]) -> None:
        super().__init__()
        self._browser, self._editor, self._remove = browser, editor, remove
        self._is_marking = False
        self.dialog: QFileDialog | None = None
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("show only, for example: area > 100, class = nucleus")
        self.filter.setToolTip("Conditions on the columns, with commas between; other rows are hidden, not deleted")
        self.filter.setClearButtonEnabled(True)
        self.filter.textChanged.connect(self._show_only)
        self.zoom_box = QCheckBox("zoom to the object")
        self.zoom_box.setChecked(True)
        self.zoom_box.setToolTip("Otherwise the view moves only where the object cannot be seen")
        self.save_button = button("Save CSV...", "Save the rows that are shown, with all columns", self._save)
        self.note = QLabel()
        self.model = ObjectTableModel(browser)
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.horizontalHeader().setSortIndicator(0, Qt.SortOrder.AscendingOrder)
        self.table.setSortingEnabled(True)  # sorts by it
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.horizontalHeader().setResizeContentsPrecision(20)
        self.table.setToolTip("Click: select an object and go to it. Shift- and Ctrl-click select several")
        self.table.selectionModel().selectionChanged.connect(self._rows_selected)
        self.table.clicked.connect(self._clicked)
        row = QHBoxLayout()
        for widget, stretch in ((self.filter, 1), (self.note, 0), (self.zoom_box, 0), (self.save_button, 0)):
            row.addWidget(widget, stretch=stretch)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 2, 4, 2)
        column.addLayout(row)
        column.addWidget(self.table)
        # One step of work changes the objects several times, and it is drawn before the table is.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._refresh)
        browser.changed.connect(self._refresh_soon)
        browser.closed.connect(self._close)
        editor.selection_changed.connect(self._mark_selected)
        browser.watch(begin=True)
        self._refresh()

    def _show_only(self, condition: str) -> None:
        self._browser.show(condition)
        self._refresh()

    def _refresh_soon(self) -> None:
        self._soon.start()

    def _refresh(self) -> None:
        self._soon.stop()
        self._is_marking = True
        self.model.refresh()
        self._is_marking = False
        shown, there = self.model.rowCount(), len(self._browser.frame)
        words = "measuring ..." if self._browser.is_measuring else f"{shown} of {there} objects"
        self.note.setText(self._browser.complaint or words)
        self.save_button.setEnabled(shown > 0)
        self._mark_selected()

    def _mark_selected(self, labels: Any = None) -> None:
        """Mark the rows of the objects that are selected in the image."""
        if self._is_marking:
            return
        selected, last = QItemSelection(), self.model.columnCount() - 1
        for row, label in enumerate(self.model.rows["label"].tolist()):
            if label in self._editor.selection:
                selected.select(self.model.index(row, 0), self.model.index(row, last))
        self._is_marking = True
        self.table.selectionModel().select(selected, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        self._is_marking = False

    def _rows_selected(self, selected: Any = None, deselected: Any = None) -> None:
        if self._is_marking:
            return
        rows = [index.row() for index in self.table.selectionModel().selectedRows()]
        labels = [int(label) for label in self.model.rows["label"].iloc[rows]]
        self._is_marking = True
        try:
            self._browser.select(labels)
        except ValueError as error:
            self.note.setText(str(error))
        finally:
            self._is_marking = False

    def _clicked(self, index: QModelIndex) -> None:
        self._browser.go_to(int(self.model.rows["label"].iloc[index.row()]), zoom=self.zoom_box.isChecked())

    def _save(self) -> None:
        if self.dialog is not None:
            self.dialog.close()
        title, filters = "Save the table of objects", "CSV (*.csv)"
        self.dialog = open_save_dialog(self, title, "objects.csv", filters, self.save_to)

    def save_to(self, path: str) -> None:
        """Save the shown rows; what speaks against it is said under the filter."""
        try:
            self._browser.save(path)
        except OSError as error:
            self.note.setText(f"The table could not be saved: {error.strerror or error}")

    def _end(self) -> None:
        self._soon.stop()
        self._browser.changed.disconnect(self._refresh_soon)
        self._browser.closed.disconnect(self._close)
        self._editor.selection_changed.disconnect(self._mark_selected)
        self._browser.watch(begin=False)

    def _close(self) -> None:
        self._tear_down()
        self._remove()


def _text(value: Any) -> str:
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return ""
    if isinstance(value, str):
        return value
    return (
        f"{value:d}" if pd.api.types.is_integer(value) else f"{value:.4g}" if isinstance(value, float) else str(value)
    )
