"""The part of the dock for classes: a list to choose from and to change, colours, layers by class, and the table."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QColorDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_segany.widgets.object_classes import ObjectClasses
from napari_segany.widgets.small_parts import button

_ROWS = 5
_SWATCH = 14


class ClassesPanel(QWidget):
    """Shows the classes of a session and calls its methods.

    Parameters
    ----------
    classes : ObjectClasses
        The classes.
    say : callable
        Receives what speaks against a wish.
    open_table : callable
        Opens the table of objects.
    """

    def __init__(self, classes: ObjectClasses, say: Callable[[str], None], open_table: Callable[[], object]) -> None:
        super().__init__()
        self._classes, self._say = classes, say
        self.list = QListWidget()
        self.list.setToolTip(
            "<qt>Click: the class of the selected objects; without any, or with a mask on offer, of what you accept "
            "next.</qt>"
        )
        self.list.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.list.setFixedHeight(round(_ROWS * 1.6 * self.fontMetrics().height()))
        self.list.itemClicked.connect(self._clicked)
        self.name = QLineEdit()
        self.name.setPlaceholderText("name of a new class, or a new name")
        self.name.setToolTip("Enter or Add defines a class of this name; Rename gives it to the marked class")
        self.name.setMaxLength(60)
        self.name.returnPressed.connect(self._add)
        self.add_button = button("Add", "Define a class of this name", self._add)
        self.rename_button = button("Rename", "Give the marked class the name that is typed here", self._rename)
        self.colour_button = button("Colour...", "Another colour for the marked class", self._recolour)
        self.remove_button = button("Remove", "Remove the marked class; its objects stay, without one", self._remove)
        self.show_box = QCheckBox("colours of classes")
        self.show_box.setToolTip("Give objects the colours of their classes, in shades")
        self.show_box.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.show_box.toggled.connect(self._show_colours)
        self.layer_button = button(
            "Layer of classes", "A Labels layer with the number of its class in each pixel", classes.make_class_layer
        )
        self.layers_button = button(
            "Layer per class", "A Labels layer of the objects of each class", classes.make_layers_by_class
        )
        self.table_button = button("Table of objects", "Scores, classes and measurements", open_table)
        self.note = QLabel()
        self.note.setWordWrap(True)

        row = QHBoxLayout()
        row.addWidget(self.name, stretch=1)
        row.addWidget(self.add_button)
        row.addWidget(self.rename_button)
        grid = QGridLayout()
        for place, one in enumerate(
            (self.colour_button, self.remove_button, self.layer_button, self.layers_button, self.table_button)
        ):
            grid.addWidget(one, place // 2, place % 2)
        grid.addWidget(self.show_box, 2, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.list)
        column.addWidget(self.note)
        column.addLayout(grid)
        classes.changed.connect(self._refresh)
        classes.counted.connect(self._refresh)
        self._refresh()

    def _refresh(self) -> None:
        counts, current = self._classes.counts, self._classes.current
        self.list.blockSignals(True)
        self.list.clear()
        self.list.addItem(_item("", f"no class  Shift-U   ({counts['']})", "#bdbdbd", marked=not current))
        for one in self._classes.classes:
            key = f"  {one.key}" if one.key else ""
            text = f"{one.name}{key}   ({counts[one.name]})"
            self.list.addItem(_item(one.name, text, one.colour, marked=one.name == current))
        self.list.blockSignals(False)
        self.note.setText(f"You accept now: <b>{current or 'no class'}</b>")
        for one in (self.rename_button, self.colour_button, self.remove_button):
            one.setEnabled(bool(current))
        self.show_box.blockSignals(True)
        self.show_box.setChecked(self._classes.are_shown)
        self.show_box.blockSignals(False)

    def _clicked(self, item: QListWidgetItem) -> None:
        self._attempt(lambda: self._classes.choose(item.data(Qt.ItemDataRole.UserRole)))

    def _add(self) -> None:
        def add() -> None:
            one = self._classes.add(self.name.text())
            self.name.clear()
            self._classes.use(one.name)

        self._attempt(add)

    def _remove(self) -> None:
        self._attempt(lambda: self._classes.remove(self._classes.current))

    def _rename(self) -> None:
        def rename() -> None:
            self._classes.rename(self._classes.current, self.name.text())
            self.name.clear()

        self._attempt(rename)

    def _recolour(self) -> None:
        name = self._classes.current
        dialog = QColorDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.colorSelected.connect(
            lambda colour: self._attempt(lambda: self._classes.recolour(name, colour.name()))
        )
        dialog.show()

    def _show_colours(self, wanted: bool) -> None:
        self._classes.are_shown = wanted

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except ValueError as error:
            self._say(str(error))


def _item(name: str, text: str, colour: str, *, marked: bool) -> QListWidgetItem:
    swatch = QPixmap(_SWATCH, _SWATCH)
    swatch.fill(QColor(colour))
    item = QListWidgetItem(QIcon(swatch), text)
    item.setData(Qt.ItemDataRole.UserRole, name)
    if marked:
        font = item.font()
        font.setBold(True)
        item.setFont(font)
    return item
