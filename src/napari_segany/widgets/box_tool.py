"""Drawing a box by hand, in place of napari's own way. Knows napari's Shapes layer, but no viewer and no Qt.

While the mouse draws, napari changes a rectangle of the layer at each of its moves, and compiles two shaders anew for
each: some thirty milliseconds in which the window stands still. Here somebody else shows a frame meanwhile, and the
layer gets its rectangle when the mouse is let go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from napari.layers import Shapes

from napari_segany.widgets.geometry import Floats

MODE = "add_rectangle"


class BoxTool:
    """The mouse of one Shapes layer in the mode in which it adds rectangles.

    Attributes
    ----------
    is_framed : bool
        Whether somebody shows a frame while the box is drawn; set at each press. Otherwise napari draws.
    """

    def __init__(self) -> None:
        self.is_framed = False
        self._layer: Shapes | None = None
        self._napari: Callable[[Any, Any], Any] | None = None

    def serve(self, layer: Shapes | None) -> None:
        """Take over the mouse of this layer, and give back that of the last one."""
        if self._layer is not None:
            self._layer.events.mode.disconnect(self._mode_changed)
            self._give_back(self._layer)
        self._layer = layer
        if layer is not None:
            layer.events.mode.connect(self._mode_changed)
            self._mode_changed()

    def _mode_changed(self, event: object = None) -> None:
        layer = self._layer
        if layer is None:
            return
        if layer.mode != MODE:
            self._give_back(layer)
            return
        for place, callback in enumerate(layer.mouse_drag_callbacks):
            if getattr(callback, "__name__", "") == MODE:
                self._napari = callback
                layer.mouse_drag_callbacks[place] = self._dragged

    def _give_back(self, layer: Shapes) -> None:
        callbacks = layer.mouse_drag_callbacks
        if self._dragged in callbacks:
            place = callbacks.index(self._dragged)
            if layer.mode == MODE and self._napari is not None:
                callbacks[place] = self._napari
            else:
                del callbacks[place]

    def _dragged(self, layer: Shapes, event: Any) -> Iterator[None]:
        if not self.is_framed and self._napari is not None:
            yield from self._napari(layer, event)
            return
        start = stop = np.asarray(layer.world_to_data(event.position), dtype=float)
        yield
        while event.type == "mouse_move":
            stop = np.asarray(layer.world_to_data(event.position), dtype=float)
            yield
        axes = [axis - (len(event.position) - layer.ndim) for axis in event.dims_displayed]
        if (start[axes] != stop[axes]).all():
            layer.add_rectangles(corners(start, stop, axes))


def corners(start: Floats, stop: Floats, axes: list[int]) -> Floats:
    """Return (4, ndim) corners of the rectangle between two positions, in its two axes, on the plane of the first."""
    four = np.repeat(start[None], 4, axis=0)
    four[2:, axes[0]] = stop[axes[0]]
    four[1:3, axes[1]] = stop[axes[1]]
    return four
