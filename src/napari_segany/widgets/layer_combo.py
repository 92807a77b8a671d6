"""A combo box of the viewer's layers of one type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QComboBox, QSizePolicy, QWidget

from napari_segany.widgets.viewer_events import EventLinks


class LayerCombo(QComboBox):
    """Lists layers by name and keeps up with the viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers.
    offers : callable
        Tells whether a layer is listed.
    empty : str
        What is shown while there is none.
    """

    chosen = Signal(object)

    def __init__(
        self, viewer: ViewerModel, offers: Callable[[Layer], bool], empty: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._offers = offers
        self._layers: list[Layer] = []
        self._links = EventLinks()
        self._teller = QTimer(self)
        self._teller.setSingleShot(True)
        self._teller.timeout.connect(self._tell)
        self.setPlaceholderText(empty)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        for name in ("inserted", "removed", "reordered", "renamed"):
            self._links.add(getattr(viewer.layers.events, name), self.refresh)
        self.currentIndexChanged.connect(self._tell)
        self.refresh()

    def layer(self) -> Layer | None:
        """Return the chosen layer."""
        index = self.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None

    def choose(self, layer: Layer | None) -> None:
        """Choose a layer that is listed."""
        self.setCurrentIndex(self._layers.index(layer) if layer in self._layers else -1)

    def refresh(self, event: Any = None) -> None:
        """List the layers anew and keep the choice; if it is gone, choose the topmost of the others.

        If that changes the choice it is emitted: after a removal once the present event is over; for a first layer at
        once, and again when napari has selected what was added, for those who select something else then.
        """
        before = self.layer()
        self.blockSignals(True)
        self.clear()
        self._layers = [layer for layer in reversed(self._viewer.layers) if self._offers(layer)]
        self.addItems([layer.name for layer in self._layers])
        self.choose(before if before in self._layers else next(iter(self._layers), None))
        self.blockSignals(False)
        self.setEnabled(bool(self._layers))
        if self.layer() is before:
            return
        if before is None:
            self._tell()
        if event is not None:
            # Later, for napari may be in the middle of removing several selected layers, or of adding one.
            self._teller.start()

    def release(self) -> None:
        """Stop listening to the viewer."""
        self._teller.stop()
        self._links.clear()

    def _tell(self) -> None:
        self.chosen.emit(self.layer())
