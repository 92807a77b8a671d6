"""Moving the view to an object: the sliders to its slice, the camera to its place. Knows no Qt."""

from __future__ import annotations

from itertools import product

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer

from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.layers import units_ratio

_SHARE = 0.25
"""Of the canvas that an object fills, after zooming to it."""

_LARGEST_PIXEL = 40.0
"""Screen pixels of a pixel of the image, beyond which a speck is not enlarged."""

Box = tuple[float, float, float, float]


def look_at(viewer: ViewerModel, layer: Layer, plane: Plane, box: Box, *, zoom: bool = True) -> None:
    """Show a part of a plane.

    Parameters
    ----------
    viewer : ViewerModel
        Its displayed axes stay.
    layer : Layer
        Whose data the plane and the box are of.
    plane : Plane
        The plane.
    box : tuple of float
        (row_min, col_min, row_max, col_max) in pixels, half-open.
    zoom : bool
        Whether the camera comes near; else it moves, and only where the middle of the box cannot be seen.
    """
    row_min, col_min, row_max, col_max = box
    corners = plane.to_data(list(product((row_min - 0.5, row_max - 0.5), (col_min - 0.5, col_max - 0.5))))
    ratio = units_ratio(viewer, layer)
    world = np.array([np.asarray(layer.data_to_world(corner), dtype=float) / ratio for corner in corners])
    first = viewer.dims.ndim - layer.ndim
    for axis in plane.hidden:
        viewer.dims.set_point(first + axis, world[0, axis])
    shown = [axis - first for axis in viewer.dims.displayed]
    if len(shown) != 2 or sorted(shown) != list(plane.axes):
        return
    low, high = world[:, shown].min(axis=0), world[:, shown].max(axis=0)
    middle = (low + high) / 2
    camera, canvas = viewer.scene.camera, np.asarray(viewer.canvas.size, dtype=float)
    center = np.asarray(camera.center)[-2:]
    if zoom:
        pixel = np.sqrt(np.prod(high - low) / max(1.0, (row_max - row_min) * (col_max - col_min)))
        nearest = _LARGEST_PIXEL / pixel
        camera.zoom = float(min(nearest, (np.sqrt(_SHARE) * canvas / np.maximum(high - low, 1e-12)).min()))
    if zoom or (np.abs(middle - center) > canvas / 2 / camera.zoom).any():
        camera.center = tuple(float(place) for place in middle)
