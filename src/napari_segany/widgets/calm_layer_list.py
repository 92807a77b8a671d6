"""Napari's list of layers, told of what has changed a moment later and all at once. Knows no Qt.

At each event of any layer the list paints all its rows, name, thumbnail, eye and lock, which takes as long as drawing
the canvas, and comes on top of that. A click, an undo, masks that are shown have several such events, and most of
them are of things that no row shows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.components import ViewerModel
from napari.layers import Layer

from napari_segany.widgets.spared_events import methods_of

_SHOWN = ("thumbnail", "visible", "name", "loaded", "locked")
"""Events of what a row shows."""

_DELAY_MS = 60


class CalmLayerList:
    """Keeps events of layers from the list, and tells it of them together.

    The list is told by its method's name, for napari offers no public way to it; where there is none of that name,
    as in a viewer without a window, all goes as it always does. Layers that come, go and move are told of at once.

    Parameters
    ----------
    viewer : ViewerModel
        Whose list it is.
    later : callable
        Runs a callback after so many milliseconds.
    """

    def __init__(self, viewer: ViewerModel, later: Callable[[Callable[[], None], int], None]) -> None:
        self._layers, self._later = viewer.layers, later
        self._news: dict[tuple[Layer, str], Any] = {}
        self._told: list[Callable[[Any], None]] = methods_of(viewer.layers.events, "_process_event")
        for method in self._told:
            viewer.layers.events.block(method)
        if self._told:
            viewer.layers.events.connect(self._heard)

    def close(self) -> None:
        """Tell what there is to tell, and have the list hear everything itself again."""
        if self._told:
            self._layers.events.disconnect(self._heard)
            for method in self._told:
                self._layers.events.unblock(method)
            self._tell()
        self._told = []

    def _heard(self, event: Any) -> None:
        if event.type in self._layers.events.emitters:  # of the list itself
            for method in self._told:
                method(event)
        elif event.type in _SHOWN and hasattr(event, "index"):
            is_first = not self._news
            self._news[self._layers[event.index], event.type] = event
            if is_first:
                self._later(self._tell, _DELAY_MS)

    def _tell(self) -> None:
        news, self._news = self._news, {}
        for (layer, _), event in news.items():
            if layer in self._layers:
                event.index = self._layers.index(layer)  # it may have moved since
                for method in self._told:
                    method(event)
