"""Objects as square pictures of their own, with what is around them. Numpy only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]


def square_picture(
    pixels: NDArray[np.uint8], bbox: Box, window: Callable[[Box], NDArray[np.bool_]], grown: float
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the square around an object, black where it leaves the image.

    Parameters
    ----------
    pixels : numpy.ndarray
        (H, W, 3) of eight bits.
    bbox : (int, int, int, int)
        (top, left, bottom, right) of the object, half open.
    window : callable
        Gives the object's pixels (h, w) within such a box, as `RunLengths.window` does.
    grown : float
        Side of the square by the longer side of the box; the square is 2 px or more.

    Returns
    -------
    picture : numpy.ndarray
        (S, S, 3) of eight bits.
    inside : numpy.ndarray
        (S, S) bool, the object.
    """
    top, left, bottom, right = bbox
    side = max(round(grown * max(bottom - top, right - left)), 2)
    first = (top + bottom - side) // 2, (left + right - side) // 2
    picture, inside = np.zeros((side, side, 3), np.uint8), np.zeros((side, side), np.bool_)
    rows = slice(max(first[0], 0), min(first[0] + side, pixels.shape[0]))
    cols = slice(max(first[1], 0), min(first[1] + side, pixels.shape[1]))
    place = slice(rows.start - first[0], rows.stop - first[0]), slice(cols.start - first[1], cols.stop - first[1])
    picture[place] = pixels[rows, cols]
    inside[place] = window((rows.start, cols.start, rows.stop, cols.stop))
    return picture, inside
