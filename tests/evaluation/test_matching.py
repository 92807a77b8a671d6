"""Overlaps, matching and average recall, against hand-worked values and pycocotools' COCOeval."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from napari_segany.evaluation.matching import THRESHOLDS, matches, overlaps, ranked, recalled
from napari_segany.formats.labels import run_lengths_by_label
from napari_segany.formats.record import MaskRecord


def box(size, top, left, bottom, right, score=None) -> MaskRecord:
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return MaskRecord.from_mask(mask, predicted_iou=score)


@pytest.fixture
def labels() -> np.ndarray:
    """Object 4 of 20 pixels in the corner, object 9 of 12 pixels at the right edge."""
    labels = np.zeros((10, 12), np.int16)
    labels[:4, :5] = 4
    labels[6:10, 9:12] = 9
    return labels


def test_overlaps_by_hand(labels):
    masks = [box(labels.shape, 0, 0, 4, 5), box(labels.shape, 0, 0, 2, 10), box(labels.shape, 6, 6, 10, 12)]
    # exact; 10 of 20 shared, so 10 / (20 + 20 - 10); 12 of 24 shared, so 12 / 24
    np.testing.assert_allclose(overlaps(masks, labels), [[1, 0], [1 / 3, 0], [0, 0.5]])


def test_an_empty_mask_and_no_objects_overlap_nothing(labels):
    empty = MaskRecord.from_mask(np.zeros(labels.shape, bool))
    np.testing.assert_array_equal(overlaps([empty], labels), [[0, 0]])
    assert overlaps([empty], np.zeros_like(labels)).shape == (1, 0)
    assert overlaps([], labels).shape == (0, 2)
    assert overlaps([box((3, 3), 0, 0, 3, 3)], np.full((3, 3), 7)).tolist() == [[1.0]], "no background at all"


def test_a_mask_of_another_size_is_told(labels):
    with pytest.raises(ValueError, match=r"\(3, 3\).*\(10, 12\)"):
        overlaps([box((3, 3), 0, 0, 1, 1)], labels)


def test_masks_rank_by_predicted_iou_and_those_without_come_last():
    records = [box((2, 2), 0, 0, 1, 1, score) for score in (0.5, None, 0.9, 0.5)]
    assert [record.predicted_iou for record in ranked(records)] == [0.9, 0.5, 0.5, None]
    assert ranked(records)[1] is records[0]


def test_each_object_is_found_once_and_the_better_ranked_mask_comes_first():
    iou = np.array([[0.6, 0.55], [0.9, 0.0], [0.7, 0.5]])
    assert matches(iou, 0.5) == 2  # first: left object; second: it is taken; third: right object
    assert matches(iou[::-1], 0.5) == 2  # left, none, right
    assert matches(iou[1:], 0.5) == 2
    assert matches(iou[:2], 0.5) == 1
    assert matches(iou, 0.75) == 1
    assert matches(iou, 0.95) == 0
    assert matches(np.zeros((3, 0)), 0.5) == 0
    assert matches(np.zeros((0, 3)), 0.5) == 0


def test_recall_counts_the_first_masks_alone():
    iou = np.array([[0.0, 0.0], [0.72, 0.0], [0.0, 1.0]])
    assert recalled(iou, 1) == 0
    assert recalled(iou, 2) == 5  # 0.5, 0.55, 0.6, 0.65, 0.7
    assert recalled(iou, 3) == 15


def drawn(seed: int, count: int) -> tuple[np.ndarray, list[MaskRecord]]:
    """Objects on a grid, some cut by the edge, and masks that miss them by more or less."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((48, 60), np.uint16)
    for number in range(1, 13):
        row, col = 14 * ((number - 1) // 4) + rng.integers(-3, 3), 15 * ((number - 1) % 4) + rng.integers(-3, 3)
        labels[max(0, row) : row + rng.integers(6, 12), max(0, col) : col + rng.integers(6, 12)] = number
    records = []
    for _ in range(count):
        mask = labels == rng.integers(1, 13)
        mask = np.roll(mask, rng.integers(-2, 3, 2), axis=(0, 1))
        mask |= rng.random(labels.shape) < 0.02
        records.append(MaskRecord.from_mask(mask, predicted_iou=float(np.round(rng.random(), 2))))
    return labels, records


def coco_eval(images: list[tuple[np.ndarray, list[MaskRecord]]]) -> COCOeval:
    """Return the judge's evaluation, with at most 3, 100 and 1000 masks for each image."""
    truth, found = [], []
    for number, (labels, records) in enumerate(images, 1):
        for rle in run_lengths_by_label(labels).values():
            bbox = [rle.bbox[1], rle.bbox[0], rle.bbox[3] - rle.bbox[1], rle.bbox[2] - rle.bbox[0]]
            own = {"id": len(truth) + 1, "image_id": number, "category_id": 1, "iscrowd": 0}
            truth.append({**own, "segmentation": rle.to_dict(), "area": rle.area, "bbox": bbox})
        for record in records:
            own = {"image_id": number, "category_id": 1, "score": record.predicted_iou}
            found.append({**own, "segmentation": record.rle.to_dict()})
    sizes = [labels.shape for labels, _ in images]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": n, "height": height, "width": width} for n, (height, width) in enumerate(sizes, 1)],
            "categories": [{"id": 1, "name": "object"}],
            "annotations": truth,
        }
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(found), "segm")
        judge.params.maxDets = [3, 100, 1000]
        judge.evaluate()
        judge.accumulate()
    return judge


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_average_recall_is_cocoevals(seed, count):
    images = [drawn(seed, count), drawn(seed + 1, 130)]
    judge = coco_eval(images)
    tables = [overlaps(ranked(records), labels) for labels, records in images]
    objects = sum(iou.shape[1] for iou in tables)
    for place, most in enumerate((3, 100, 1000)):
        expected = judge.eval["recall"][:, 0, 0, place]  # by threshold
        ours = [sum(matches(iou[:most], threshold) for iou in tables) / objects for threshold in THRESHOLDS]
        np.testing.assert_allclose(ours, expected, atol=1e-12)
        average = sum(recalled(iou, most) for iou in tables) / (10 * objects)
        assert average == pytest.approx(expected.mean())


def test_the_judges_thresholds_are_ours():
    judge = coco_eval([drawn(0, 5)])
    np.testing.assert_array_equal(judge.params.iouThrs, THRESHOLDS)
