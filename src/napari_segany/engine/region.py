"""Where in an image masks are wanted: a region given as a mask, a polygon or a box, less the pixels without data."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_segany.engine.polygon_mask import add_polygon


def allowed_pixels(image: NDArray[np.generic], region: ArrayLike | None) -> NDArray[np.bool_] | None:
    """Return the pixels that may be asked and labelled, (H, W) bool; None for all of them.

    Parameters
    ----------
    image : numpy.ndarray
        (H, W) or (H, W, C); pixels that are NaN or infinite in every channel hold no data.
    region : array_like, optional
        (H, W) bool; or (N, 2) the corners (row, col) of a polygon, N at least 3; or (4,) a box
        (row_min, col_min, row_max, col_max). Pixels whose centres lie inside are in.

    Raises
    ------
    ValueError
        For another form, or a region that holds no pixel with data.
    """
    allowed = None if region is None else _rasterised(region, (image.shape[0], image.shape[1]))
    if image.dtype.kind == "f":
        finite = np.isfinite(image)
        data = finite if image.ndim == 2 else finite.any(axis=2)
        if not data.all():
            allowed = data if allowed is None else allowed & data
    if region is not None and allowed is not None and not allowed.any():
        raise ValueError("the region holds no pixel of the image with data; give one that overlaps the image")
    return allowed


def _rasterised(region: ArrayLike, shape: tuple[int, int]) -> NDArray[np.bool_]:
    array = np.asarray(region)
    if array.dtype == np.bool_:
        if array.shape != shape:
            raise ValueError(f"the region has the shape {array.shape}; a boolean mask has that of the image, {shape}")
        return array
    if array.dtype.kind not in "uif" or not np.isfinite(array).all():
        raise ValueError("the region is no bool mask and holds other things than finite numbers; give pixels")
    if array.shape == (4,):
        return _box(array.astype(np.float64), shape)
    if array.ndim == 2 and array.shape[1] == 2 and len(array) >= 3:
        inside = np.zeros(shape, bool)
        add_polygon(inside, array.astype(np.float64))
        return inside
    raise ValueError(
        f"the region has the shape {array.shape}; give an (H, W) bool mask, (N, 2) corners (row, col) of a polygon "
        "with at least three, or a box (row_min, col_min, row_max, col_max)"
    )


def _box(box: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    if (box[:2] >= box[2:]).any():
        raise ValueError(
            f"the region's box ({', '.join(f'{side:g}' for side in box)}) has no area; "
            "give (row_min, col_min, row_max, col_max) with row_min < row_max and col_min < col_max"
        )
    rows, cols = (np.arange(side) for side in shape)
    in_rows = (rows >= box[0]) & (rows <= box[2])
    in_cols = (cols >= box[1]) & (cols <= box[3])
    return in_rows[:, None] & in_cols[None, :]
