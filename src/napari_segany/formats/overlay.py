"""Masks painted over their image, to look at. Knows numpy, scikit-image and files only."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.color import hsv2rgb
from skimage.segmentation import find_boundaries

from napari_segany.formats.atomic import replacing
from napari_segany.formats.record import MaskRecord

_GOLDEN_RATIO = (5**0.5 - 1) / 2  # turning the hue by it keeps neighbouring numbers apart


def draw_overlay(
    image: NDArray[np.uint8], records: Sequence[MaskRecord], *, opacity: float = 0.4
) -> NDArray[np.uint8]:
    """Paint each mask in a colour of its own, its outline opaque; smaller masks lie on top of larger ones.

    Parameters
    ----------
    image : numpy.ndarray
        (H, W) or (H, W, 3) uint8.
    records : sequence of MaskRecord
        The masks, each of the size of the image.
    opacity : float
        Of the colour within the outlines, from 0 (outlines only) to 1.

    Returns
    -------
    numpy.ndarray
        (H, W, 3) uint8, a new array.

    Raises
    ------
    ValueError
        For an image of another shape or type, a record of another size, or an opacity outside of 0 to 1.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise ValueError(
            f"the image has the shape {image.shape} and type {image.dtype}; give (H, W) or (H, W, 3) of uint8, "
            "intensities mapped to 0..255"
        )
    if not 0 <= opacity <= 1:
        raise ValueError(f"the opacity is {opacity}; choose from 0 to 1")
    canvas = np.stack([image] * 3, axis=-1) if image.ndim == 2 else image.copy()
    colours = _colours(len(records))
    for index in sorted(range(len(records)), key=lambda index: -records[index].area):
        record = records[index]
        if record.rle.size != image.shape[:2]:
            raise ValueError(f"record {index} has the size {record.rle.size}; the image has {image.shape[:2]}")
        row_min, col_min, row_max, col_max = record.bbox
        mask = record.rle.window(record.bbox)
        window = canvas[row_min:row_max, col_min:col_max]
        window[mask] = np.round((1 - opacity) * window[mask] + opacity * colours[index])
        window[find_boundaries(np.pad(mask, 1), mode="inner")[1:-1, 1:-1]] = colours[index]
    return canvas


def write_overlay_png(
    path: str | os.PathLike[str], image: NDArray[np.uint8], records: Sequence[MaskRecord], *, opacity: float = 0.4
) -> None:
    """Write what `draw_overlay` draws as a PNG file, whole or not at all; parameters and errors are its own.

    Raises
    ------
    OSError
        Where the file cannot be written.
    """
    canvas = draw_overlay(image, records, opacity=opacity)
    with replacing(path) as temporary:
        Image.fromarray(canvas).save(temporary, format="PNG")


def _colours(count: int) -> NDArray[np.float64]:
    """Return (count, 3) colours in 0..255, bright and each of another hue."""
    numbers = np.arange(count)
    hue = numbers * _GOLDEN_RATIO % 1
    value = np.where(numbers % 2, 0.75, 1.0)
    saturation = np.full(count, 0.9)
    return np.round(255 * hsv2rgb(np.stack([hue, saturation, value], axis=-1)))
