"""What an embedding depends on, and so what it is found by in the cache. Knows no files and no torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.digests import new_hasher
from napari_segany.engine.precision_names import digest_in
from napari_segany.engine.progress import Progress, Steps

RECIPE = 1
"""Raise it when images reach the encoder in another way than before: embeddings made before are then made anew."""

Region = tuple[int, int, int, int]
Limits = tuple[float, float]

_STRIP = 4_000_000  # pixels that are hashed at a time


@dataclass(frozen=True)
class CacheKey:
    """What an embedding depends on: if one of these changes, it must be computed again.

    File names, layers and devices are not among them: the same pixels are found again wherever they come from.

    Attributes
    ----------
    image : str
        Digest of the pixels of the whole image, see `image_digest_steps`.
    contrast_limits : tuple of float
        Intensities that became 0 and 255.
    region : tuple of int or None
        The part of the image that was encoded, (row_min, col_min, row_max, col_max) with the ends left out; None for
        all of it.
    model : str
        Digest of the model's shape and of every weight, and of its precision.
    """

    image: str
    contrast_limits: Limits
    region: Region | None
    model: str

    @property
    def digest(self) -> str:
        """32 hexadecimal digits that stand for all of it."""
        text = json.dumps([RECIPE, *astuple(self)])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def in_precision(self, precision: str) -> CacheKey:
        """Return the key of the same embedding in a precision, "float32" or "bfloat16"."""
        return replace(self, model=digest_in(self.model, precision))


def image_digest_steps(image: NDArray[np.generic]) -> Steps[str]:
    """Return a digest of an image's shape, type and pixels, with progress in rows.

    Parameters
    ----------
    image : numpy.ndarray
        (H, W) or (H, W, 3), as `engine.image.checked_image` returns it. Byte order and memory layout do not matter.
    """
    native = image.dtype.newbyteorder("<")
    hasher = new_hasher("xxh128")
    hasher.update(f"{native.str} {image.shape}".encode())
    rows = max(1, _STRIP // image.shape[1])
    for start in range(0, len(image), rows):
        yield Progress(start, len(image), "Looking for the image embedding")
        hasher.update(np.ascontiguousarray(image[start : start + rows], dtype=native))
    digest: str = hasher.hexdigest()
    return digest


def checked_region(region: Region | None, shape: tuple[int, int]) -> Region | None:
    """Return a region as integers; None for one that is the whole image.

    Raises
    ------
    ValueError
        For a region that is empty or leaves the image of `shape` (H, W).
    """
    if region is None:
        return None
    row_min, col_min, row_max, col_max = (int(side) for side in region)
    if not (0 <= row_min < row_max <= shape[0] and 0 <= col_min < col_max <= shape[1]):
        raise ValueError(
            f"the region is {tuple(region)}; give (row_min, col_min, row_max, col_max) with pixels inside the image "
            f"of {shape[0]} x {shape[1]}"
        )
    return None if (row_min, col_min, row_max, col_max) == (0, 0, *shape) else (row_min, col_min, row_max, col_max)
