"""The masks behind a Labels layer: what flattening hides, corrected by what was painted since.

A Labels layer has one number per pixel, so of nested masks the larger one loses the pixels under the smaller one. The
masks themselves are kept in the layer's metadata, under `MASKS_KEY`. Knows neither napari nor Qt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.labels import run_lengths_by_label
from napari_segany.formats.painting import PaintingRule, paint
from napari_segany.formats.record import MaskRecord

MASKS_KEY = "napari_segany_masks"
"""Key of a Labels layer's metadata whose value is a `KeptMasks`."""

PlaneIndex = tuple[int, ...]


@dataclass(frozen=True)
class KeptMask:
    """A mask with its number in the layer.

    Attributes
    ----------
    label : int
        Its number.
    record : MaskRecord
        The whole mask, of the plane's size.
    is_crowd : bool
        Whether it covers many objects that nobody told apart (COCO's iscrowd).
    """

    label: int
    record: MaskRecord
    is_crowd: bool = False


@dataclass(frozen=True, eq=False)
class KeptMasks:
    """The masks of a Labels layer, and what its file says besides.

    Attributes
    ----------
    planes : Mapping
        The masks by the indices of the plane along the leading axes; those of a 2-D layer under ().
    rule : str
        By which rule of `formats.painting` the layer was painted.
    file_name : str
        The image's file name.
    categories : Mapping
        Names of categories by their numbers, also of those without an object.
    image_id : int
        The image's number in its data set.
    extra : Mapping
        Further fields of the image, as plain values for JSON.
    other_axes : tuple of int, optional
        The axes of slices whose masks are not among them, because they do not lie along the last two axes.
    """

    planes: Mapping[PlaneIndex, tuple[KeptMask, ...]]
    rule: PaintingRule = "smaller"
    file_name: str = ""
    categories: Mapping[int, str] = field(default_factory=dict)
    image_id: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)
    other_axes: tuple[int, int] | None = None


def painted(
    masks: Sequence[KeptMask], size: tuple[int, int], rule: PaintingRule = "smaller"
) -> NDArray[np.uint16] | NDArray[np.uint32] | NDArray[np.uint64]:
    """Return (H, W) labels of the masks, by one of the rules of `formats.painting`."""
    return paint([mask.record for mask in masks], [mask.label for mask in masks], size, rule)


def present_masks(
    labels: NDArray[np.integer[Any]], kept: Sequence[KeptMask] = (), rule: PaintingRule = "smaller"
) -> list[KeptMask]:
    """Return the masks of a plane as they are now, kept ones in their order, then those that were painted since.

    A pixel that differs from what the kept masks look like was painted: it belongs to the label that it has now and
    to no other mask. All other pixels belong to every kept mask that holds them, visible or not. A kept mask that was
    visible and of which no pixel is left was deleted. Kept masks of another size than the plane are of no use.

    Parameters
    ----------
    labels : numpy.ndarray
        (H, W) integers, 0 background.
    kept : sequence of KeptMask
        The masks that the plane was painted from.
    rule : str
        By which rule of `formats.painting`.
    """
    size = (labels.shape[0], labels.shape[1])
    if not kept or any(mask.record.rle.size != size for mask in kept):
        return [KeptMask(label, MaskRecord.from_mask(rle)) for label, rle in run_lengths_by_label(labels).items()]
    before = painted(kept, size, rule)
    changed = labels != before
    if not changed.any():
        return list(kept)
    deleted = set(np.unique(before).tolist()) - set(np.unique(labels).tolist())
    drawn = run_lengths_by_label(np.where(changed, labels, 0))
    remaining = [
        _corrected(mask, labels, changed) if mask.label in drawn or _is_touched(mask, changed) else mask
        for mask in kept
        if mask.label not in deleted
    ]
    numbers = {mask.label for mask in remaining}
    new = [KeptMask(label, MaskRecord.from_mask(rle)) for label, rle in drawn.items() if label not in numbers]
    return remaining + new


def _is_touched(mask: KeptMask, changed: NDArray[np.bool_]) -> bool:
    """Return whether something was painted within the mask's box: most masks of a large image need no decoding."""
    row_min, col_min, row_max, col_max = mask.record.bbox
    return bool(changed[row_min:row_max, col_min:col_max].any())


def _corrected(mask: KeptMask, labels: NDArray[np.integer[Any]], changed: NDArray[np.bool_]) -> KeptMask:
    whole = mask.record.mask
    now = np.where(changed, labels == mask.label, whole)
    if np.array_equal(now, whole):
        return mask
    record = MaskRecord.from_mask(
        now,
        predicted_iou=mask.record.predicted_iou,
        stability_score=mask.record.stability_score,
        prompt=mask.record.prompt,
        crop_box=mask.record.crop_box,
    )
    return replace(mask, record=record)
