"""Painting and erasing on the layer `objects` with napari's own tools: their part in the table and the history.

Knows napari's Labels layer, but no session and no Qt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Labels

from napari_segany.widgets.objects import ObjectsLayer
from napari_segany.widgets.pixel_changes import UnknownPaintError, painted_pixels


class Brush:
    """Listens to strokes on the layer `objects`.

    Parameters
    ----------
    say : callable
        Receives sentences for the user.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._objects: ObjectsLayer | None = None
        self._layer: Labels | None = None

    def turn_to(self, objects: ObjectsLayer | None) -> None:
        """Listen to the layer of other objects."""
        if self._objects is not None:
            self._objects.taken_up.disconnect(self._listen)
            self._objects.released.disconnect(self._leave)
        self._leave()
        self._objects = objects
        if objects is not None:
            objects.taken_up.connect(self._listen)
            objects.released.connect(self._leave)
            if objects.layer is not None:
                self._listen(objects.layer)

    def _listen(self, layer: Labels) -> None:
        self._layer = layer
        layer.events.paint.connect(self._painted)

    def _leave(self, layer: Any = None) -> None:
        if self._layer is not None:
            self._layer.events.paint.disconnect(self._painted)
        self._layer = None

    def _painted(self, event: Any) -> None:
        """Take note of a stroke, which napari tells of when the mouse button is released."""
        if self._objects is None or self._layer is None or self._objects.is_writing:
            return
        try:
            pixels = painted_pixels(self._layer, event.value)
        except UnknownPaintError as error:
            self._say(f"This stroke cannot be undone here and is not in the table: {error}.")
            return
        self._objects.note(pixels, "brush")
