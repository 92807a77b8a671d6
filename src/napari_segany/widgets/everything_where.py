"""Where a session asks: in which part of the image, and at which points. Knows napari's layers, no Qt."""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from napari.layers import Layer, Points
from psygnal import Signal

from napari_segany.widgets.everything_region import WHOLE_IMAGE, Region, region_of
from napari_segany.widgets.layers import unwrap
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.rest import Rest
from napari_segany.widgets.viewer_events import EventLinks

_REST_MS = 300


class Where:
    """What the user has chosen; emits `changed`, also when points are added, moved or removed.

    Where the present view is the region, it also emits once that has been zoomed or moved and rests.

    Parameters
    ----------
    viewer : ViewerModel
        Whose view counts.
    runner : Runner
        Waits until it rests.

    Attributes
    ----------
    region : Region
        Which part of the image is wanted.
    points : Points or None
        The layer whose points are asked in place of the grid.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel, runner: Runner) -> None:
        self.region: Region = WHOLE_IMAGE
        self.points: Points | None = None
        self._viewer = viewer
        self._links = EventLinks()
        self._view_links = EventLinks()
        self._rest = Rest(runner, self.changed.emit, _REST_MS)

    def choose_region(self, choice: str | Layer) -> None:
        """Look in the whole "image", the present "view", the closed shapes of a Shapes layer, or a Labels layer."""
        self.region = region_of(unwrap(choice))
        self._view_links.clear()
        self._rest.forget()
        if self.region.kind == "view":
            camera, canvas = self._viewer.scene.camera, self._viewer.canvas
            for emitter in (camera.events.zoom, camera.events.center, canvas.events.size):
                self._view_links.add(emitter, self._rest.stir)
        self.changed.emit()

    def choose_points(self, layer: Points | None) -> None:
        """Ask the points of a layer, or the grid."""
        layer = unwrap(layer)
        if layer is not None and not isinstance(layer, Points):
            raise ValueError(f"got a {type(layer).__name__} layer; choose a Points layer, or None for the grid")
        self._links.clear()
        self.points = layer
        if layer is not None:
            self._links.add(layer.events.data, self._moved)
        self.changed.emit()

    def forget(self, layer: object) -> None:
        """Take note that a layer is gone from the viewer."""
        if layer is not None and layer is self.region.layer:
            self.choose_region("image")
        if layer is not None and layer is self.points:
            self.choose_points(None)

    def close(self) -> None:
        """Stop listening to the layer of points and to the view."""
        self._links.clear()
        self._view_links.clear()
        self._rest.forget()

    def _moved(self, event: Any = None) -> None:
        self.changed.emit()
