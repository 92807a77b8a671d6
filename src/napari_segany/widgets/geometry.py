"""Which plane of a layer is on the screen, and positions on it. Numpy only: knows neither napari nor Qt.

A *plane* is a 2-D cut through a layer's data along two of its axes. Its rows and columns are always in the order of
the data, so that a transposed view (or one rolled there and back) shows the same plane, asks about the same picture
and shares its embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class NoPlaneError(ValueError):
    """The viewer shows no plane of the layer that could be clicked on; the message says why."""


@dataclass(frozen=True)
class Plane:
    """A plane of an n-dimensional layer; hashable, so that drafts and embeddings can be kept by it.

    Attributes
    ----------
    axes : tuple of int
        The two data axes that are displayed, ascending: rows and columns of the plane.
    index : tuple of int
        Position of the plane on each of the other axes, in the order of those axes.
    """

    axes: tuple[int, int]
    index: tuple[int, ...]

    @property
    def ndim(self) -> int:
        """Dimensions of the layer (without the channels of RGB)."""
        return 2 + len(self.index)

    @property
    def hidden(self) -> tuple[int, ...]:
        """The axes that are not displayed, ascending."""
        return tuple(axis for axis in range(self.ndim) if axis not in self.axes)

    @property
    def offset(self) -> Floats:
        """(ndim,) data position of the plane's pixel (0, 0)."""
        offset = np.zeros(self.ndim)
        offset[list(self.hidden)] = self.index
        return offset

    def slicer(self) -> tuple[int | slice, ...]:
        """Return what cuts the plane out of the data; a trailing axis of channels stays."""
        place = dict(zip(self.hidden, self.index, strict=True))
        return tuple(place.get(axis, slice(None)) for axis in range(self.ndim))

    def shape_in(self, data_shape: Sequence[int]) -> tuple[int, int]:
        """Return (H, W) of the plane in data of this shape."""
        return int(data_shape[self.axes[0]]), int(data_shape[self.axes[1]])

    def thin_shape(self, data_shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of data that hold this plane alone: length 1 on every hidden axis."""
        return tuple(int(data_shape[axis]) if axis in self.axes else 1 for axis in range(self.ndim))

    def to_plane(self, positions: ArrayLike) -> Floats:
        """Map data positions (N, ndim) to (N, 2) rows and columns of the plane."""
        return np.asarray(positions, dtype=float).reshape(-1, self.ndim)[:, list(self.axes)]

    def to_data(self, positions: ArrayLike) -> Floats:
        """Map (N, 2) rows and columns to data positions (N, ndim)."""
        pairs = np.asarray(positions, dtype=float).reshape(-1, 2)
        data = np.tile(self.offset, (len(pairs), 1))
        data[:, list(self.axes)] = pairs
        return data

    def voxels(self, mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], ...]:
        """Return the data indices, one array for each axis, of the pixels that are set in an (H, W) mask."""
        rows, cols = np.nonzero(mask)
        place = dict(zip(self.axes, (rows, cols), strict=True))
        fixed = dict(zip(self.hidden, self.index, strict=True))
        return tuple(place[axis] if axis in place else np.full_like(rows, fixed[axis]) for axis in range(self.ndim))

    def contains(self, positions: ArrayLike) -> NDArray[np.bool_]:
        """Return (N,) bool: which of the data positions (N, ndim) lie on this plane."""
        data = np.asarray(positions, dtype=float).reshape(-1, self.ndim)
        return np.asarray((np.round(data[:, list(self.hidden)]) == np.asarray(self.index)).all(axis=1))


def displayed_plane(
    displayed: Sequence[int], viewer_ndim: int, data_point: ArrayLike, data_shape: Sequence[int]
) -> Plane:
    """Return the plane of a layer that a viewer shows.

    Parameters
    ----------
    displayed : sequence of int
        The viewer's displayed axes, in the order of the screen.
    viewer_ndim : int
        Dimensions of the viewer; layers with fewer are aligned on the last axes.
    data_point : array_like
        The viewer's current point in data coordinates of the layer.
    data_shape : sequence of int
        Shape of the layer's data without channels.

    Raises
    ------
    NoPlaneError
        If the view is 3-D, if the layer is not cut along two of its axes, or if the current slice is outside of it.
    """
    ndim = len(data_shape)
    if ndim < 2:
        raise NoPlaneError(f"The image has {ndim} dimension; two are needed to click on it.")
    if len(displayed) != 2:
        raise NoPlaneError("Prompts need a 2-D view: switch 3-D display off (Ctrl-Y).")
    axes = sorted(axis - (viewer_ndim - ndim) for axis in displayed)
    if axes[0] < 0:
        raise NoPlaneError("The displayed axes do not show a plane of this image: choose two of its own axes.")
    hidden = [axis for axis in range(ndim) if axis not in axes]
    point = np.asarray(data_point, dtype=float)
    index = []
    for axis in hidden:
        place = int(np.round(point[axis]))
        if not 0 <= place < data_shape[axis]:
            raise NoPlaneError(
                f"The shown slice is outside of the image: {place} on axis {axis}, "
                f"which has 0 to {data_shape[axis] - 1}."
            )
        index.append(place)
    return Plane((axes[0], axes[1]), tuple(index))


def affine_matrix(transform: Callable[[Floats], Any], ndim: int) -> Floats:
    """Return the (ndim + 1, ndim + 1) homogeneous matrix of an affine map, found by evaluating it."""
    matrix = np.eye(ndim + 1)
    origin = np.asarray(transform(np.zeros(ndim)), dtype=float)
    matrix[:-1, -1] = origin
    for axis in range(ndim):
        matrix[:-1, axis] = np.asarray(transform(np.eye(ndim)[axis]), dtype=float) - origin
    return matrix


def align_trailing(matrix: Floats, ndim: int) -> Floats:
    """Widen a homogeneous matrix to `ndim` dimensions, or narrow it, on the leading axes."""
    have = len(matrix) - 1
    if have >= ndim:
        return matrix[have - ndim :, have - ndim :]
    wide = np.eye(ndim + 1)
    wide[ndim - have :, ndim - have :] = matrix
    return wide


def sample_plane(
    labels: Any, labels_from_image: Floats, plane: Plane, plane_shape: tuple[int, int]
) -> NDArray[np.generic]:
    """Read another layer's labels at the pixel centres of a plane, to the nearest pixel; 0 outside.

    Parameters
    ----------
    labels : array
        The labels, of any number of dimensions.
    labels_from_image : numpy.ndarray
        (ndim + 1, ndim + 1) homogeneous map from data positions of the image to those of the labels, with the
        dimensions of the labels.
    plane : Plane
        The plane of the image.
    plane_shape : tuple of int
        Its (H, W).

    Returns
    -------
    numpy.ndarray
        (H, W), of the labels' dtype.
    """
    same = _on_same_grid(labels, labels_from_image, plane, plane_shape)
    if same is not None:
        return same
    rows, cols = np.meshgrid(*(np.arange(size) for size in plane_shape), indexing="ij")
    pixels = np.column_stack([rows.ravel(), cols.ravel()])
    return _sampled(labels, labels_from_image, plane, pixels).reshape(plane_shape)


def sample_pixels(
    labels: Any,
    labels_from_image: Floats,
    plane: Plane,
    plane_shape: tuple[int, int],
    pixels: NDArray[np.integer[Any]],
) -> NDArray[np.generic]:
    """Read another layer's labels as `sample_plane` does, at (N, 2) pixels (row, col) alone; return (N,) labels."""
    same = _on_same_grid(labels, labels_from_image, plane, plane_shape)
    if same is not None:
        return same[pixels[:, 0], pixels[:, 1]]
    return _sampled(labels, labels_from_image, plane, pixels)


def _on_same_grid(
    labels: Any, labels_from_image: Floats, plane: Plane, plane_shape: tuple[int, int]
) -> NDArray[np.generic] | None:
    """Return the labels of a plane where they lie on the pixels of the image; None where they do not."""
    identity = np.eye(plane.ndim + 1)
    same_grid = labels_from_image.shape == identity.shape and np.allclose(labels_from_image, identity)
    if not same_grid or plane.shape_in(labels.shape) != plane_shape:
        return None
    covered = all(place < labels.shape[axis] for axis, place in zip(plane.hidden, plane.index, strict=True))
    return np.asarray(labels[plane.slicer()]) if covered else np.zeros(plane_shape, labels.dtype)


def _sampled(
    labels: Any, labels_from_image: Floats, plane: Plane, pixels: NDArray[np.integer[Any]]
) -> NDArray[np.generic]:
    positions = plane.to_data(pixels.astype(np.float64))
    ndim = labels_from_image.shape[0] - 1
    if positions.shape[1] < ndim:
        positions = np.pad(positions, [(0, 0), (ndim - positions.shape[1], 0)])
    positions = positions[:, positions.shape[1] - ndim :]
    found = np.round(positions @ labels_from_image[:-1, :-1].T + labels_from_image[:-1, -1]).astype(np.intp)
    inside = ((found >= 0) & (found < np.asarray(labels.shape))).all(axis=1)
    values = np.zeros(len(found), dtype=labels.dtype)
    values[inside] = np.asarray(labels)[tuple(found[inside].T)]
    return values


def in_same_plane(one: ArrayLike, other: ArrayLike) -> bool:
    """Whether two rectangles, of (4, ndim) corners, lie in one plane: flat in the same axes, at the same place."""
    first, second = np.round(np.asarray(one)), np.round(np.asarray(other))
    flat = np.ptp(second, axis=0) == 0
    return bool((np.ptp(first, axis=0)[flat] == 0).all() and (first[0, flat] == second[0, flat]).all())
