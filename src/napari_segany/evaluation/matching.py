"""Which predicted masks are which annotated objects: overlaps and a greedy matching, as COCO's evaluation does it.

Lin et al. 2014 (doi:10.1007/978-3-319-10602-1_48) and pycocotools' COCOeval. Masks may overlap each other, annotated
objects of a label image do not. Knows no models and no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths

THRESHOLDS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""COCO's thresholds of IoU, 0.5 to 0.95 in steps of 0.05."""


def ranked(records: Sequence[MaskRecord]) -> list[MaskRecord]:
    """Return masks by falling predicted IoU; equal ones in their order, those without one last."""
    return sorted(records, key=lambda record: np.inf if record.predicted_iou is None else -record.predicted_iou)


def overlaps(records: Sequence[MaskRecord], labels: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return the IoU of M masks with the N objects of a label image.

    Parameters
    ----------
    records : sequence of MaskRecord
        The masks, each of the size of the image.
    labels : numpy.ndarray
        (H, W) integers, 0 background.

    Returns
    -------
    numpy.ndarray
        (M, N) float64, 0 to 1; objects by ascending number.

    Raises
    ------
    ValueError
        For a mask of another size.
    """
    numbers, dense = np.unique(np.append(labels.ravel(), 0), return_inverse=True)
    background = int(np.searchsorted(numbers, 0))
    dense = dense[:-1].reshape(labels.shape)
    areas = np.bincount(dense.ravel(), minlength=len(numbers))
    iou = np.zeros((len(records), len(numbers)))
    for row, record in enumerate(records):
        if record.rle.size != labels.shape:
            raise ValueError(f"a mask has the size {record.rle.size} and its label image {labels.shape}")
        top, left, bottom, right = record.bbox
        window = dense[top:bottom, left:right][record.rle.window(record.bbox)]
        shared = np.bincount(window, minlength=len(numbers))
        iou[row] = shared / np.maximum(areas + record.area - shared, 1)
    return np.delete(iou, background, axis=1)


def mask_overlaps(records: Sequence[MaskRecord], masks: Sequence[RunLengths]) -> NDArray[np.float64]:
    """Return the IoU of M masks with N masks of objects that may overlap each other.

    Parameters
    ----------
    records : sequence of MaskRecord
        The masks.
    masks : sequence of RunLengths
        The objects, of the same size as the masks.

    Returns
    -------
    numpy.ndarray
        (M, N) float64, 0 to 1.

    Raises
    ------
    ValueError
        For masks of different sizes.
    """
    iou = np.zeros((len(records), len(masks)))
    if not records or not masks:
        return iou
    sizes = {one.size for one in masks} | {record.rle.size for record in records}
    if len(sizes) > 1:
        raise ValueError(f"masks and objects have the sizes {', '.join(map(str, sorted(sizes)))}; they must be equal")
    objects = np.stack([one.decode() for one in masks])
    areas, boxes = objects.sum(axis=(1, 2)), np.array([one.bbox for one in masks])
    for row, record in enumerate(records):
        top, left, bottom, right = record.bbox
        near = (boxes[:, 0] < bottom) & (boxes[:, 2] > top) & (boxes[:, 1] < right) & (boxes[:, 3] > left)
        inside = record.rle.window(record.bbox)
        shared = objects[near, top:bottom, left:right][:, inside].sum(axis=1)
        iou[row, near] = shared / np.maximum(areas[near] + record.area - shared, 1)
    return iou


def matches(iou: NDArray[np.float64], threshold: float) -> int:
    """Return how many masks find an object of their own.

    One mask after the other takes, of the objects that no mask before it took, the one that it overlaps most, if
    their IoU reaches the threshold. Of equal ones it takes the last, as COCOeval does.

    Parameters
    ----------
    iou : numpy.ndarray
        (M, N), masks by falling rank.
    threshold : float
        Least IoU of a match.
    """
    if iou.shape[1] == 0:
        return 0
    free = np.ones(iou.shape[1], bool)
    found = 0
    for row in iou:
        offered = np.where(free, row, -1.0)
        best = offered.size - 1 - int(np.argmax(offered[::-1]))
        if offered[best] >= min(threshold, 1 - 1e-10):
            free[best] = False
            found += 1
    return found


def recalled(iou: NDArray[np.float64], masks: int) -> int:
    """Return how many objects the first `masks` masks find, summed over COCO's ten thresholds.

    Divided by ten times the number of objects it is the average recall.
    """
    return sum(matches(iou[:masks], threshold) for threshold in THRESHOLDS)
