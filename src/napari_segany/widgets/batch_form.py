"""The form of segmenting everything for a batch, where no change shows at once."""

from __future__ import annotations

from qtpy.QtWidgets import QFormLayout, QWidget

from napari_segany.widgets.everything_form import SettingsForm
from napari_segany.widgets.everything_parameters import PARAMETERS


class BatchForm(SettingsForm):
    """A `SettingsForm` whose tips do not tell what shows at once."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        for parameter in PARAMETERS:
            field = self.fields[parameter.name]
            tip = f"<qt>{parameter.tip} <i>{parameter.name}</i></qt>"
            field.setToolTip(tip)
            form = field.parentWidget().layout()
            if isinstance(form, QFormLayout):
                form.labelForField(field).setToolTip(tip)
