"""The layer `filled in`: masks of an image's record that are not in the layer `objects`. Knows no Qt.

It shows the record, so it is not painted in by hand; a click on a mask chooses it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_segany.engine.data_engine.masks import EngineMask
from napari_segany.widgets.clicks import clicked
from napari_segany.widgets.layers import remove

FILLED = "filled in"


class FilledLayer:
    """Masks of one image at a time; a mask has the same label as long as its image is shown.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.

    Attributes
    ----------
    layer : Labels or None
        The layer; None where there is no mask to show.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.layer: Labels | None = None
        self._viewer = viewer
        self._shown: dict[int, EngineMask] = {}
        self._labels: dict[EngineMask, int] = {}
        self._layers: set[str] = set()  # their ids, of this image

    def show(self, image: Image, masks: Sequence[EngineMask]) -> None:
        """Show these masks and no others, above their image; small ones on top."""
        for mask in masks:
            self._labels.setdefault(mask, len(self._labels) + 1)
        shown = {self._labels[mask]: mask for mask in masks}
        if shown == self._shown and self.layer is not None and self.layer in self._viewer.layers:
            return
        self._shown = shown
        if not masks or image not in self._viewer.layers:
            self._take_away()
            return
        data = np.zeros(masks[0].record.rle.size, np.int32)
        for label, mask in sorted(self._shown.items(), key=lambda pair: -pair[1].record.area):
            data[mask.record.mask] = label
        if self.layer is not None and self.layer in self._viewer.layers:
            self.layer.data = data
        else:
            self._make(image, data)

    def clear(self) -> None:
        """Show nothing, and forget the masks: their image is not shown any more."""
        self._take_away()
        self._shown, self._labels, self._layers = {}, {}, set()

    def mask(self, label: int) -> EngineMask | None:
        """Return the mask that is shown with a label."""
        return self._shown.get(label)

    def mask_of(self, layer_id: str, label: int) -> EngineMask | None:
        """Return the mask that a layer of this unique id shows, or showed, with a label."""
        known = {number: mask for mask, number in self._labels.items()}
        return known.get(label) if layer_id in self._layers else None

    def leave(self) -> None:
        """Leave the layer in the viewer, which is going itself."""
        self._release()

    def _make(self, image: Image, data: np.ndarray) -> None:
        self._release()
        layer = self.layer = Labels(data, name=FILLED, opacity=0.4)
        self._layers.add(layer.unique_id)
        active = self._viewer.layers.selection.active
        self._viewer.layers.insert(self._viewer.layers.index(image) + 1, layer)
        self._viewer.layers.selection.active = active
        layer.editable = False
        layer.events.editable.connect(self._stay_uneditable)
        layer.mouse_drag_callbacks.append(self._pressed)

    def _take_away(self) -> None:
        layer = self.layer
        self._release()
        remove(self._viewer, layer)

    def _release(self) -> None:
        layer, self.layer = self.layer, None
        if layer is not None:
            layer.events.editable.disconnect(self._stay_uneditable)
            if self._pressed in layer.mouse_drag_callbacks:
                layer.mouse_drag_callbacks.remove(self._pressed)

    def _stay_uneditable(self, event: Any = None) -> None:
        """Napari makes a layer editable again when it gets other data, or the view changes between 2-D and 3-D."""
        if self.layer is not None and self.layer.editable:
            self.layer.editable = False

    def _pressed(self, layer: Labels, event: Any) -> Iterator[None]:
        """Choose the mask that is clicked on; napari's own picker is not there for a layer that is not editable."""

        def choose(position: tuple[float, ...], shift: bool) -> None:
            label = layer.get_value(position, world=True)
            if label:
                layer.selected_label = int(label)

        yield from clicked(event, choose)
