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
from napari.utils.colormaps import DirectLabelColormap

from napari_segany.engine.mask_outline import Outline, OutlineRaster
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.layer_order import Level, insert_in_order, settle
from napari_segany.widgets.layers import placement, remove
from napari_segany.widgets.preview_saving import PREVIEW_KEY
from napari_segany.widgets.prompt_layer_looks import BOX_COLOUR

PREVIEW_NAME = "preview"
PREVIEW_COLOUR = "#f7ff3c"
"""Of no candidate, and of no label that napari draws on a dark image as a bare line."""

LINE, FRAME = 1, 2
"""What the pixels of the layer are: the outline of a mask, and the frame of a box that is being drawn."""

_COARSEST = 2.0
"""Side of a pixel of the raster, in pixels of the screen, up to which a frame is drawn on it."""

Window = tuple[slice, slice]
Box = tuple[float, float, float, float]


class PreviewLayer:
    """Shows one outline at a time.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer that shows it.

    Attributes
    ----------
    colour : str
        "#rrggbb" of the line; the layer that is made next has it.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.colour = PREVIEW_COLOUR
        self._viewer = viewer
        self._layer: Labels | None = None
        self._raster: OutlineRaster | None = None
        self._axes: tuple[int, int] = (0, 1)
        self._drawn: Window | None = None
        self._frame: list[Window] = []
        self._on_made: list[Callable[[Layer], None]] = []

    def when_made(self, callback: Callable[[Layer], None]) -> None:
        """Call back with each new layer, so that keys can be bound to it."""
        self._on_made.append(callback)

    def make_ready(self, image: Image, plane: Plane, raster: OutlineRaster) -> bool:
        """Have the layer there, see `LayersAhead`; return whether it was not."""
        was_there = self._layer is not None and self._layer in self._viewer.layers
        self._ready(image, plane, raster)
        return not was_there

    @property
    def is_empty(self) -> bool:
        """Whether nothing is shown."""
        return self._drawn is None

    def paint(self, colour: str) -> None:
        """Have this colour, "#rrggbb", in a layer that is there too."""
        if colour != self.colour:
            self.colour = colour
            if self._layer is not None:
                self._layer.colormap = _colormap(colour)

    def can_frame(self, image: Image, plane: Plane, raster: OutlineRaster) -> bool:
        """Whether a frame drawn with `frame` is seen, and looks like a line at the present zoom."""
        layer = self._ready(image, plane, raster)
        scale = float(np.abs(np.asarray(image.scale)[plane.axes[0]]))
        return layer.visible and scale * raster.step[0] * float(self._viewer.scene.camera.zoom) <= _COARSEST

    def frame(self, image: Image, plane: Plane, raster: OutlineRaster, box: Box | None, width: int) -> None:
        """Show the frame of a box (row_min, col_min, row_max, col_max) of the plane besides the outline, or none.

        `width` is that of its line, in pixels of the raster.
        """
        layer = self._ready(image, plane, raster)
        for side in self._frame:
            layer.data[self._place(side)] = 0
        self._frame = [] if box is None else frame_sides(box, raster, width)
        for side in self._frame:
            layer.data[self._place(side)] = FRAME
        self._redraw(layer)

    def show(self, image: Image, plane: Plane, outline: Outline) -> None:
        """Show an outline on a plane of an image, in place of the last one."""
        layer = self._ready(image, plane, outline.raster)
        self._erase()
        if outline.window.any():
            (row, col), (height, width) = outline.corner, outline.window.shape
            self._drawn = slice(row, row + height), slice(col, col + width)
            layer.data[self._place(self._drawn)][self._thin(outline.window)] = LINE
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
        self._frame = []
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
        is_other = (self._raster, self._axes) != (raster, plane.axes)
        if self._layer is not None and is_other and self._layer.ndim != plane.ndim:
            self.close()
        if self._layer is not None and is_other:
            self._raster, self._axes, self._drawn, self._frame = raster, plane.axes, None, []
            self._layer.data = np.zeros(_raster_shape(plane, raster), np.uint8)
        if self._layer is None:
            self._raster, self._axes = raster, plane.axes
            self._layer = _new_layer(_raster_shape(plane, raster), where, self.colour)
            insert_in_order(self._viewer, self._layer, Level.PREVIEW, image)
            for callback in self._on_made:
                callback(self._layer)
            return self._layer
        for name, value in where.items():
            if name != "axis_labels" and not _same(getattr(self._layer, name), value):
                setattr(self._layer, name, value)
        settle(self._viewer, Level.PREVIEW, image, self._layer)  # layers of others that came later would hide it
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
            for side in self._frame:
                self._layer.data[self._place(side)] = FRAME
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


def frame_sides(box: Box, raster: OutlineRaster, width: int) -> list[Window]:
    """Return the four sides of the frame of a box (row_min, col_min, row_max, col_max), as windows of the raster."""
    low, high = ((np.subtract(end, raster.corner) + 0.5) / raster.step for end in (box[:2], box[2:]))
    (top, left), (bottom, right) = (np.clip(end, 0, raster.shape).round().astype(int).tolist() for end in (low, high))
    rows, cols = slice(top, bottom), slice(left, right)
    return [
        (slice(top, min(top + width, bottom)), cols),
        (slice(max(bottom - width, top), bottom), cols),
        (rows, slice(left, min(left + width, right))),
        (rows, slice(max(right - width, left), right)),
    ]


def _colormap(colour: str) -> DirectLabelColormap:
    return DirectLabelColormap(color_dict={0: "transparent", LINE: colour, FRAME: BOX_COLOUR, None: "transparent"})


def _raster_shape(plane: Plane, raster: OutlineRaster) -> tuple[int, ...]:
    sizes = dict(zip(plane.axes, raster.shape, strict=True))
    return tuple(sizes.get(axis, 1) for axis in range(plane.ndim))


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
        colormap=_colormap(colour),
        **where,
    )
    layer.editable = False
    return layer
