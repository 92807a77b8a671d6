"""Which of many overlapping masks are kept: thresholds, crop edges, non-maximum suppression, small regions.

Kirillov et al. 2023 (arXiv:2304.02643), appendix B. Numpy only: no model, no images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
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
_MOST_LARGE = 100  # large masks that are written while the user waits for the first result
_REST_AT_A_TIME = 4  # of the others: a step may not take long
_PRESET_LIMITS = tuple(sorted({one.settings.min_mask_region_area for one in PRESETS} - {0}))
_LARGEST_LIMIT = 1000  # what it leaves of most masks is what all limits beyond those of the presets leave

REST_BYTES = 256 << 20
"""Memory of the candidates of an image up to which all of them are prepared."""

Indices = NDArray[np.int64]
_Make = Callable[[int, RunLengths], MaskRecord]


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
    the best large ones are written too, and all of them are cleaned by the limits of the presets. What is left is
    for `prepare_rest_steps`.
    """
    likely = _likely(candidates)
    large = likely[candidates.is_large[likely]][:_MOST_LARGE]
    indices = np.union1d(np.flatnonzero(~candidates.is_large), large)
    written = yield from candidates.prepare_steps(indices.tolist())
    make = _record_maker(candidates)
    yield from _keep_records(candidates, make, written, [candidates.run_lengths(index) for index in written])
    yield from _clean_steps(candidates, make, np.intersect1d(likely, written).tolist(), _PRESET_LIMITS)


def prepare_rest_steps(candidates: RawCandidates, most_bytes: int = REST_BYTES) -> Steps[None]:
    """Do in advance for all other masks, a few at a time, what `prepare_steps` does for the first.

    Those that filters are likely to keep come first, the best before the others. What is there already is passed
    over, so that it can be closed at any time and begun again. Another thread may filter meanwhile.

    Parameters
    ----------
    candidates : RawCandidates
        The masks.
    most_bytes : int
        What `candidates.nbytes` may grow to; masks that are then left are written when they are kept.
    """
    yield Progress(0, len(candidates), "Preparing the other masks")
    likely = _likely(candidates)
    scores = _ranking_scores(candidates, candidates.settings)
    others = np.setdiff1d(np.flatnonzero(candidates.areas > 0), likely)
    order = np.concatenate([likely, others[np.argsort(-scores[others], kind="stable")]]).tolist()
    make = _record_maker(candidates)
    for start in range(0, len(order), _REST_AT_A_TIME):
        yield Progress(start, len(order), "Preparing the other masks")
        if start % (_REST_AT_A_TIME * _RECORDS_AT_A_TIME) == 0 and candidates.nbytes > most_bytes:
            return
        written = yield from candidates.prepare_steps(order[start : start + _REST_AT_A_TIME])
        yield from _keep_records(candidates, make, written, [candidates.run_lengths(index) for index in written])
        yield from _clean_steps(candidates, make, written, (*_PRESET_LIMITS, _LARGEST_LIMIT))


def _likely(candidates: RawCandidates) -> Indices:
    """Return the masks that overlap no better one closely, best first."""
    return suppress(candidates.boxes, _ranking_scores(candidates, candidates.settings), _LOOSE_NMS)


def _clean_steps(candidates: RawCandidates, make: _Make, indices: list[int], limits: tuple[int, ...]) -> Steps[None]:
    for limit in limits:
        cleaned = yield from candidates.cleaned_steps(indices, limit)
        yield from _keep_records(candidates, make, indices, cleaned)


def _keep_records(
    candidates: RawCandidates, make: _Make, indices: list[int], masks: list[RunLengths]
) -> Iterator[Progress]:
    for done, (index, mask) in enumerate(zip(indices, masks, strict=True)):
        if done % _RECORDS_AT_A_TIME == 0:
            yield Progress(done, len(indices), "Writing the records")
        candidates.record(index, mask, make)


def _ranking_scores(candidates: RawCandidates, settings: AutomaticSettings) -> NDArray[np.floating]:
    if settings.ranking == "predicted_iou":
        return candidates.predicted_iou
    if settings.ranking == "stability_score":
        return candidates.stability_score
    return (candidates.predicted_iou + candidates.stability_score) / 2


def _record_maker(candidates: RawCandidates) -> _Make:
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
