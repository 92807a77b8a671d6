"""Where everything is wanted: the whole image, what the window shows, closed shapes, or objects of a Labels layer.

A choice is turned into a reader, which no longer looks at the viewer: the reader is called in the background, for
every slice. Knows napari's layers and viewer model, but no Qt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, Protocol

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Shapes
from numpy.typing import NDArray

from napari_segany.engine.polygon_mask import add_polygon, pixels_in_polygon
from napari_segany.widgets.geometry import Floats, Plane, sample_pixels, sample_plane
from napari_segany.widgets.layers import (
    full_resolution,
    image_to_layer,
    spatial_shape,
    world_to_data,
)

RegionKind = Literal["image", "view", "layer"]


class ReadRegion(Protocol):
    """Reads a region on a plane."""

    def __call__(self, plane: Plane) -> NDArray[np.bool_] | None:
        """Return (H, W) bool; None where all of the plane is wanted."""

    def holds(self, plane: Plane, pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return (N,) bool, which of (N, 2) pixels (row, col) are wanted; no mask of the plane is made for that."""


_CLOSED = ("rectangle", "ellipse", "polygon")
_ELLIPSE_CORNERS = 64


@dataclass(frozen=True, eq=False)
class Region:
    """Which part of the image is wanted; `layer` is a Shapes or Labels layer for the kind "layer"."""

    kind: RegionKind = "image"
    layer: Shapes | Labels | None = None


WHOLE_IMAGE = Region()


def region_of(choice: str | Layer) -> Region:
    """Return a region from what a script says: "image", "view", or a Shapes or Labels layer.

    Raises
    ------
    ValueError
        For anything else.
    """
    if isinstance(choice, Shapes | Labels):
        return Region("layer", choice)
    if choice == "image":
        return WHOLE_IMAGE
    if choice == "view":
        return Region("view")
    raise ValueError(f"got {choice!r}; give 'image', 'view', or a Shapes or Labels layer")


def region_reader(viewer: ViewerModel, image: Image, plane: Plane, region: Region) -> ReadRegion:
    """Return what reads a region, as viewer and layers are now.

    Parameters
    ----------
    viewer : ViewerModel
        Whose view counts for "view".
    image : Image
        The image that the region is a part of.
    plane : Plane
        The shown plane; other planes that are read later have the same axes.
    region : Region
        What is wanted.

    Raises
    ------
    ValueError
        For a layer that is gone from the viewer, or has nothing closed in it.
    """
    shape = plane.shape_in(spatial_shape(image))
    if region.kind == "image":
        return _WholeReader()
    if region.kind == "view":
        corners = plane.to_plane(view_corners(viewer, image))
        return _PolygonReader(((None, corners),), shape)
    layer = region.layer
    if layer is None or layer not in viewer.layers:
        raise ValueError("The layer of the region is not in the viewer; choose another region.")
    if isinstance(layer, Shapes):
        outlines = tuple(_outlines(layer, image, plane))
        if not outlines:
            raise ValueError(f"The layer {layer.name!r} has no closed shape: draw a polygon, rectangle or ellipse.")
        return _PolygonReader(outlines, shape)
    return _LabelsReader(full_resolution(layer), image_to_layer(image, layer), shape)


@dataclass(frozen=True, eq=False)
class _WholeReader:
    """All of the image."""

    def __call__(self, plane: Plane) -> NDArray[np.bool_] | None:
        return None

    def holds(self, plane: Plane, pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.ones(len(pixels), bool)


@dataclass(frozen=True, eq=False)
class _PolygonReader:
    """Polygons, each with its position on the hidden axes, or None where it counts for every slice."""

    outlines: tuple[tuple[tuple[int, ...] | None, Floats], ...]
    shape: tuple[int, int]

    def __call__(self, plane: Plane) -> NDArray[np.bool_]:
        mask = np.zeros(self.shape, bool)
        for index, corners in self.outlines:
            if index is None or index == plane.index:
                add_polygon(mask, corners)
        return mask

    def holds(self, plane: Plane, pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
        found = np.zeros(len(pixels), bool)
        for index, corners in self.outlines:
            if index is None or index == plane.index:
                found |= pixels_in_polygon(pixels, corners, self.shape)
        return found


@dataclass(frozen=True, eq=False)
class _LabelsReader:
    """All objects of a Labels layer."""

    labels: Any
    labels_from_image: Floats
    shape: tuple[int, int]

    def __call__(self, plane: Plane) -> NDArray[np.bool_]:
        return sample_plane(self.labels, self.labels_from_image, plane, self.shape) != 0

    def holds(self, plane: Plane, pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
        return sample_pixels(self.labels, self.labels_from_image, plane, self.shape, pixels) != 0


def view_corners(viewer: ViewerModel, image: Image) -> Floats:
    """Return (4, ndim) data positions of the image at the corners of what the canvas shows, in order around it."""
    half = np.asarray(viewer.canvas.size) / 2 / viewer.scene.camera.zoom
    center = np.asarray(viewer.scene.camera.center)[-2:]
    corners = []
    for down, right in ((-1, -1), (-1, 1), (1, 1), (1, -1)):
        world = np.asarray(viewer.dims.point, dtype=float)
        world[list(viewer.dims.displayed)] = center + half * (down, right)
        corners.append(world_to_data(viewer, image, tuple(world)))
    return np.asarray(corners)


def _outlines(shapes: Shapes, image: Image, plane: Plane) -> Iterator[tuple[tuple[int, ...] | None, Floats]]:
    """Yield the closed shapes, of the selected ones if there are any, as polygons in pixels of the plane."""
    selected = sorted(shapes.selected_data) or range(len(shapes.data))
    for number in selected:
        kind = str(shapes.shape_type[number])
        if kind not in _CLOSED:
            continue
        corners = np.asarray(shapes.data[number], dtype=float)
        data, everywhere = positions_in_image(image, shapes, _ellipse(corners) if kind == "ellipse" else corners)
        index = None if everywhere(plane) else tuple(int(np.round(data[:, axis].mean())) for axis in plane.hidden)
        yield index, plane.to_plane(data)


def positions_in_image(image: Image, layer: Layer, positions: Floats) -> tuple[Floats, Callable[[Plane], bool]]:
    """Return positions in a layer, (N, ndim), as data positions of the image, and whether they count for all planes.

    A layer of fewer dimensions is aligned on the last axes and lies on every slice of the others. Whether those are
    the hidden axes is asked of a plane.
    """
    to_image = np.linalg.inv(image_to_layer(image, layer))
    found = positions.reshape(-1, layer.ndim) @ to_image[:-1, :-1].T + to_image[:-1, -1]
    missing = image.ndim - found.shape[1]
    data = np.pad(found, [(0, 0), (max(missing, 0), 0)])[:, max(-missing, 0) :]
    return data, lambda plane: missing > 0 and all(axis < missing for axis in plane.hidden)


def _ellipse(corners: Floats) -> Floats:
    """Return the outline of the ellipse that napari draws into four corners."""
    center = corners.mean(axis=0)
    first, second = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angles = np.linspace(0, 2 * np.pi, _ELLIPSE_CORNERS, endpoint=False)
    return np.asarray([center + np.cos(angle) * first + np.sin(angle) * second for angle in angles])


def planes_like(plane: Plane, shape: tuple[int, ...]) -> list[Plane]:
    """Return all planes of data of this shape with the axes of one plane, in the order of the data."""
    sizes = [range(shape[axis]) for axis in plane.hidden]
    return [Plane(plane.axes, tuple(index)) for index in product(*sizes)]
