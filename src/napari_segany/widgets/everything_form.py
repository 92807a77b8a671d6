"""The form of all parameters: sliders and boxes made from `everything_parameters`. Shows settings, emits changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QSpinBox, QVBoxLayout, QWidget
from superqt import QCollapsible, QLabeledDoubleSlider

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.widgets.everything_parameters import ASKING, CHOICE_TITLES, KEEPING, Parameter

_EFFECTS = {True: "Shows at once.", False: "The model must be asked again.", None: "It does not change the result."}


class SettingsForm(QWidget):
    """Emits `changed` with the name and value of a setting that the user has changed."""

    changed = Signal(str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.fields: dict[str, QWidget] = {}
        self._setters: dict[str, Callable[[Any], None]] = {}
        asking, keeping = _form(), _form()
        for parameters, form in ((KEEPING, keeping), (ASKING, asking)):
            for parameter in parameters:
                field = self._field(parameter)
                field.setToolTip(_tip(parameter))
                self.fields[parameter.name] = field
                form.addRow(parameter.title, field)
                form.labelForField(field).setToolTip(_tip(parameter))
        self.asking = QCollapsible("What is asked of the model")
        self.asking.setDuration(0)
        self.asking.toggleButton().setToolTip("Show or hide how densely the model is asked")
        self.asking.addWidget(_holder(asking))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(_holder(keeping))
        column.addWidget(self.asking)

    def show_settings(self, settings: AutomaticSettings) -> None:
        """Show settings without emitting `changed`."""
        for name, field in self.fields.items():
            field.blockSignals(True)
            self._setters[name](getattr(settings, name))
            field.blockSignals(False)

    def _field(self, parameter: Parameter) -> QWidget:
        if parameter.kind == "choice":
            return self._choice(parameter)
        if parameter.kind == "fraction":
            return self._slider(parameter)
        if parameter.kind == "count":
            return self._spin_box(parameter, QSpinBox(), int)
        box = QDoubleSpinBox()
        box.setDecimals(2)
        if parameter.kind == "limit":
            box.setSpecialValueText("no limit")
        return self._spin_box(parameter, box, float)

    def _slider(self, parameter: Parameter) -> QWidget:
        slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        slider.setRange(parameter.low, parameter.high)
        slider.setSingleStep(parameter.step)
        slider.setDecimals(2)
        slider.valueChanged.connect(lambda value: self.changed.emit(parameter.name, round(float(value), 4)))
        self._setters[parameter.name] = slider.setValue
        return slider

    def _spin_box(self, parameter: Parameter, box: Any, number: Callable[[Any], Any]) -> QWidget:
        box.setRange(number(parameter.low), number(parameter.high))
        box.setSingleStep(number(parameter.step))
        box.setKeyboardTracking(False)  # a number that is being typed is no wish yet

        def tell(value: Any) -> None:
            none = parameter.kind == "limit" and value == 0
            self.changed.emit(parameter.name, None if none else number(round(value, 4)))

        box.valueChanged.connect(tell)
        self._setters[parameter.name] = lambda value: box.setValue(number(value or 0))
        return box

    def _choice(self, parameter: Parameter) -> QWidget:
        box = QComboBox()
        for choice in parameter.choices:
            box.addItem(CHOICE_TITLES[choice], choice)
        box.activated.connect(lambda index: self.changed.emit(parameter.name, box.itemData(index)))
        self._setters[parameter.name] = lambda value: box.setCurrentIndex(box.findData(value))
        return box


def _form() -> QFormLayout:
    form = QFormLayout()
    form.setContentsMargins(0, 0, 0, 0)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignRight)
    return form


def _holder(form: QFormLayout) -> QWidget:
    holder = QWidget()
    holder.setLayout(form)
    return holder


def _tip(parameter: Parameter) -> str:
    # Marked as rich text, so that Qt breaks the lines.
    return f"<qt>{parameter.tip} {_EFFECTS[parameter.live]} <i>{parameter.name}</i></qt>"
