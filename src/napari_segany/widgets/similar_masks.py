"""Which masks are looked for, and which are compared with them: those of layers that are open. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_segany.engine.digests import new_hasher
from napari_segany.formats.record import MaskRecord
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.kept_masks import MASKS_KEY, KeptMasks, present_masks
from napari_segany.widgets.layers import spatial_shape


def objects_on(layer: Labels, labels: tuple[int, ...], plane: Plane) -> tuple[MaskRecord, ...]:
    """Return objects of a layer as they lie on a plane, without those that are not there."""
    present = np.asarray(layer.data[plane.slicer()])
    masks = [present == label for label in labels]
    return tuple(MaskRecord.from_mask(mask) for mask in masks if mask.any())


def taken_pixels(layer: Labels | None, image: Image, plane: Plane) -> NDArray[np.bool_]:
    """Return the pixels of all objects of a layer on a plane, (H, W) bool; none where there is no layer."""
    if layer is None:
        return np.zeros(plane.shape_in(spatial_shape(image)), bool)
    return np.asarray(layer.data[plane.slicer()]) != 0


def layer_of_masks(viewer: ViewerModel, image: Image, plane: Plane) -> Labels | None:
    """Return the upmost layer of Segment everything, or of a file of masks, that has masks on a plane of an image."""
    leading = plane.axes == (plane.ndim - 2, plane.ndim - 1)
    for layer in reversed(viewer.layers):
        kept = layer.metadata.get(MASKS_KEY) if isinstance(layer, Labels) and leading else None
        if not isinstance(kept, KeptMasks) or layer.data.shape != spatial_shape(image):
            continue
        if kept.planes.get(plane.index) and np.allclose(layer.extent.world, image.extent.world):
            return layer
    return None


def masks_of(layer: Labels, plane: Plane) -> tuple[Callable[[], list[MaskRecord]], Any]:
    """Return what reads the masks of such a layer in the background, and what tells these masks from others."""
    kept: KeptMasks = layer.metadata[MASKS_KEY]
    masks = kept.planes.get(plane.index, ())
    labels = np.array(layer.data[plane.slicer()])
    hasher = new_hasher("xxh128")
    hasher.update(np.ascontiguousarray(labels))  # what was painted or erased since
    about = layer.unique_id, kept, hasher.hexdigest()
    return lambda: [one.record for one in present_masks(labels, masks, kept.rule)], about
