"""Which of many overlapping masks are kept: thresholds, crop edges, non-maximum suppression, small regions.

Kirillov et al. 2023 (arXiv:2304.02643), appendix B. Numpy only: no model, no images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.automatic_presets import PRESETS
from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.box_suppression import suppress
from napari_segany.engine.candidates import RawCandidates, run_lengths_in_box
from napari_segany.engine.progress import Progress, Steps
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths

EDGE_TOLERANCE = 20
"""Pixels from a crop's edge within which a box counts as touching it, as in the published generator."""

_RECORDS_AT_A_TIME = 64
_LOOSE_NMS = 0.95  # overlap of boxes up to which a mask is likely to be kept by some filter
_MOST_LARGE = 100  # large masks that are written in advance

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
    numbers = indices.tolist()
    yield from candidates.write_steps(numbers)
    masks = [candidates.run_lengths(number) for number in numbers]
    order = range(len(numbers))
    if settings.min_mask_region_area > 0:
        originals = masks
        masks = yield from candidates.cleaned_steps(numbers, settings.min_mask_region_area)
        changed = np.array([mask is not one for mask, one in zip(masks, originals, strict=True)], bool)
        boxes = candidates.boxes[indices]
        boxes[changed] = np.reshape([masks[place].bbox for place in np.flatnonzero(changed)], (-1, 4))
        # Those that cleaning left alone do not overlap so far: they have been told apart already.
        threshold = max(settings.box_nms_thresh, settings.crop_nms_thresh)
        order = suppress(boxes, ~changed, threshold, apart=~changed).tolist()
    make = _record_maker(candidates)
    records = [candidates.record(numbers[place], masks[place], make) for place in order]
    return [record for record in records if record.area > 0]


def prepare_steps(candidates: RawCandidates) -> Steps[None]:
    """Do in advance, once, what `record_steps` would do for each mask when it is first kept.

    All masks that are not large are written. Of those that overlap no better one closely, from which filters choose,
    the best large ones are written too, and all of them are cleaned by the limits of the presets.
    """
    scores = _ranking_scores(candidates, candidates.settings)
    likely = suppress(candidates.boxes, scores, _LOOSE_NMS)
    large = likely[candidates.is_large[likely]][:_MOST_LARGE]
    written = yield from candidates.prepare_steps(large.tolist())
    make = _record_maker(candidates)
    for done, index in enumerate(written):
        if done % _RECORDS_AT_A_TIME == 0:
            yield Progress(done, len(written), "Writing the records")
        candidates.record(index, candidates.run_lengths(index), make)
    there = np.intersect1d(likely, written).tolist()
    for limit in sorted({one.settings.min_mask_region_area for one in PRESETS} - {0}):
        cleaned = yield from candidates.cleaned_steps(there, limit)
        for done, (index, mask) in enumerate(zip(there, cleaned, strict=True)):
            if done % _RECORDS_AT_A_TIME == 0:
                yield Progress(done, len(there), "Writing the records")
            candidates.record(index, mask, make)


def _ranking_scores(candidates: RawCandidates, settings: AutomaticSettings) -> NDArray[np.floating]:
    if settings.ranking == "predicted_iou":
        return candidates.predicted_iou
    if settings.ranking == "stability_score":
        return candidates.stability_score
    return (candidates.predicted_iou + candidates.stability_score) / 2


def _record_maker(candidates: RawCandidates) -> Callable[[int, RunLengths], MaskRecord]:
    return partial(_record, candidates, None if candidates.allowed is None else candidates.allowed.decode())


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
