"""Edges by derivatives alone: Sobel, Canny, and the thinning that both share with the model's edges. Arrays only.

Canny 1986 (doi:10.1109/TPAMI.1986.4767851) keeps the pixels whose gradient is the largest along its own direction.
Thresholds with hysteresis, his last step, are left out: an edge map is thresholded by whoever uses it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Map = NDArray[np.float32]

CANNY_SIGMA = 2.0
"""Pixels; the Gaussian before the derivatives."""

_RIDGE_SIGMA = 2.0
_LUMA = np.array([0.299, 0.587, 0.114])


def grey(image: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.float64]:
    """Return (H, W) brightness from 0 to 1 of (H, W) or (H, W, 3 or 4) pixels between two intensities."""
    pixels = np.nan_to_num(np.asarray(image, np.float64), nan=limits[0], posinf=limits[1], neginf=limits[0])
    plane = pixels if pixels.ndim == 2 else pixels[..., :3] @ _LUMA
    result: NDArray[np.float64] = np.clip((plane - limits[0]) / (limits[1] - limits[0]), 0, 1)
    return result


def sobel_edges(brightness: NDArray[np.floating[Any]]) -> Map:
    """Return thin edges, (H, W) from 0 to 1: the length of Sobel's gradient by the most that it can be.

    Parameters
    ----------
    brightness : numpy.ndarray
        (H, W), 0 to 1.
    """
    down, right = (ndimage.sobel(brightness, axis) for axis in (0, 1))
    # 4 for a step from 0 to 1 along an axis, and 3 * sqrt(2) across a corner.
    return np.minimum(thinned_along(down, right) / np.float32(3 * np.sqrt(2)), np.float32(1))


def canny_edges(brightness: NDArray[np.floating[Any]], sigma: float = CANNY_SIGMA) -> Map:
    """Return thin edges, (H, W) from 0 to 1: the gradient of the smoothed image by that of a step from 0 to 1.

    Parameters
    ----------
    brightness : numpy.ndarray
        (H, W), 0 to 1.
    sigma : float
        Of the Gaussian, in pixels.

    Raises
    ------
    ValueError
        For a Gaussian without width.
    """
    if not sigma > 0:
        raise ValueError(f"sigma is {sigma}; give a number of pixels above 0")
    down, right = (ndimage.gaussian_filter(brightness, sigma, order) for order in ((1, 0), (0, 1)))
    step = 1 / (np.sqrt(2 * np.pi) * sigma)
    return np.minimum(thinned_along(down, right) / np.float32(step), np.float32(1))


def thinned_along(down: NDArray[np.floating[Any]], right: NDArray[np.floating[Any]]) -> Map:
    """Return the length of (H, W) gradients, and 0 where a neighbour along the gradient is larger."""
    return _maxima(np.hypot(down, right), down, right)


def thinned_ridges(strength: NDArray[np.floating[Any]]) -> Map:
    """Return an edge map (H, W), 0 where a neighbour across the edge is larger.

    The direction across is that in which the smoothed map bends most.
    """
    orders = ((2, 0), (1, 1), (0, 2))
    rows, both, cols = (ndimage.gaussian_filter(strength, _RIDGE_SIGMA, order, output=np.float64) for order in orders)
    # The eigenvector of the smaller, most negative, eigenvalue of the symmetric 2 x 2 matrix of second derivatives.
    angle = 0.5 * np.arctan2(2 * both, rows - cols) + np.pi / 2
    return _maxima(np.asarray(strength, np.float64), np.cos(angle), np.sin(angle))


def _maxima(strength: NDArray[np.float64], down: NDArray[Any], right: NDArray[Any]) -> Map:
    """Keep pixels that no neighbour along (down, right) exceeds; of two equal neighbours the one ahead."""
    longer = np.maximum(np.abs(down), np.abs(right))
    longer = np.where(longer > 0, longer, 1)
    rows, cols = np.indices(strength.shape, dtype=np.float64)
    ahead, behind = (
        ndimage.map_coordinates(
            strength, (rows + sign * down / longer, cols + sign * right / longer), order=1, mode="constant"
        )
        for sign in (1, -1)
    )
    return np.where((strength >= ahead) & (strength > behind), strength, 0).astype(np.float32)
