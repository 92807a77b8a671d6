"""Whether an object has divided: a suspicion from its mask, and a question to the model that settles it.

Suspicious is a mask that has come apart, and one of which the model is less sure than before: models that are shown
the undivided mask like to answer with it, and predict a lower IoU. Then the two parts are asked for, each by a point
on itself and a background point on the other. Where they are one thing, the answers overlap or touch each other;
where they are two, they are apart. A division whose one child the model forgets without a doubt is not seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segany.engine.prompts import BACKGROUND, FOREGROUND, Prompt
from napari_segany.engine.propagation_asking import Answer, mask_iou
from napari_segany.engine.propagation_settings import PropagationSettings
from napari_segany.formats.record import MaskRecord

DOUBT = 0.9
"""Predicted IoU, as a part of the highest so far, under which a mask is suspicious."""

_MOST_SHARED = 0.1  # IoU of the answers to two things
_LEAST_WITHIN = 0.5  # part of each answer that lies on the undivided mask


def division_prompts(record: MaskRecord, settings: PropagationSettings) -> list[Prompt]:
    """Return the two questions that tell whether a mask is of two things; none for a mask that is too small.

    The parts are those that have come apart, or the halves on both sides of the middle across the longest axis.
    """
    parts = separate_parts(record, settings.division_gap, settings.division_share) or _halves(record)
    if parts is None:
        return []
    return [
        Prompt.checked([own, other], [FOREGROUND, BACKGROUND], image_shape=record.rle.size)
        for own, other in (parts, parts[::-1])
    ]


def is_division(whole: MaskRecord, answers: Sequence[Answer], settings: PropagationSettings) -> bool:
    """Tell whether two answers are two things that a mask has divided into.

    Both must be predicted well enough, lie on the mask for the most part, be large enough of it, and be apart.
    """
    first, second = (answer.record for answer in answers)
    for part in (first, second):
        if part.predicted_iou is None or part.predicted_iou < settings.min_predicted_iou:
            return False
        if part.area < max(settings.min_area, settings.division_share * whole.area):
            return False
        if _shared(part, whole) < _LEAST_WITHIN * part.area:
            return False
    return mask_iou(first, second) <= _MOST_SHARED and distance(first, second) >= settings.division_gap


def separate_parts(
    record: MaskRecord, gap: float, share: float
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return the centroids (row, col) of the two parts of a mask that has come apart; None for any other mask.

    Parameters
    ----------
    record : MaskRecord
        The mask.
    gap : float
        Least distance between the two, as `distance` has it. Parts that are nearer to each other count as one.
    share : float
        Least part of the mask's pixels in each. What is left over goes to neither.
    """
    mask = record.rle.window(record.bbox)
    pieces, count = ndimage.label(mask, np.ones((3, 3)))
    if count < 2:
        return None
    groups = [np.isin(pieces, members) for members in _joined(pieces, count, gap)]
    large = [group for group in groups if np.count_nonzero(group) >= share * record.area]
    if len(large) != 2:
        return None
    first, second = (_centroid(np.argwhere(group), record) for group in large)
    return first, second


def distance(first: MaskRecord, second: MaskRecord) -> float:
    """Return how far two masks that are not empty are apart, between the centres of their nearest pixels."""
    box = (
        min(first.bbox[0], second.bbox[0]),
        min(first.bbox[1], second.bbox[1]),
        max(first.bbox[2], second.bbox[2]),
        max(first.bbox[3], second.bbox[3]),
    )
    away: NDArray[np.float64] = ndimage.distance_transform_edt(~first.rle.window(box))
    return float(away[second.rle.window(box)].min())


def _halves(record: MaskRecord) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return the centroids of the pixels on both sides of the middle, across the longest axis."""
    positions = np.argwhere(record.rle.window(record.bbox)).astype(float)
    if len(positions) < 2:
        return None
    centred = positions - positions.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    beyond = centred @ axes[:, -1] > 0
    return _centroid(positions[~beyond], record), _centroid(positions[beyond], record)


def _centroid(positions: NDArray[np.generic], record: MaskRecord) -> tuple[float, float]:
    row, col = positions.mean(axis=0) + record.bbox[:2]
    return float(row), float(col)


def _shared(first: MaskRecord, second: MaskRecord) -> int:
    return int(np.count_nonzero(first.rle.window(first.bbox) & second.rle.window(first.bbox)))


def _joined(pieces: NDArray[np.integer], count: int, gap: float) -> list[list[int]]:
    """Return the numbers of pieces in groups that are nearer to each other than `gap` pixels."""
    group_of = list(range(count + 1))
    for number in range(1, count + 1):
        away = ndimage.distance_transform_edt(pieces != number)
        for other in np.unique(pieces[(away < gap) & (pieces > number)]).tolist():
            old, new = group_of[other], group_of[number]
            group_of = [new if group == old else group for group in group_of]
    members: dict[int, list[int]] = {}
    for number in range(1, count + 1):
        members.setdefault(group_of[number], []).append(number)
    return list(members.values())
