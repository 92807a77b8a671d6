"""The layer that shows the mask under the mouse as an outline. Knows napari's Labels layer, but no model and no Qt.

It lies on a raster of its own (`OutlineRaster`), so that drawing takes the same time for every size of image. It is
empty while the mouse is not over the image: there is nothing in it to be saved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_segany.engine.mask_outline import Outline, OutlineRaster
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.layers import insert_below, placement, remove
from napari_segany.widgets.outline_colours import outline_colormap
from napari_segany.widgets.preview_saving import PREVIEW_KEY

PREVIEW_NAME = "preview"
PREVIEW_COLOUR = "#f7ff3c"
"""Of no candidate, and of no label that napari draws on a dark image as a bare line."""

Window = tuple[slice, slice]


class PreviewLayer:
    """Shows one outline at a time.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer that shows it.
    above : callable
        Returns the layer that it lies under; None for no such layer.

    Attributes
    ----------
    colour : str
        "#rrggbb" of the line; the layer that is made next has it.
    """

    def __init__(self, viewer: ViewerModel, above: Callable[[], Layer | None]) -> None:
        self.colour = PREVIEW_COLOUR
        self._viewer, self._above = viewer, above
        self._layer: Labels | None = None
        self._raster: OutlineRaster | None = None
        self._axes: tuple[int, int] = (0, 1)
        self._drawn: Window | None = None
        self._on_made: list[Callable[[Layer], None]] = []

    def when_made(self, callback: Callable[[Layer], None]) -> None:
        """Call back with each new layer, so that keys can be bound to it."""
        self._on_made.append(callback)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is shown."""
        return self._drawn is None

    def paint(self, colour: str) -> None:
        """Have this colour, "#rrggbb", in a layer that is there too."""
        if colour != self.colour:
            self.colour = colour
            if self._layer is not None:
                self._layer.colormap = outline_colormap(colour)

    def show(self, image: Image, plane: Plane, outline: Outline) -> None:
        """Show an outline on a plane of an image, in place of the last one."""
        layer = self._ready(image, plane, outline.raster)
        self._erase()
        if outline.window.any():
            (row, col), (height, width) = outline.corner, outline.window.shape
            self._drawn = slice(row, row + height), slice(col, col + width)
            layer.data[self._place(self._drawn)] = self._thin(outline.window)
        self._redraw(layer)

    def hide(self) -> None:
        """Show nothing."""
        if self._drawn is not None and self._layer is not None:
            self._erase()
            self._redraw(self._layer)

    def forget(self, layer: object) -> bool:
        """Take note that a layer is gone from the viewer; return whether it was this one."""
        if layer is None or layer is not self._layer:
            return False
        self._layer = self._raster = self._drawn = None
        return True

    def close(self) -> None:
        """Remove the layer."""
        layer = self._layer
        self.forget(layer)
        remove(self._viewer, layer)

    def _ready(self, image: Image, plane: Plane, raster: OutlineRaster) -> Labels:
        where = raster_placement(image, plane, raster)
        if self._layer is not None and self._layer not in self._viewer.layers:  # the user removed it
            self.forget(self._layer)
        if self._layer is not None and (self._raster, self._axes) != (raster, plane.axes):
            self.close()
        if self._layer is None:
            self._raster, self._axes = raster, plane.axes
            shape = [1] * plane.ndim
            shape[plane.axes[0]], shape[plane.axes[1]] = raster.shape
            self._layer = _new_layer(tuple(shape), where, self.colour)
            insert_below(self._viewer, self._layer, self._above())
            for callback in self._on_made:
                callback(self._layer)
            return self._layer
        for name, value in where.items():
            if name != "axis_labels" and not _same(getattr(self._layer, name), value):
                setattr(self._layer, name, value)
        return self._layer

    def _redraw(self, layer: Labels) -> None:
        """Draw the layer on the canvas, and nothing else anew.

        The layer list paints the row of a layer at each of its events, and with it the whole window, which takes as
        long as the canvas where there is no graphics card. Nothing that the row shows has changed.
        """
        with self._viewer.layers.events.blocker():
            layer.refresh(extent=False, thumbnail=False, highlight=False)

    def _erase(self) -> None:
        if self._drawn is not None and self._layer is not None:
            self._layer.data[self._place(self._drawn)] = 0
        self._drawn = None

    def _place(self, window: Window) -> tuple[slice, ...]:
        parts = dict(zip(self._axes, window, strict=True))
        ndim = 2 if self._layer is None else self._layer.ndim
        return tuple(parts.get(axis, slice(None)) for axis in range(ndim))

    def _thin(self, window: Any) -> Any:
        sides = dict(zip(self._axes, window.shape, strict=True))
        ndim = 2 if self._layer is None else self._layer.ndim
        return window.reshape([sides.get(axis, 1) for axis in range(ndim)])


def raster_placement(image: Image, plane: Plane, raster: OutlineRaster) -> dict[str, Any]:
    """Return the keyword arguments that put a layer of a raster's shape on a plane of an image."""
    where = placement(image)
    scale = np.array(image.scale, dtype=float)
    scale[list(plane.axes)] *= raster.step
    first = plane.to_data([raster.origin])[0]
    translate = image.affine.inverse(image.data_to_world(first))
    return {**where, "scale": scale, "translate": np.asarray(translate, dtype=float)}


def _same(one: Any, other: Any) -> bool:
    if hasattr(one, "affine_matrix") and hasattr(other, "affine_matrix"):
        one, other = one.affine_matrix, other.affine_matrix
    try:
        return bool(np.allclose(np.asarray(one, dtype=float), np.asarray(other, dtype=float)))
    except (TypeError, ValueError):  # units, which are no numbers, or another number of axes
        return bool(one == other)


def _new_layer(shape: tuple[int, ...], where: dict[str, Any], colour: str) -> Labels:
    layer = Labels(
        np.zeros(shape, np.uint8),
        name=PREVIEW_NAME,
        metadata={PREVIEW_KEY: True},
        opacity=1.0,
        colormap=outline_colormap(colour),
        **where,
    )
    layer.editable = False
    return layer
