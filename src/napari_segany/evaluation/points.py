"""Simulated clicks of the single-click protocol (Kirillov et al. 2023, arXiv:2304.02643, appendix D.1).

The paper takes "the point farthest from the object boundary" and does not say what the edge of the image is. Here it
counts as boundary, as in the click simulation the paper follows (RITM, Sofiiuk et al. 2022,
doi:10.1109/ICIP46576.2022.9897365): the click on a cut object lies within it, not on the edge of the image.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Point = tuple[int, int]


def bounding_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Smallest box around a mask: (row_min, col_min, row_max, col_max), pixel centres, all within the mask's extent.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise ValueError("the mask is empty; a box needs an object of one pixel or more")
    return int(rows[0]), int(cols[0]), int(rows[-1]), int(cols[-1])


def prompt_box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Return the box that an object is asked with: (row_min, col_min, row_max, col_max).

    It goes through the outermost pixel centres, as published; a side of one pixel reaches to that pixel's edges.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    top, left, bottom, right = bounding_box(mask)
    row_margin, col_margin = 0.5 * (top == bottom), 0.5 * (left == right)
    return top - row_margin, left - col_margin, bottom + row_margin, right + col_margin


def center_point(mask: NDArray[np.bool_]) -> Point:
    """Return the pixel of an object that is farthest from its boundary, the edge of the image included.

    It lies in the thickest part of an object of several parts; the first in reading order of equally deep ones.

    Parameters
    ----------
    mask : numpy.ndarray
        (H, W) bool, not empty.

    Returns
    -------
    tuple of int
        (row, col).
    """
    return _deepest(mask, ())[1]


def random_point(mask: NDArray[np.bool_], rng: np.random.Generator) -> Point:
    """Return a pixel of an object, all with the same probability.

    Parameters
    ----------
    mask : numpy.ndarray
        (H, W) bool, not empty.
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    tuple of int
        (row, col).
    """
    pixels = np.flatnonzero(mask)
    if not pixels.size:
        raise ValueError("the mask is empty; a point needs an object of one pixel or more")
    row, col = divmod(int(rng.choice(pixels)), mask.shape[1])
    return row, col


def next_point(
    truth: NDArray[np.bool_], prediction: NDArray[np.bool_], taken: Collection[Point] = ()
) -> tuple[Point, int] | None:
    """Return where a user corrects a prediction: the point of the error region farthest from its boundary.

    Missing and surplus pixels are separate regions, so that a click has one meaning; the deeper one wins, the missing
    one when they are equally deep.

    Parameters
    ----------
    truth, prediction : numpy.ndarray
        (H, W) bool.
    taken : collection of (row, col)
        Earlier points; a pixel is not clicked twice.

    Returns
    -------
    tuple or None
        ((row, col), label) with label 1 for missing and 0 for surplus pixels; None when no pixel is left to correct.
    """
    depth, point, label = 0.0, (0, 0), -1
    for candidate, region in ((1, truth & ~prediction), (0, prediction & ~truth)):
        if region.any():
            region_depth, region_point = _deepest(region, taken)
            if region_depth > depth:
                depth, point, label = region_depth, region_point, candidate
    return (point, label) if label >= 0 else None


def _deepest(mask: NDArray[np.bool_], taken: Collection[Point]) -> tuple[float, Point]:
    """Return the greatest distance to the boundary and the pixel that has it; 0 when all pixels are taken."""
    top, left, bottom, right = bounding_box(mask)
    # The region's surroundings are boundary, so its bounding box with a margin of one pixel gives exact distances.
    padded = np.pad(mask[top : bottom + 1, left : right + 1], 1)
    distance = ndimage.distance_transform_edt(padded)
    for row, col in taken:
        if top <= row <= bottom and left <= col <= right:
            distance[row - top + 1, col - left + 1] = 0
    row, col = divmod(int(distance.argmax()), distance.shape[1])
    return float(distance[row, col]), (row + top - 1, col + left - 1)
