"""The outline around selected objects. Knows napari's layers and viewer model, but no Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.layer_order import Level, insert_in_order
from napari_segany.widgets.layers import placement, put, remove, set_visible
from napari_segany.widgets.outline_colours import outline_colormap
from napari_segany.widgets.preview_saving import PREVIEW_KEY
from napari_segany.widgets.spared_events import measured_at_most_once

OUTLINE_NAME = "selected objects"
_MARGIN = 2


class ObjectsOutline:
    """A layer that outlines a mask on one plane of an image.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer that shows it.
    made : callable
        Receives the layer when it is made, so that keys can be bound to it.
    later : callable
        Runs a callback when the current event is over: a step is drawn first, and the outline in a turn of its own.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        made: Callable[[Layer], None],
        later: Callable[[Callable[[], None]], None] = lambda callback: callback(),
    ) -> None:
        self._viewer = viewer
        self._made, self._later = made, later
        self._shows = 0
        self._layer: Labels | None = None

    def ready_steps(self, image: Image, plane: Plane) -> Iterator[None]:
        """Have the layer there, empty and drawn once, see `LayersAhead`."""
        if self._layer is None:
            sizes = [3 if axis in plane.axes else 1 for axis in range(plane.ndim)]
            self._draw(image, np.zeros(sizes, np.uint8), placement(image))
            yield
            if self._layer is not None and not self._layer.data.any():
                set_visible(self._layer, False)

    def show(self, image: Image, plane: Plane, mask: Callable[[], NDArray[np.bool_]]) -> None:
        """Outline an (H, W) mask of a plane, which is asked for when it is drawn."""
        self._shows += 1
        self._later(partial(self._show, self._shows, image, plane, mask))

    def _show(self, show: int, image: Image, plane: Plane, present: Callable[[], NDArray[np.bool_]]) -> None:
        if show != self._shows:
            return  # something else was to be shown since, or nothing
        mask = present()
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            self.hide()
            return
        top, left = max(0, int(rows[0]) - _MARGIN), max(0, int(cols[0]) - _MARGIN)
        part = mask[top : int(rows[-1]) + 1 + _MARGIN, left : int(cols[-1]) + 1 + _MARGIN]
        sizes = dict(zip(plane.axes, part.shape, strict=True))
        data = part.astype(np.uint8).reshape([sizes.get(axis, 1) for axis in range(plane.ndim)])
        corner = image.data_to_world(plane.to_data([(top, left)])[0])
        where = {**placement(image), "translate": np.asarray(image.affine.inverse(corner), dtype=float)}
        self._draw(image, data, where)

    def hide(self) -> None:
        """Outline nothing."""
        self._shows += 1
        if self._layer is not None:
            set_visible(self._layer, False)

    def forget(self, layer: object) -> bool:
        """Take note that a layer is gone from the viewer; return whether it was this one."""
        if layer is None or layer is not self._layer:
            return False
        self._layer = None
        return True

    def close(self) -> None:
        """Remove the layer."""
        self._shows += 1
        layer, self._layer = self._layer, None
        remove(self._viewer, layer)

    def _draw(self, image: Image, data: NDArray[np.uint8], where: dict[str, Any]) -> None:
        if self._layer is None:
            self._layer = Labels(
                data,
                name=OUTLINE_NAME,
                metadata={PREVIEW_KEY: True},
                colormap=outline_colormap("white"),
                **where,
            )
            self._layer.contour = 1
            self._layer.editable = False
            insert_in_order(self._viewer, self._layer, Level.OUTLINE, image)
            self._made(self._layer)
            return
        with measured_at_most_once(self._viewer, [self._layer]):
            self._layer.data = data
            put(self._layer, where)
        set_visible(self._layer, True)
