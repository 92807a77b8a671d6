"""Napari layers as the session sees them: unwrapped, cut to a plane, and layers that lie where the image lies.

Knows napari's layers, but no viewer, no session and no Qt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pint
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.utils.transforms import Affine
from numpy.typing import NDArray

from napari_segany.widgets.geometry import (
    Floats,
    NoPlaneError,
    Plane,
    affine_matrix,
    align_trailing,
    displayed_plane,
    sample_plane,
)

SPATIAL = ("scale", "translate", "rotate", "shear", "affine", "units")
"""Attributes, with events of the same names, that say where a layer lies."""


def unwrap(thing: Any) -> Any:
    """Return the viewer or layer behind the proxy that napari hands to plugins."""
    return getattr(thing, "__wrapped__", thing)


def full_resolution(layer: Image | Labels) -> Any:
    """Return the data of a layer; of a multiscale one those of level 0, which its coordinates refer to."""
    return layer.data[0] if layer.multiscale else layer.data


def spatial_shape(layer: Image | Labels) -> tuple[int, ...]:
    """Return the shape of the data without the channels of RGB."""
    return tuple(int(size) for size in full_resolution(layer).shape[: layer.ndim])


def read_plane(data: Any, plane: Plane) -> NDArray[np.generic]:
    """Return a plane of image data, (H, W) or (H, W, C); lazy arrays are computed, so call it in the background."""
    return np.asarray(data[plane.slicer()])


def intensity_limits(image: Image) -> tuple[float, float] | None:
    """Return the contrast limits that the model should see; None for RGB, which napari shows as it is."""
    if image.rgb:
        return None
    low, high = image.contrast_limits
    return float(low), float(high)


def units_ratio(viewer: ViewerModel, layer: Layer) -> Floats:
    """Return (ndim,) factors from the viewer's world coordinates to those of the layer.

    They differ from 1 where layers have different units of the same kind (nm beside um): napari shows them rightly,
    but its `world_to_data` takes the number as it is.
    """
    world = viewer.dims.units
    if world is None or viewer.layers.units is None:
        return np.ones(layer.ndim)
    registry = pint.get_application_registry()
    return np.asarray(
        [
            registry.get_base_units(of_viewer)[0] / registry.get_base_units(of_layer)[0]
            for of_viewer, of_layer in zip(world[-layer.ndim :], layer.units, strict=True)
        ],
        dtype=float,
    )


def in_units(layer: Layer, position: Floats, ratio: Floats) -> Floats:
    """Return where a data position lies that napari took from a world of other units, see `units_ratio`."""
    return np.asarray(layer.world_to_data(np.asarray(layer.data_to_world(position)) * ratio), dtype=float)


def world_to_data(viewer: ViewerModel, layer: Layer, position: Sequence[float]) -> Floats:
    """Map a position in the viewer's world to data of the layer, with regard to units."""
    world = np.asarray(position, dtype=float)[-layer.ndim :] * units_ratio(viewer, layer)
    return np.asarray(layer.world_to_data(world), dtype=float)


def shown_plane(viewer: ViewerModel, image: Image) -> Plane:
    """Return the plane of the image that the viewer shows.

    Raises
    ------
    NoPlaneError
        If there is none that could be clicked on.
    """
    dims = viewer.dims
    if dims.ndim < image.ndim:
        raise NoPlaneError("The image is not in this viewer.")
    point = world_to_data(viewer, image, dims.point)
    return displayed_plane(dims.displayed, dims.ndim, point, spatial_shape(image))


def placement(image: Image, plane: Plane | None = None) -> dict[str, Any]:
    """Return the keyword arguments that put a new layer where the image lies.

    Parameters
    ----------
    image : napari.layers.Image
        The image.
    plane : Plane, optional
        If given, the new layer holds this plane alone (length 1 on the hidden axes) and is shifted to it.
    """
    where = {name: getattr(image, name) for name in SPATIAL}
    where["axis_labels"] = image.axis_labels
    if plane is not None:
        where["translate"] = plane_translate(image, plane)
    return where


def plane_translate(image: Image, plane: Plane) -> Floats:
    """Return the `translate` of a layer that holds one plane of the image and shares all else with it."""
    return np.asarray(image.affine.inverse(image.data_to_world(plane.offset)), dtype=float)


def follow(layer: Layer, image: Image, plane: Plane | None = None) -> None:
    """Move a layer to where the image (or one plane of it) lies now.

    Only what differs is set: each of these makes napari slice the layer and measure all others anew.
    """
    put(layer, placement(image, plane))


def put(layer: Layer, where: Mapping[str, Any]) -> None:
    """Move a layer to a `placement`; only what differs is set."""
    for name, value in where.items():
        if name != "axis_labels" and not _same_place(getattr(layer, name), value):
            setattr(layer, name, value)


def _same_place(one: Any, other: Any) -> bool:
    if isinstance(one, Affine) and isinstance(other, Affine):
        return np.array_equal(one.affine_matrix, other.affine_matrix)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    return bool(one == other)


def show_plane(viewer: ViewerModel, image: Image, plane: Plane) -> None:
    """Move the viewer's sliders to a plane of the image; its displayed axes stay."""
    world = np.asarray(image.data_to_world(plane.offset), dtype=float) / units_ratio(viewer, image)
    first = viewer.dims.ndim - image.ndim
    for axis in plane.hidden:
        viewer.dims.set_point(first + axis, world[axis])


def object_on_plane(labels: Labels, label: int, image: Image, plane: Plane) -> NDArray[np.bool_]:
    """Return (H, W) bool: where an object of a Labels layer lies on a plane of the image.

    The two layers need not have the same shape or scale: labels are read, to the nearest pixel, where the world
    coordinates of the image's pixels fall.

    Raises
    ------
    ValueError
        If the object is nowhere on this plane.
    """
    shape = plane.shape_in(spatial_shape(image))
    mask = sample_plane(full_resolution(labels), image_to_layer(image, labels), plane, shape) == label
    if label == 0 or not mask.any():
        raise ValueError(
            f"Object {label} of the layer {labels.name!r} is not on this plane of the image; select one that is, "
            "with the picker of the Labels layer or by its number."
        )
    return np.asarray(mask)


def image_to_layer(image: Image, layer: Layer) -> Floats:
    """Return the (ndim + 1, ndim + 1) map from data positions of the image to those of another layer, of its ndim.

    Layers are aligned on their last axes, and units of the same kind are converted.
    """
    ndim = layer.ndim
    to_world = align_trailing(affine_matrix(image.data_to_world, image.ndim), ndim)
    to_layer = affine_matrix(layer.world_to_data, ndim)
    ratio = np.eye(ndim + 1)
    shared = min(ndim, image.ndim)
    ratio[range(ndim - shared, ndim), range(ndim - shared, ndim)] = _relative_units(image, layer, shared)
    return np.asarray(to_layer @ ratio @ to_world)


def _relative_units(image: Layer, layer: Layer, shared: int) -> Floats:
    registry = pint.get_application_registry()
    ratios = []
    for of_image, of_layer in zip(image.units[-shared:], layer.units[-shared:], strict=True):
        same_kind = of_image.dimensionality == of_layer.dimensionality
        ratios.append(
            registry.get_base_units(of_image)[0] / registry.get_base_units(of_layer)[0] if same_kind else 1.0
        )
    return np.asarray(ratios, dtype=float)


_LINE_PIXELS, _WIDEST_LINE = 1.8, 4


def line_width(viewer: ViewerModel, image: Image, plane: Plane, step: float = 1.0) -> int:
    """Return how many pixels wide a line is to be that is about two pixels wide on the screen, as it is zoomed now.

    Parameters
    ----------
    viewer, image, plane
        Where it is drawn.
    step : float
        Pixels of the image along a side of those that it is drawn with.
    """
    scale = float(np.abs(np.asarray(image.scale)[plane.axes[0]]))
    side = max(scale * step * float(viewer.scene.camera.zoom), 1e-6)  # on the screen
    return int(np.clip(round(_LINE_PIXELS / side), 1, _WIDEST_LINE))


def set_visible(layer: Layer, visible: bool) -> None:
    """Show or hide a layer; what is as it should be is left alone, for napari slices a layer anew at each setting."""
    if layer.visible != visible:
        layer.visible = visible


def remove(viewer: ViewerModel, layer: Layer | None) -> None:
    """Remove a layer if it is still in the viewer."""
    if layer is not None and layer in viewer.layers:
        viewer.layers.remove(layer)


AHEAD_PIXELS = 1 << 24
"""Of the largest plane that layers are made for before they are needed."""


def may_be_ahead(image: Image, plane: Plane) -> bool:
    """Return whether a plane is small enough for layers of its size to be made before they are needed."""
    return int(np.prod(plane.shape_in(spatial_shape(image)))) <= AHEAD_PIXELS
