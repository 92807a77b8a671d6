"""Choosing an object of a Labels layer as mask prompt."""

from __future__ import annotations

from napari.components import ViewerModel
from napari.layers import Labels, Layer
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_segany.widgets.layer_combo import LayerCombo
from napari_segany.widgets.preview_saving import PREVIEW_KEY


class ObjectPicker(QWidget):
    """A combo box of Labels layers and a button; emits `chosen` with the layer whose selected object is meant.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers.
    """

    chosen = Signal(object)

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTip("An accepted object, or one of another Labels layer, as a mask prompt")
        self.combo = LayerCombo(viewer, _is_offered, "no Labels layer")
        self.button = QPushButton("Use object")
        self.button.setToolTip(
            "Take the selected object of this Labels layer (its label number) as prompt, to refine it with clicks"
        )
        self.button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.button.clicked.connect(self._pressed)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.combo, stretch=1)
        layout.addWidget(self.button)

    def _pressed(self) -> None:
        layer = self.combo.layer()
        if layer is not None:
            self.chosen.emit(layer)


def _is_offered(layer: Layer) -> bool:
    return isinstance(layer, Labels) and PREVIEW_KEY not in layer.metadata
