"""Small pictures of masks for the list of candidates. Numpy only: knows neither napari nor Qt."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

THUMBNAIL_SIZE = 64
_MARGIN = 0.35
_SMALLEST_VIEW = 24


def view_around(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return rows and columns of a square view around a mask, with a margin, inside of the plane where possible."""
    height, width = mask.shape
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return slice(0, height), slice(0, width)
    centre = (rows[0] + rows[-1]) / 2, (cols[0] + cols[-1]) / 2
    side = max(rows[-1] - rows[0], cols[-1] - cols[0]) + 1
    side = int(max(side * (1 + 2 * _MARGIN), _SMALLEST_VIEW))

    def span(middle: float, size: int) -> slice:
        start = int(np.clip(round(middle - side / 2), 0, max(size - side, 0)))
        return slice(start, min(start + side, size))

    return span(centre[0], height), span(centre[1], width)


def thumbnail(
    image: Any, mask: NDArray[np.bool_], limits: tuple[float, float] | None, size: int = THUMBNAIL_SIZE
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a picture of the image around a mask, and the mask in it.

    Parameters
    ----------
    image : array
        (H, W) or (H, W, C), any real type.
    mask : numpy.ndarray
        (H, W) bool.
    limits : (float, float), optional
        Intensities shown black and white; None takes those of the view itself.
    size : int
        Side of the picture, in pixels.

    Returns
    -------
    picture : numpy.ndarray
        (size, size, 3) uint8.
    outline : numpy.ndarray
        (size, size) bool.
    """
    rows, cols = view_around(mask)
    side = max(rows.stop - rows.start, cols.stop - cols.start)
    steps = (np.arange(size) + 0.5) * side / size
    row_at = np.minimum(rows.start + steps.astype(int), rows.stop - 1)
    col_at = np.minimum(cols.start + steps.astype(int), cols.stop - 1)
    view = np.nan_to_num(
        np.asarray(image[rows, cols])[row_at - rows.start][:, col_at - cols.start].astype(np.float32)
    )
    if limits is None:
        is_bytes = getattr(image, "dtype", None) == np.uint8
        limits = (0.0, 255.0) if is_bytes else (float(view.min()), float(view.max()))
    low, high = limits
    grey = np.clip((view - low) / max(high - low, np.finfo(np.float32).tiny), 0, 1) * 255
    picture = grey[..., :3] if view.ndim == 3 else np.repeat(grey[..., None], 3, axis=2)
    return picture.astype(np.uint8), mask[np.ix_(row_at, col_at)]


def paint_over(
    picture: NDArray[np.uint8], mask: NDArray[np.bool_], colour: tuple[int, int, int], opacity: float = 0.45
) -> NDArray[np.uint8]:
    """Return the picture with the mask laid over it in a colour."""
    blend = picture.astype(np.float32)
    blend[mask] = (1 - opacity) * blend[mask] + opacity * np.asarray(colour, dtype=np.float32)
    return blend.astype(np.uint8)
