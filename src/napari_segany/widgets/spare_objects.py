"""A layer that waits, empty, to become the `objects` of an image. Knows napari's layers, but no Qt.

Napari takes a tenth of a second to add a layer, in which the window stands still; the first object of an image shall
not have to wait for that, nor for its being shown, which takes as long as drawing all layers. While it waits it is
marked as a preview, so that nobody saves it or takes it for a result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_segany.widgets.layer_order import Level, insert_in_order, settle
from napari_segany.widgets.layers import follow, placement, remove, set_visible, spatial_shape
from napari_segany.widgets.preview_saving import PREVIEW_KEY

SPARE_NAME = "objects (none yet)"


class SpareObjects:
    """At most one such layer of a viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Where it waits.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._layer: Labels | None = None

    def ready_steps(self, image: Image) -> Iterator[None]:
        """Have a layer there that fits an image, and drawn once; see `LayersAhead`."""
        if self._layer is None:
            self._layer = self.new(image, SPARE_NAME, {PREVIEW_KEY: True})
            insert_in_order(self._viewer, self._layer, Level.OBJECTS, image)
        elif not _fits(self._layer, image):
            self._layer.data = np.zeros(spatial_shape(image), self._layer.data.dtype)
            follow(self._layer, image)
        else:
            return
        yield

    def new(self, image: Image, name: str, metadata: dict[str, Any]) -> Labels:
        """Return an empty layer that is in no viewer yet."""
        data = np.zeros(spatial_shape(image), dtype=np.uint16)
        return Labels(data, name=name, opacity=0.6, metadata=metadata, **placement(image))

    def take(self, image: Image, name: str, metadata: dict[str, Any]) -> Labels | None:
        """Make the layer that waits one of objects; None where none fits."""
        layer = self._layer
        if layer is None or layer not in self._viewer.layers or not _fits(layer, image):
            return None
        self._layer = None
        layer.metadata = metadata
        layer.name = name
        follow(layer, image)
        settle(self._viewer, Level.OBJECTS, image, layer)
        set_visible(layer, True)
        return layer

    def forget(self, layer: object) -> None:
        """Take note that a layer is gone from the viewer."""
        if layer is self._layer:
            self._layer = None

    def close(self) -> None:
        """Remove the layer."""
        layer, self._layer = self._layer, None
        remove(self._viewer, layer)


def _fits(layer: Labels, image: Image) -> bool:
    return bool(layer.data.shape == spatial_shape(image))
