"""Which of overlapping masks shows in a label image, and which mask lies within which. Knows numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.record import MaskRecord

PaintingRule = Literal["smaller", "larger", "better", "separate"]

PAINTING_RULES: tuple[str, ...] = get_args(PaintingRule)
"""Smaller on top, larger on top, better on top, or no overlap."""

COVERED_FRACTION = 0.1
"""With the rule "separate", an object of which better ones cover more than this is left out."""

INSIDE_FRACTION = 0.9
"""A mask lies within another one when this part of its pixels does."""


def paint(
    records: Sequence[MaskRecord],
    labels: Sequence[int],
    shape: tuple[int, int],
    rule: PaintingRule = "smaller",
) -> NDArray[np.uint16] | NDArray[np.uint32] | NDArray[np.uint64]:
    """Paint records into a label image by a rule.

    Parameters
    ----------
    records : sequence of MaskRecord
        The masks, each of the size of the image.
    labels : sequence of int
        The label of each record, from 1.
    shape : (int, int)
        (H, W) of the image, in pixels.
    rule : str
        "smaller", "larger" or "better": which mask shows where several overlap; the better one is that of higher
        predicted IoU, and masks that no model made are better than all others. With "separate" the better one shows
        too, and a mask of which better ones cover more than `COVERED_FRACTION` is left out.

    Returns
    -------
    numpy.ndarray
        (H, W) uint16, or uint32 or uint64 where a label needs it; background is 0.

    Raises
    ------
    ValueError
        For an unknown rule, a label below 1, or another number of labels than records.
    """
    if rule not in PAINTING_RULES:
        raise ValueError(f"the painting rule is {rule!r}; known are {', '.join(PAINTING_RULES)}")
    if len(records) != len(labels) or min(labels, default=1) < 1:
        raise ValueError(f"there are {len(records)} records and {len(labels)} labels; give each one a label from 1")
    top = max(labels, default=0)
    kind = next(kind for kind in (np.uint16, np.uint32, np.uint64) if top <= np.iinfo(kind).max)
    image = np.zeros(shape, kind)
    for index in painting_order(records, rule):
        row_min, col_min, row_max, col_max = box = records[index].bbox
        window = image[row_min:row_max, col_min:col_max]
        mask = records[index].rle.window(box)
        if rule == "separate":
            mask = _uncovered(mask, window)
        window[mask] = labels[index]
    return image


def painting_order(records: Sequence[MaskRecord], rule: PaintingRule) -> list[int]:
    """Return the order in which records are painted: what shows on top comes last, but first for "separate"."""
    order = range(len(records))
    if rule == "smaller":
        return sorted(order, key=lambda index: -records[index].area)
    if rule == "larger":
        return sorted(order, key=lambda index: records[index].area)
    worst_first = sorted(order, key=lambda index: (_quality(records[index]), -index))
    return worst_first[::-1] if rule == "separate" else worst_first


def parents(records: Sequence[MaskRecord]) -> list[int | None]:
    """Return for each record the number of the smallest larger one that it lies within, or None.

    A mask lies within another one when `INSIDE_FRACTION` of its pixels does.
    """
    areas = np.array([record.area for record in records], np.int64)
    boxes = np.array([record.bbox for record in records], np.int64).reshape(-1, 4)
    by_area = np.argsort(areas, kind="stable")
    found: list[int | None] = [None] * len(records)
    for position, index in enumerate(by_area):
        larger = by_area[position + 1 :]
        larger = larger[areas[larger] > areas[index]]
        near = _shared_fraction(boxes[index], boxes[larger]) > 0
        for other in larger[near]:
            if _lies_within(records[index], records[other]):
                found[int(index)] = int(other)
                break
    return found


def _quality(record: MaskRecord) -> float:
    return float("inf") if record.predicted_iou is None else record.predicted_iou


def _uncovered(mask: NDArray[np.bool_], painted: NDArray[np.generic]) -> NDArray[np.bool_]:
    covered = mask & (painted != 0)
    if covered.sum() > COVERED_FRACTION * mask.sum():
        return np.zeros_like(mask)
    return mask & ~covered


def _shared_fraction(box: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
    heights = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
    widths = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    return np.maximum(heights, 0) * np.maximum(widths, 0) / max(1, (box[2] - box[0]) * (box[3] - box[1]))


def _lies_within(inner: MaskRecord, outer: MaskRecord) -> bool:
    box = (
        max(inner.bbox[0], outer.bbox[0]),
        max(inner.bbox[1], outer.bbox[1]),
        min(inner.bbox[2], outer.bbox[2]),
        min(inner.bbox[3], outer.bbox[3]),
    )
    # No more pixels can be shared than the boxes share: most pairs are told apart without their masks.
    if (box[2] - box[0]) * (box[3] - box[1]) < INSIDE_FRACTION * inner.area:
        return False
    shared = int(np.count_nonzero(inner.rle.window(box) & outer.rle.window(box)))
    return shared >= INSIDE_FRACTION * inner.area
