from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import label

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.box_suppression import suppress
from napari_segany.engine.candidates import Candidate, RawCandidates, run_lengths_in_box
from napari_segany.engine.crops import Crop
from napari_segany.engine.filtering import (
    chosen,
    passes,
    prepare_rest_steps,
    prepare_steps,
    record_steps,
    touches_inner_edge,
)
from napari_segany.engine.mask_regions import NO_REGION, smallest_regions, without_small_regions
from napari_segany.engine.mask_statistics import mask_statistics
from napari_segany.engine.progress import drain
from napari_segany.engine.upsampling import Upsampling
from napari_segany.formats.rle import RunLengths

SHAPE = (64, 64)
EVERY = AutomaticSettings(pred_iou_thresh=0, stability_score_thresh=0, max_mask_area_fraction=None)


def candidate(upsampling, box, iou, *, crop=0, slope=9.0):
    """A rectangle drawn in logits of +-slope."""
    logits = np.full(SHAPE, -slope, np.float32)
    logits[box[0] : box[2], box[1] : box[3]] = slope
    window = upsampling.window(logits, -1.0)
    return Candidate(crop, (float(box[0]), float(box[1])), iou, mask_statistics(upsampling, window, 0.0, 1.0), window)


WHOLE = (Crop((0, 0, 64, 64), 0),)


def raw(*drawings, crops=WHOLE, allowed=None):
    upsampling = Upsampling(SHAPE, (256, 256), SHAPE)
    items = tuple(candidate(upsampling, *args, **kwargs) for args, kwargs in drawings)
    return RawCandidates(SHAPE, EVERY, crops, (upsampling,) * len(crops), items, 0.0, allowed)


def draw(*args, **kwargs):
    return args, kwargs


def naive(boxes, scores, threshold):
    """Each pair by itself, with the areas between pixel centres."""

    def iou(a, b):
        sides = [min(a[i + 2], b[i + 2]) - max(a[i], b[i]) - 1 for i in (0, 1)]
        shared = max(sides[0], 0) * max(sides[1], 0)
        area = sum((box[2] - box[0] - 1) * (box[3] - box[1] - 1) for box in (a, b)) - shared
        return shared / area if area else 0.0

    kept = []
    for index in sorted(range(len(boxes)), key=lambda index: (-scores[index], index)):
        if all(iou(boxes[index], boxes[other]) <= threshold for other in kept):
            kept.append(index)
    return kept


@settings(deadline=None)
@given(
    sides=st.lists(st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 12)] * 2), max_size=25),
    seed=st.integers(0, 1000),
    threshold=st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]),
)
def test_suppression_is_that_of_a_naive_version(sides, seed, threshold):
    boxes = np.array([(r, c, r + h, c + w) for r, c, h, w in sides], np.int64).reshape(-1, 4)
    scores = np.random.default_rng(seed).integers(0, 5, len(boxes)) / 4
    assert list(suppress(boxes, scores, threshold)) == naive(boxes.tolist(), scores, threshold)


def test_scores_and_area_decide_as_the_parameters_say():
    found = raw(draw((5, 5, 15, 15), 0.9), draw((0, 0, 64, 64), 0.9), draw((30, 30, 40, 40), 0.5))
    assert list(passes(found, EVERY)) == [True, True, True]
    assert list(passes(found, EVERY.replaced(pred_iou_thresh=0.5))) == [True, True, False]
    assert list(passes(found, EVERY.replaced(max_mask_area_fraction=0.95))) == [True, False, True]
    weak = raw(draw((5, 5, 15, 15), 0.9, slope=1.2))
    score = weak.stability_score[0]
    assert 0 < score < 1
    assert list(passes(weak, EVERY.replaced(stability_score_thresh=float(score)))) == [True]
    assert list(passes(weak, EVERY.replaced(stability_score_thresh=float(score) + 0.01))) == [False]


def test_empty_masks_never_stay():
    assert not passes(raw(draw((5, 5, 5, 5), 0.9)), EVERY).any()


@pytest.mark.parametrize(
    ("box", "touches"),
    [
        ((0, 60, 30, 90), False),  # the upper edge of the crop is that of the image
        ((60, 60, 99, 90), True),  # the lower edge is inside of the image
        ((60, 60, 70, 90), False),
        ((60, 45, 70, 60), True),
    ],
)
def test_masks_at_an_inner_edge_of_their_crop_are_dropped(box, touches):
    crop = np.array([[0, 30, 100, 200]])
    assert touches_inner_edge(np.array([box]), crop, (300, 300))[0] == touches


def test_the_better_of_two_that_overlap_stays_and_ranking_says_which_is_better():
    found = raw(draw((5, 5, 25, 25), 0.7), draw((5, 5, 25, 26), 0.8, slope=1.2), draw((40, 40, 50, 50), 0.1))
    assert list(chosen(found, EVERY)) == [1, 2]
    assert list(chosen(found, EVERY.replaced(ranking="stability_score"))) == [0, 2]


def test_across_crops_the_smaller_crop_wins():
    crops = (Crop((0, 0, 64, 64), 0), Crop((0, 0, 64, 63), 1))
    found = raw(draw((2, 2, 22, 22), 0.9), draw((2, 2, 22, 22), 0.3, crop=1), crops=crops)
    assert list(chosen(found, EVERY)) == [1]


def test_pixels_that_are_not_allowed_are_not_labelled():
    allowed = np.ones(SHAPE, bool)
    allowed[:, 10:] = False
    found = raw(draw((5, 5, 25, 25), 0.7), draw((40, 40, 50, 50), 0.6), allowed=RunLengths.from_mask(allowed))
    (record,) = drain(record_steps(found, EVERY))
    assert record.bbox == (5, 5, 25, 10)
    assert record.area == 100


def test_other_questions_need_the_model():
    with pytest.raises(ValueError, match="ask the model again"):
        chosen(raw(draw((5, 5, 25, 25), 0.7)), EVERY.replaced(points_per_side=7))


def test_small_holes_are_filled_and_small_islands_dropped():
    mask = np.zeros((40, 60), bool)
    mask[5:30, 5:40] = True
    expected = mask.copy()
    mask[10:12, 10:12] = False  # a hole of 4
    mask[15:20, 20:30] = expected[15:20, 20:30] = False  # a hole of 50
    mask[35, 50:53] = True  # an island of 3
    (cleaned,) = without_small_regions([RunLengths.from_mask(mask)], 10)
    np.testing.assert_array_equal(cleaned.mask.decode(), expected)
    assert (cleaned.above, cleaned.up_to) == (4, 50), "any limit from 5 to 50 gives the same"
    assert [int(value[0]) for value in smallest_regions([RunLengths.from_mask(mask)])] == [4, 3]
    assert [int(value[0]) for value in smallest_regions([cleaned.mask])] == [50, NO_REGION]


def test_of_small_islands_only_the_largest_stays():
    mask = np.zeros((20, 20), bool)
    mask[2, 2:4] = mask[10, 5:10] = mask[15, 1] = True
    (cleaned,) = without_small_regions([RunLengths.from_mask(mask)], 50)
    assert cleaned.mask.bbox == (10, 5, 11, 10)
    assert cleaned.above == 2, "a limit of 2 leaves the island of two pixels"


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), least=st.integers(0, 60))
def test_regions_of_many_masks_are_those_that_scikit_image_finds_in_each(seed, least):
    random = np.random.default_rng(seed)
    shares = random.choice([0.0, 0.05, 0.3, 0.6, 0.95, 1.0], 4)
    noise = random.choice([0.0, 0.02, 0.4], 4)
    masks = [
        ndimage.zoom(random.random((6, 7)) < share, 4, order=0) ^ (random.random((24, 28)) < flipped)
        for share, flipped in zip(shares, noise, strict=True)
    ]
    masks = [RunLengths.from_mask(mask) for mask in masks]
    holes, islands = smallest_regions(masks)
    for mask, cleaned, hole, island in zip(masks, without_small_regions(masks, least), holes, islands, strict=True):
        expected = mask.decode()
        for value, smallest in ((False, hole), (True, island)):
            labels, count = label(mask.decode() == value, connectivity=2, return_num=True)
            areas = np.bincount(labels.ravel())[1:]
            alone = count == 0 or (value and count == 1)
            assert smallest == (NO_REGION if alone else areas.min())
            labels, count = label(expected == value, connectivity=2, return_num=True)
            areas = np.bincount(labels.ravel())[1:]
            small = [number + 1 for number in range(count) if areas[number] < least]
            if value and count and len(small) == count:
                small.remove(1 + int(np.argmax(areas)))
            expected[np.isin(labels, small)] = not value
        np.testing.assert_array_equal(cleaned.mask.decode(), expected)


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.02, 0.98), least=st.integers(1, 40), other=st.integers(1, 40))
def test_a_cleaned_mask_tells_for_which_limits_it_holds(seed, share, least, other):
    mask = RunLengths.from_mask(np.random.default_rng(seed).random((9, 11)) < share)
    (cleaned,), (again,) = (without_small_regions([mask], limit) for limit in (least, other))
    assert cleaned.holds_for(least)
    if cleaned.holds_for(other):
        assert again.mask == cleaned.mask


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.0, 0.2, 0.9, 1.0]), touching=st.booleans())
def test_run_lengths_from_a_box_are_those_of_the_whole_mask(seed, share, touching):
    random = np.random.default_rng(seed)
    mask = np.zeros((11, 13), bool)
    box = (0, 2, 11, 9) if touching else (3, 0, 7, 13)
    part = random.random((box[2] - box[0], box[3] - box[1])) < share
    mask[box[0] : box[2], box[1] : box[3]] = part
    assert run_lengths_in_box(part, box, mask.shape) == RunLengths.from_mask(mask)


def test_masks_are_cleaned_and_written_once():
    found = raw(draw((5, 5, 25, 25), 0.7), draw((40, 40, 50, 50), 0.6))
    first = drain(record_steps(found, EVERY.replaced(min_mask_region_area=5)))
    again = drain(record_steps(found, EVERY.replaced(min_mask_region_area=5, pred_iou_thresh=0.65)))
    assert again[0] is first[0]


def holed(box, iou, hole=2):
    """A rectangle with a square hole."""
    upsampling = Upsampling(SHAPE, (256, 256), SHAPE)
    logits = np.full(SHAPE, -9.0, np.float32)
    logits[box[0] : box[2], box[1] : box[3]] = 9
    logits[box[0] + 4 : box[0] + 4 + hole, box[1] + 4 : box[1] + 4 + hole] = -9
    window = upsampling.window(logits, -1.0)
    return Candidate(0, (float(box[0]), float(box[1])), iou, mask_statistics(upsampling, window, 0.0, 1.0), window)


def test_what_is_prepared_is_what_filtering_finds_by_itself():
    allowed = np.ones(SHAPE, bool)
    allowed[:, 20:] = False
    items = (holed((5, 5, 25, 25), 0.7), holed((30, 5, 60, 25), 0.6, 8), holed((5, 30, 25, 50), 0.5))
    upsampling = Upsampling(SHAPE, (256, 256), SHAPE)
    made = [
        RawCandidates(SHAPE, EVERY, WHOLE, (upsampling,), items, 0.0, RunLengths.from_mask(allowed)) for _ in range(2)
    ]
    drain(prepare_steps(made[0]))
    for least in (0, 20, 1000, 20):
        first, second = (drain(record_steps(one, EVERY.replaced(min_mask_region_area=least))) for one in made)
        assert [record.to_dict() for record in first] == [record.to_dict() for record in second]
        assert len(first) == 2  # nothing of the third is allowed
    assert [record.area for record in first] == [30 * 15 - 8 * 8, 20 * 15]  # left alone before cleaned


def test_after_preparing_nothing_is_written_or_cleaned_for_the_limits_of_presets():
    upsampling = Upsampling(SHAPE, (256, 256), (1024, 1024))
    logits = np.full((2, *SHAPE), -9.0, np.float32)
    logits[:, 4:50, 4:50] = 9
    logits[1, 40:60, 4:60] = 9
    logits[1, 20, 20] = -3  # a hole of 16 pixels
    windows = [upsampling.window(low, -1.0) for low in logits]
    items = tuple(Candidate(0, (5.0, 5.0), 0.9, mask_statistics(upsampling, one, 0.0, 1.0), one) for one in windows)
    found = RawCandidates((1024, 1024), EVERY, (Crop((0, 0, 1024, 1024), 0),), (upsampling,), items, 0.0)
    assert (found.boxes[:, 2:] - found.boxes[:, :2] > 512).all(), "large masks"
    drain(prepare_steps(found))
    assert smallest_regions([found.run_lengths(1)])[0] == [16]
    for limit in (0, 10, 25, 100, 10):
        assert list(record_steps(found, EVERY.replaced(min_mask_region_area=limit, box_nms_thresh=0.9))) == []


@pytest.mark.parametrize("count", [40, 700])
@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.5])
def test_suppression_of_many_boxes_of_which_some_are_known_to_be_apart(count, threshold):
    random = np.random.default_rng(count)
    corners = random.integers(0, 300, (count, 2))
    boxes = np.concatenate([corners, corners + random.integers(1, 40, (count, 2))], axis=1)
    scores = random.random(count)
    assert list(suppress(boxes, scores, threshold)) == naive(boxes.tolist(), scores, threshold)
    settled = suppress(boxes[: count // 2], scores[: count // 2], threshold)
    order = np.concatenate([settled, np.arange(count // 2, count)])
    apart = np.arange(len(order)) < len(settled)
    found = suppress(boxes[order], apart, threshold, apart=apart)
    assert list(found) == naive(boxes[order].tolist(), apart.astype(float), threshold)


def large_and_small(count=24):
    """Nested large and small masks with holes of several sizes."""
    upsampling = Upsampling(SHAPE, (256, 256), (1024, 1024))
    windows = []
    for number in range(count):
        logits = np.full(SHAPE, -9.0, np.float32)
        side = 12 + 2 * (number % 24)
        logits[4 : 4 + side, 4 : 4 + side] = 9
        logits[8, 8 : 9 + number % 4] = -9
        windows.append(upsampling.window(logits, -1.0))
    items = tuple(
        Candidate(0, (4.0, 4.0), 0.5 + number / 100, mask_statistics(upsampling, one, 0.0, 1.0), one)
        for number, one in enumerate(windows)
    )
    return RawCandidates((1024, 1024), EVERY, (Crop((0, 0, 1024, 1024), 0),), (upsampling,), items, 0.0)


def test_filtering_while_the_rest_is_prepared_gives_what_it_gives_alone():
    choices = [
        EVERY.replaced(box_nms_thresh=overlap, min_mask_region_area=least)
        for overlap in (0.5, 0.9, 1.0)
        for least in (0, 100, 400)
    ]
    alone = [[one.to_dict() for one in drain(record_steps(large_and_small(), choice))] for choice in choices]
    shared = large_and_small()
    thread = threading.Thread(target=drain, args=(prepare_rest_steps(shared),))
    thread.start()
    found = [[one.to_dict() for one in drain(record_steps(shared, choice))] for choice in choices]
    thread.join()
    assert found == alone
    # One step of the one between the steps of the other, wherever they meet.
    for offset in range(4):
        shared = large_and_small()
        rest = prepare_rest_steps(shared)
        for _ in range(offset):
            next(rest)
        for choice, expected in zip(choices, alone, strict=True):
            records = drain(record_steps(shared, choice), lambda _, rest=rest: next(rest, None))
            assert [one.to_dict() for one in records] == expected


def test_after_all_is_prepared_large_masks_are_neither_written_nor_cleaned(monkeypatch):
    found = large_and_small()
    drain(prepare_rest_steps(found))
    monkeypatch.setattr(Upsampling, "mask_steps", None)
    monkeypatch.setattr("napari_segany.engine.candidates.without_small_regions", None)
    records = [len(drain(record_steps(found, EVERY.replaced(box_nms_thresh=1.0, min_mask_region_area=least))))
               for least in (0, 10, 100, 1000)]  # fmt: skip
    assert records[0] == 24


def test_preparing_stops_where_it_would_take_too_much_memory():
    found = large_and_small()
    before = found.nbytes
    drain(prepare_rest_steps(found, before - 1))
    assert found.nbytes == before
