"""What a hand does in a dock: look for a control, press it, choose, tick, type, answer a dialog. Events only."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QApplication,
    QCheckBox,
    QComboBox,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFileDialog,
    QLineEdit,
    QScrollArea,
    QSpinBox,
    QWidget,
)

from napari_segany.widgets.section import Section

LEFT = Qt.MouseButton.LeftButton
_BESIDE_ITS_TEXT = 8


def look_at(control: QWidget) -> None:
    """Scroll the dock until a control is seen, which a hand needs."""
    parent = control.parentWidget()
    while parent is not None and not isinstance(parent, QScrollArea):
        parent = parent.parentWidget()
    if parent is not None:
        QApplication.processEvents()  # what was unfolded has its size only then
        parent.ensureWidgetVisible(control)
        QApplication.processEvents()
    assert not control.visibleRegion().isEmpty(), "nobody can see it"


def press(button: QAbstractButton) -> None:
    """Click on a button that can be clicked on."""
    look_at(button)
    assert button.isEnabled()
    QTest.mouseClick(button, LEFT)


def tick(box: QCheckBox) -> None:
    """Click on the square of a check box."""
    look_at(box)
    before = box.isChecked()
    QTest.mouseClick(box, LEFT, pos=QPoint(_BESIDE_ITS_TEXT, box.height() // 2))
    assert box.isChecked() != before


def pick(view: QAbstractItemView, row: int, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    """Click on a row of a list or a table."""
    place = view.visualRect(view.model().index(row, 0)).center()
    QTest.mouseClick(view.viewport(), LEFT, modifier, place)


def choose(combo: QComboBox, text: str) -> None:
    """Open a combo box and click on an entry."""
    look_at(combo)
    row = combo.findText(text)
    assert row >= 0, f"there is no {text!r}, but {[combo.itemText(at) for at in range(combo.count())]}"
    combo.showPopup()
    view = combo.view()
    view.scrollTo(view.model().index(row, 0))
    QApplication.processEvents()
    pick(view, row)
    combo.hidePopup()


def type_number(field: QSpinBox | QDoubleSpinBox, number: float) -> None:
    """Type a number in the place of the one that is there."""
    look_at(field)
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, str(number))
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert field.value() == number


def unfold(dock: QWidget, title: str) -> None:
    """Click on the title of a part of the dock that is folded away."""
    (section,) = [one for one in dock.findChildren(Section) if one.text() == title]
    if not section.isExpanded():
        press(section.toggleButton())
    QApplication.processEvents()
    assert section.isExpanded()


def answer(dialog: QFileDialog | None, path: Path) -> None:
    """Paste the name of a file, and press the button that opens or saves it.

    Letter by letter the dialog would select each folder on the way, for without a window manager it has no focus.
    """
    assert dialog is not None
    assert dialog.isVisible()
    assert not dialog.isModal()
    name = dialog.findChild(QLineEdit, "fileNameEdit")
    QApplication.clipboard().setText(str(path))
    for key in (Qt.Key.Key_A, Qt.Key.Key_V):
        QTest.keyClick(name, key, Qt.KeyboardModifier.ControlModifier)
    (buttons,) = dialog.findChildren(QDialogButtonBox)
    (yes,) = [one for one in buttons.buttons() if buttons.buttonRole(one) == QDialogButtonBox.ButtonRole.AcceptRole]
    assert yes.isEnabled()
    QTest.mouseClick(yes, LEFT)
    assert not dialog.isVisible()
