"""Layers that wait, empty, to become the `objects` of an image. Knows napari's layers, but no Qt.

Napari takes a tenth of a second to add a layer, in which the window stands still; the first object of an image shall
not have to wait for that, nor for its being shown, which takes as long as drawing all layers. While one waits it is
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
    """Such layers of a viewer: one for the image that is worked on, and one for the image that may come next.

    Parameters
    ----------
    viewer : ViewerModel
        Where they wait.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._layers: list[Labels] = []

    def ready_steps(self, image: Image | None, following: Image | None = None) -> Iterator[None]:
        """Have a layer there for each of two images, drawn once; see `LayersAhead`.

        The one of the image that follows is hidden, for each visible layer is drawn every time.
        """
        images = [one for one in (image, following) if one is not None]
        spare, fitting = list(self._layers), []
        for one in images:
            fitting.append(next((layer for layer in spare if _fits(layer, one)), None))
            spare = [layer for layer in spare if layer is not fitting[-1]]
        for one, layer in zip(images, fitting, strict=True):
            if layer is None and spare:
                layer = spare.pop()
            yield from self._ready(layer, one, is_shown=one is image)

    def _ready(self, layer: Labels | None, image: Image, *, is_shown: bool) -> Iterator[None]:
        if layer is None:
            layer = self.new(image, SPARE_NAME, {PREVIEW_KEY: True})
            self._layers.append(layer)
            insert_in_order(self._viewer, layer, Level.OBJECTS, image)
        elif not _fits(layer, image):
            layer.data = np.zeros(spatial_shape(image), layer.data.dtype)
            follow(layer, image)
        elif layer.visible == is_shown:
            return
        yield
        if layer in self._layers:
            set_visible(layer, is_shown)

    def new(self, image: Image, name: str, metadata: dict[str, Any]) -> Labels:
        """Return an empty layer that is in no viewer yet."""
        data = np.zeros(spatial_shape(image), dtype=np.uint16)
        return Labels(data, name=name, opacity=0.6, metadata=metadata, **placement(image))

    def take(self, image: Image, name: str, metadata: dict[str, Any]) -> Labels | None:
        """Make a layer that waits one of objects; None where none fits."""
        layer = next((there for there in self._layers if there in self._viewer.layers and _fits(there, image)), None)
        if layer is None:
            return None
        self._layers.remove(layer)
        layer.metadata = metadata
        layer.name = name
        follow(layer, image)
        settle(self._viewer, Level.OBJECTS, image, layer)
        set_visible(layer, True)
        return layer

    def forget(self, layer: object) -> None:
        """Take note that a layer is gone from the viewer."""
        self._layers = [there for there in self._layers if there is not layer]

    def close(self) -> None:
        """Remove the layers."""
        layers, self._layers = self._layers, []
        for layer in layers:
            remove(self._viewer, layer)


def _fits(layer: Labels, image: Image) -> bool:
    return bool(layer.data.shape == spatial_shape(image))
