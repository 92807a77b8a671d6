"""Which events of a viewer and of its image a session listens to, connected and disconnected together. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image

from napari_segany.widgets.layers import SPATIAL

Callback = Callable[[Any], None]


class EventLinks:
    """Connections that are undone together.

    Napari's emitters hold bound methods weakly, so a forgotten session does not live on through them; but while it
    lives, its callbacks must not run for an image it has left.
    """

    def __init__(self) -> None:
        self._links: list[tuple[Any, Callback]] = []

    def add(self, emitter: Any, callback: Callback) -> None:
        """Connect a callback to an event emitter."""
        emitter.connect(callback)
        self._links.append((emitter, callback))

    def clear(self) -> None:
        """Undo every connection."""
        links, self._links = self._links, []
        for emitter, callback in links:
            emitter.disconnect(callback)


def viewer_links(
    viewer: ViewerModel, view_moved: Callback, layer_removed: Callback, layer_goes: Callback | None = None
) -> EventLinks:
    """Listen for another displayed plane, for layers that are gone and, on request, for those about to go."""
    links = EventLinks()
    for name in ("current_step", "order", "ndisplay", "ndim"):
        links.add(getattr(viewer.dims.events, name), view_moved)
    links.add(viewer.layers.events.removed, layer_removed)
    if layer_goes is not None:
        links.add(viewer.layers.events.removing, layer_goes)
    return links


def image_links(image: Image, moved: Callback, contrast_changed: Callback, data_replaced: Callback) -> EventLinks:
    """Listen for an image that is moved, shown with other contrast, or given other data."""
    links = EventLinks()
    for name in SPATIAL:
        links.add(getattr(image.events, name), moved)
    links.add(image.events.contrast_limits, contrast_changed)
    links.add(image.events.data, data_replaced)
    return links
