"""Which images the intensities of objects are measured in, and their slices. Knows layers, but no Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_segany.engine.object_measures import SliceToMeasure
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.layers import full_resolution, read_plane, spatial_shape

_COLOURS = ("red", "green", "blue")


@dataclass(frozen=True, eq=False)
class ImageChannels:
    """An image whose intensities are measured.

    Attributes
    ----------
    data : array
        Of the full resolution; may be lazy.
    names : tuple of str
        One for each channel, as columns are named.
    rgb : bool
        Whether the last axis holds colours.
    """

    data: Any
    names: tuple[str, ...]
    rgb: bool


def channels_of(viewer: ViewerModel, image: Image) -> list[ImageChannels]:
    """Return the image, and all other images of its size: the other stains of a specimen, mostly.

    Names tell the layers apart where there are several.
    """
    shape = spatial_shape(image)
    others = [
        layer
        for layer in viewer.layers
        if isinstance(layer, Image) and layer is not image and spatial_shape(layer) == shape
    ]
    found = []
    for layer in (image, *others):
        colours = _COLOURS if layer.rgb else ("",)
        prefix = layer.name if others else ""
        names = tuple(f"{prefix} {colour}".strip() for colour in colours)
        found.append(ImageChannels(full_resolution(layer), names, bool(layer.rgb)))
    return found


def slices_of(layer: Labels, axes: tuple[int, int], channels: Sequence[ImageChannels]) -> list[SliceToMeasure]:
    """Return the slices of a layer of objects along two axes of its data, with the images' intensities there."""
    hidden = [axis for axis in range(layer.ndim) if axis not in axes]
    shape = layer.data.shape
    slices = []
    for index in np.ndindex(*(shape[axis] for axis in hidden)):
        plane = Plane(axes, index)
        slices.append(
            SliceToMeasure(index, partial(read_plane, layer.data, plane), partial(_read, tuple(channels), plane))
        )
    return slices


def _read(channels: Sequence[ImageChannels], plane: Plane) -> list[NDArray[Any]]:
    found: list[NDArray[Any]] = []
    for channel in channels:
        pixels = np.asarray(read_plane(channel.data, plane))
        found += [pixels[..., at] for at in range(len(_COLOURS))] if channel.rgb else [pixels]
    return found
