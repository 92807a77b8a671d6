"""Which of many overlapping masks are kept: thresholds, crop edges, non-maximum suppression, small regions.

Kirillov et al. 2023 (arXiv:2304.02643), appendix B. Numpy only: no model, no images.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.candidates import RawCandidates, run_lengths_in_box
from napari_segany.engine.progress import Progress, Steps
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths

EDGE_TOLERANCE = 20
"""Pixels from a crop's edge within which a box counts as touching it, as in the published generator."""

_BEST_AT_A_TIME = 64

Indices = NDArray[np.int64]


def passes(candidates: RawCandidates, settings: AutomaticSettings) -> NDArray[np.bool_]:
    """Tell for each candidate, (N,), whether its scores, its area and the edges of its crop let it stay.

    Raises
    ------
    ValueError
        For settings that need other questions than those that were asked.
    """
    if not candidates.settings.asks_as(settings):
        raise ValueError(
            "the settings ask other points, crops or another stability_score_offset than the candidates were made "
            "with; ask the model again with candidate_steps"
        )
    keep = candidates.areas > 0
    if settings.pred_iou_thresh > 0:
        keep &= candidates.predicted_iou > settings.pred_iou_thresh
    if settings.stability_score_thresh > 0:
        keep &= candidates.stability_score >= settings.stability_score_thresh
    if settings.max_mask_area_fraction is not None:
        keep &= candidates.areas < settings.max_mask_area_fraction * math.prod(candidates.image_shape)
    return keep & ~touches_inner_edge(candidates.boxes, candidates.crop_boxes, candidates.image_shape)


def touches_inner_edge(boxes: Indices, crop_boxes: Indices, image_shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell which boxes come close to an edge of their crop that is no edge of the image.

    Parameters
    ----------
    boxes, crop_boxes : numpy.ndarray
        (N, 4) (row_min, col_min, row_max, col_max) in pixels of the image, half-open.
    image_shape : (int, int)
        (H, W).
    """
    # The published generator compares the mask's last pixel with the end of the crop.
    last = boxes - np.array([0, 0, 1, 1])
    image = np.array([0, 0, *image_shape])
    near_crop = np.abs(last - crop_boxes) <= EDGE_TOLERANCE
    near_image = np.abs(last - image) <= EDGE_TOLERANCE
    return (near_crop & ~near_image).any(axis=1)


def suppress(boxes: Indices, scores: NDArray[np.floating], threshold: float) -> Indices:
    """Return the boxes that no better box overlaps by more than an IoU, best first (non-maximum suppression).

    Parameters
    ----------
    boxes : numpy.ndarray
        (N, 4) (row_min, col_min, row_max, col_max), half-open. Sides are measured between pixel centres, so one
        pixel less, as the published generator does.
    scores : numpy.ndarray
        (N,); of equal ones the first is the better.
    threshold : float
        IoU above which the lower score gives way.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    sides = (boxes[order] - np.array([0, 0, 1, 1])).astype(np.float64)
    waiting = np.arange(len(order))
    kept = [np.zeros(0, np.int64)]
    while len(waiting):
        # Some of the best at a time: a pass over all others for each one would take longer than the arithmetic.
        best, waiting = waiting[:_BEST_AT_A_TIME], waiting[_BEST_AT_A_TIME:]
        stays = np.ones(len(best), bool)
        for number, overlapped in enumerate(_overlaps(sides[best], sides[best], threshold)):
            if stays[number]:
                stays[number + 1 :] &= ~overlapped[number + 1 :]
        kept.append(best[stays])
        waiting = waiting[~_overlaps(sides[best[stays]], sides[waiting], threshold).any(axis=0)]
    return order[np.concatenate(kept)]


def _overlaps(some: NDArray[np.float64], others: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Tell, (N, M), which of N and M boxes (top, left, bottom, right) overlap by more than an IoU."""
    top, left, bottom, right = (np.ascontiguousarray(side) for side in others.T)
    result = (some[:, 2, None] > top) & (bottom > some[:, 0, None])  # most pairs do not even share rows
    row, other = np.nonzero(result)
    here = some[row].T
    heights = np.minimum(here[2], bottom[other]) - np.maximum(here[0], top[other])
    widths = np.minimum(here[3], right[other]) - np.maximum(here[1], left[other])
    shared = heights * np.maximum(widths, 0)
    areas = (here[2] - here[0]) * (here[3] - here[1]) + ((bottom - top) * (right - left))[other]
    result[row, other] = shared > threshold * (areas - shared)
    return result


def chosen(candidates: RawCandidates, settings: AutomaticSettings) -> Indices:
    """Return the numbers of the candidates that stay, before regions are cleaned.

    Thresholds first; then, within each crop, the better of two that overlap; then, across crops, the one of the
    smaller crop.

    Raises
    ------
    ValueError
        For settings that need other questions than those that were asked.
    """
    passing = np.flatnonzero(passes(candidates, settings))
    scores = _ranking_scores(candidates, settings)
    crops = np.array([candidates.items[index].crop for index in passing], np.int64)
    kept = [np.zeros(0, np.int64)]
    for number in range(len(candidates.crops)):
        members = passing[crops == number]
        kept.append(members[suppress(candidates.boxes[members], scores[members], settings.box_nms_thresh)])
    result = np.concatenate(kept)
    if len(candidates.crops) > 1:
        smallness = np.array([-candidates.crops[candidates.items[index].crop].area for index in result], np.float64)
        result = result[suppress(candidates.boxes[result], smallness, settings.crop_nms_thresh)]
    return result


def record_steps(candidates: RawCandidates, settings: AutomaticSettings) -> Steps[list[MaskRecord]]:
    """Return the records of the candidates that stay, with progress in masks.

    Where `min_mask_region_area` is given, their regions are cleaned, and masks that have come to overlap are
    suppressed again; those that cleaning left alone are preferred. Pixels that may not be labelled are taken away
    last, and with them masks of which nothing is left.

    Raises
    ------
    ValueError
        For settings that need other questions than those that were asked.
    """
    indices = chosen(candidates, settings)
    allowed = None if candidates.allowed is None else candidates.allowed.decode()
    masks: list[RunLengths] = []
    changed: list[bool] = []
    for done, index in enumerate(indices):
        yield Progress(done, len(indices), f"Writing mask {done + 1} of {len(indices)}")
        original = candidates.run_lengths(int(index))
        cleaned = candidates.cleaned(int(index), settings.min_mask_region_area, clean_regions)
        masks.append(cleaned)
        changed.append(cleaned is not original)
    order = np.arange(len(indices))
    if settings.min_mask_region_area > 0:
        boxes = np.array([mask.bbox for mask in masks], np.int64).reshape(-1, 4)
        threshold = max(settings.box_nms_thresh, settings.crop_nms_thresh)
        order = suppress(boxes, -np.array(changed, np.float64), threshold)
    make = partial(_record, candidates, allowed)
    records = [candidates.record(int(indices[number]), masks[number], make) for number in order]
    return [record for record in records if record.area > 0]


def clean_regions(mask: RunLengths, least_area: int) -> RunLengths:
    """Fill holes and drop islands of fewer pixels than `least_area`; the mask itself where there are none.

    Regions are connected over edges and corners. A mask of small islands only keeps its largest.
    """
    if least_area <= 0 or mask.area == 0:
        return mask
    box = _with_margin(mask, least_area)
    window = mask.window(box)
    filled = _without_small(~window, least_area, keep_largest=False)
    cleaned = _without_small(~filled, least_area, keep_largest=True)
    if np.array_equal(cleaned, window):
        return mask
    return run_lengths_in_box(cleaned, box, mask.size)


def _with_margin(mask: RunLengths, least_area: int) -> tuple[int, int, int, int]:
    """Widen the box so far that background which leaves it is not small: it holds a whole strip of margin."""
    top, left, bottom, right = mask.bbox
    rows, cols = math.ceil(least_area / (right - left)), math.ceil(least_area / (bottom - top))
    height, width = mask.size
    return max(0, top - rows), max(0, left - cols), min(height, bottom + rows), min(width, right + cols)


def _without_small(regions: NDArray[np.bool_], least_area: int, *, keep_largest: bool) -> NDArray[np.bool_]:
    from skimage.measure import label

    labels = label(regions, connectivity=2)
    areas = np.bincount(labels.ravel())
    large = areas >= least_area
    if keep_largest and len(areas) > 1 and not large[1:].any():
        large[1 + int(np.argmax(areas[1:]))] = True
    large[0] = False
    result: NDArray[np.bool_] = large[labels]
    return result


def _ranking_scores(candidates: RawCandidates, settings: AutomaticSettings) -> NDArray[np.floating]:
    if settings.ranking == "predicted_iou":
        return candidates.predicted_iou
    if settings.ranking == "stability_score":
        return candidates.stability_score
    return (candidates.predicted_iou + candidates.stability_score) / 2


def _record(candidates: RawCandidates, allowed: NDArray[np.bool_] | None, index: int, mask: RunLengths) -> MaskRecord:
    item = candidates.items[index]
    if allowed is not None:
        top, left, bottom, right = mask.bbox
        part = mask.window(mask.bbox) & allowed[top:bottom, left:right]
        mask = run_lengths_in_box(part, mask.bbox, mask.size)
    return MaskRecord.from_mask(
        mask,
        predicted_iou=item.predicted_iou,
        stability_score=item.statistics.stability_score,
        prompt={"points": [list(item.point)], "labels": [1]},
        crop_box=candidates.crops[item.crop].box,
    )
