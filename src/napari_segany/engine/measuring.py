"""What labelled objects measure on a plane: area, perimeter, position, intensities. Numpy only.

The perimeter follows the Crofton formula, counted over the directions of the grid as in Legland, Kiêu and Devaux
(2007, doi:10.5566/ias.v26.p83-92): how often lines cross the outline, times the distance between the lines and the
angle that each direction stands for. Distances and angles are those of the image's own units, so that pixels need be
neither square nor at right angles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_segany.engine.progress import Progress, Steps

Floats = NDArray[np.float64]
Labels = NDArray[np.integer]

_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Directions in which crossings are counted, in pixels along (rows, columns)."""

STATISTICS = ("mean", "std", "min", "max")


@dataclass(frozen=True, eq=False)
class PlaneMeasures:
    """What the objects of one plane measure; all arrays are in the order of `labels`.

    Attributes
    ----------
    labels : numpy.ndarray
        (N,) int64, ascending, without the background.
    pixels : numpy.ndarray
        (N,) int64, pixels of each.
    area : numpy.ndarray
        (N,) in the square of the unit of the pixel vectors.
    perimeter : numpy.ndarray
        (N,) in that unit.
    centroids : numpy.ndarray
        (N, 2) rows and columns in pixels; centres of pixels are integers.
    boxes : numpy.ndarray
        (N, 4) int64 (row_min, col_min, row_max, col_max), half-open.
    intensities : tuple of numpy.ndarray
        For each channel (N, 4): mean, standard deviation (of all pixels, not of a sample), smallest and largest. NaN
        where the image has them among the object's pixels.
    """

    labels: NDArray[np.int64]
    pixels: NDArray[np.int64]
    area: Floats
    perimeter: Floats
    centroids: Floats
    boxes: NDArray[np.int64]
    intensities: tuple[Floats, ...] = ()


def measure_plane(
    labels: ArrayLike, *, pixel: ArrayLike = ((1.0, 0.0), (0.0, 1.0)), channels: Sequence[ArrayLike] = ()
) -> Steps[PlaneMeasures]:
    """Measure all objects of a plane at once: the time is that of the plane, however many objects there are.

    Parameters
    ----------
    labels : array_like
        (H, W) integers, 0 background.
    pixel : array_like
        (2, 2) the step to the next row and the one to the next column, each as (y, x) in the image's unit;
        ((0.5, 0), (0, 0.25)) for pixels that are 0.5 high and 0.25 wide.
    channels : sequence of array_like
        (H, W) intensities, of any real type.

    Yields
    ------
    Progress
        In parts of the work.

    Raises
    ------
    ValueError
        For labels that are not 2-D integers, pixels without area, or a channel of another size.
    """
    plane, vectors = _checked(labels, pixel)
    images = [np.asarray(channel) for channel in channels]
    for image in images:
        if image.shape != plane.shape:
            raise ValueError(
                f"the labels are of {plane.shape} pixels and a channel of {image.shape}; give equal sizes"
            )
    total = 2 + len(images)
    yield Progress(0, total, "Measuring the objects")
    found, inverse, rows, cols = _places(plane)
    pixels = np.bincount(inverse, minlength=len(found)).astype(np.int64)
    per_pixel = abs(float(np.linalg.det(vectors)))
    yield Progress(1, total, "Measuring the outlines")
    crossings = [_crossings(plane, step, found) for step in _STEPS]
    perimeter = crofton_weights(vectors) @ np.asarray(crossings, np.float64)
    intensities = []
    for number, image in enumerate(images):
        yield Progress(2 + number, total, "Measuring the intensities")
        intensities.append(_statistics(image[rows, cols].astype(np.float64), inverse, pixels))
    return PlaneMeasures(
        found,
        pixels,
        np.asarray(pixels * per_pixel, np.float64),
        perimeter,
        np.stack([_means(axis, inverse, pixels) for axis in (rows, cols)], axis=1),
        _boxes(inverse, rows, cols, len(found)),
        tuple(intensities),
    )


def crofton_weights(vectors: Floats) -> Floats:
    """Return by how much a crossing counts in each of the directions of the grid, in the unit of the vectors.

    Parameters
    ----------
    vectors : numpy.ndarray
        (2, 2), the steps to the next row and to the next column.
    """
    steps = np.asarray(_STEPS, np.float64) @ vectors
    angles = np.arctan2(steps[:, 0], steps[:, 1]) % np.pi
    order = np.argsort(angles)
    turned = np.concatenate([angles[order][-1:] - np.pi, angles[order], angles[order][:1] + np.pi])
    shares = np.empty(len(steps))
    shares[order] = (turned[2:] - turned[:-2]) / 2
    between = abs(np.linalg.det(vectors)) / np.linalg.norm(steps, axis=1)
    return np.asarray(between * shares / 2)


def _checked(labels: ArrayLike, pixel: ArrayLike) -> tuple[Labels, Floats]:
    plane, vectors = np.asarray(labels), np.asarray(pixel, np.float64)
    if plane.ndim != 2 or plane.dtype.kind not in "iu":
        raise ValueError(f"the labels are {plane.ndim}-D {plane.dtype}; give a plane of integers")
    if vectors.shape != (2, 2) or not np.isfinite(vectors).all() or np.linalg.det(vectors) == 0:
        raise ValueError(f"the pixel is {vectors.tolist()}; give its two steps as ((y, x), (y, x)) that span an area")
    return plane, vectors


def _places(plane: Labels) -> tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return the labels, and of each pixel of an object which of them it has, its row and its column."""
    rows, cols = np.nonzero(plane)
    found, inverse = np.unique(plane[rows, cols], return_inverse=True)
    return found.astype(np.int64), inverse.reshape(-1), rows, cols


def _crossings(plane: Labels, step: tuple[int, int], found: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count how often lines along a step go into or out of each object; the plane's edge is outside of all."""
    padded = np.pad(plane, 1)
    down, right = step
    first = padded[: padded.shape[0] - down, max(0, -right) : padded.shape[1] - max(0, right)]
    second = padded[down:, max(0, right) : padded.shape[1] - max(0, -right)]
    differ = first != second
    both = np.concatenate([first[differ], second[differ]])
    both = both[both != 0]
    return np.bincount(np.searchsorted(found, both), minlength=len(found)).astype(np.int64)


def _means(values: NDArray[np.generic], inverse: NDArray[np.intp], pixels: NDArray[np.int64]) -> Floats:
    return np.asarray(np.bincount(inverse, weights=values, minlength=len(pixels)) / pixels)


def _statistics(values: Floats, inverse: NDArray[np.intp], pixels: NDArray[np.int64]) -> Floats:
    """Return (N, 4): mean, standard deviation, smallest, largest."""
    mean = _means(values, inverse, pixels)
    spread = _means((values - mean[inverse]) ** 2, inverse, pixels)
    least, most = np.full(len(pixels), np.inf), np.full(len(pixels), -np.inf)
    np.minimum.at(least, inverse, values)
    np.maximum.at(most, inverse, values)
    return np.stack([mean, np.sqrt(spread), least, most], axis=1)


def _boxes(
    inverse: NDArray[np.intp], rows: NDArray[np.intp], cols: NDArray[np.intp], count: int
) -> NDArray[np.int64]:
    boxes = np.zeros((count, 4), np.int64)
    boxes[:, :2] = np.iinfo(np.int64).max
    for column, places in enumerate((rows, cols)):
        np.minimum.at(boxes[:, column], inverse, places)
        np.maximum.at(boxes[:, column + 2], inverse, places + 1)
    return boxes
