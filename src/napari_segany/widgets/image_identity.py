"""What tells an image from others, and whether a saved session is of the size of one. Knows layers, but no Qt."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from napari.layers import Image

from napari_segany.formats.session_file import SavedSession
from napari_segany.widgets.layers import full_resolution, spatial_shape

_SAMPLES_PER_AXIS = 64


def image_identity(image: Image) -> dict[str, Any]:
    """Return what tells an image from others: name, shape, type, and a digest of samples where they are in memory."""
    data = full_resolution(image)
    digest = hashlib.blake2b(digest_size=8)
    digest.update(repr((tuple(data.shape), str(data.dtype), str(image.source.path))).encode())
    if isinstance(data, np.ndarray):
        sampled = data[tuple(slice(None, None, max(1, size // _SAMPLES_PER_AXIS)) for size in data.shape)]
        digest.update(np.ascontiguousarray(sampled).tobytes())
    return {
        "name": image.name,
        "shape": [int(size) for size in data.shape],
        "dtype": str(data.dtype),
        "digest": digest.hexdigest(),
    }


def fits(saved: SavedSession, image: Image) -> bool:
    """Whether the positions and masks of a saved session are of the size of an image."""
    shape = spatial_shape(image)
    positions = [*saved.points, *(corner for box in saved.boxes for corner in box)]
    sizes = {mask.size for masks in saved.planes.values() for mask in masks.values()}
    return (
        all(len(position) == len(shape) for position in positions)
        and len(saved.points) == len(saved.labels)
        and all(len(index) == len(shape) - 2 and (np.asarray(index) < shape[:-2]).all() for index in saved.planes)
        and sizes <= {shape[-2:]}
    )
