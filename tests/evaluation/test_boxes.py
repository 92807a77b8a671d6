"""Instance segmentation from boxes: mask AP worked out by hand, and what is asked."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
from PIL import Image

from napari_segany.engine.batch.detection import Detection
from napari_segany.engine.progress import Progress, drain
from napari_segany.evaluation import boxes as module
from napari_segany.evaluation.boxes import (
    BoxScoreFile,
    CocoBoxes,
    LabelBoxes,
    box_masks,
    judged_note,
    read_detections,
)
from napari_segany.evaluation.data import find_samples
from napari_segany.evaluation.mask_ap import Truth, mask_ap
from napari_segany.evaluation.objects import coco_images
from napari_segany.formats.record import MaskRecord

pytest.importorskip("pycocotools")


def result(mask, score, category=1):
    return {"category_id": category, "score": score, "segmentation": MaskRecord.from_mask(mask).rle.to_dict()}


def truth(*masks):
    items = [
        {"category_id": 1, "iscrowd": 0, "segmentation": MaskRecord.from_mask(one).rle.to_dict()}
        | {"area": float(one.sum()), "bbox": [0, 0, 1, 1]}
        for one in masks
    ]
    return Truth(masks[0].shape, tuple(items))


def block(rows, cols):
    mask = np.zeros((100, 200), bool)
    mask[rows, cols] = True
    return mask


def test_mask_ap_by_hand():
    small, large = block(slice(0, 10), slice(0, 10)), block(slice(0, 100), slice(100, 200))
    seven_tenths = block(slice(0, 70), slice(100, 200))  # IoU 0.7 with the large one: found at 0.5 to 0.7 only
    found = mask_ap({"a": truth(small, large)}, {"a": [result(small, 0.9), result(seven_tenths, 0.8)]})
    # Up to IoU 0.7 both are found: AP 1. Above, only the first: 51 of 101 recalls have precision 1.
    assert found["AP 0.5"] == pytest.approx(1)
    assert found["AP 0.75"] == pytest.approx(51 / 101)
    assert found["AP"] == pytest.approx((5 + 5 * 51 / 101) / 10)
    assert (found["AP small"], found["AP large"]) == (pytest.approx(1), pytest.approx(0.5))
    assert np.isnan(found["AP medium"])
    # A better-scored mask of nothing halves the precision of all that follows.
    wrong = block(slice(90, 99), slice(0, 9))
    found = mask_ap({"a": truth(small)}, {"a": [result(wrong, 0.95), result(small, 0.9)]})
    assert found["AP"] == pytest.approx(0.5)
    assert mask_ap({"a": truth(small)}, {"a": []})["AP"] == 0
    assert np.isnan(mask_ap({"a": Truth((9, 9), ())}, {"a": []})["AP"])


def filled_boxes(predictor, image, detections):
    """Answer a box with all of its pixels."""
    yield Progress(0, 1, "Asking the boxes")
    found = []
    for one in detections:
        mask = np.zeros(image.shape[:2], bool)
        top, left, bottom, right = map(int, one.box)
        mask[top:bottom, left:right] = True
        found.append(module.BatchObject(MaskRecord.from_mask(mask, predicted_iou=0.5), one.class_id, one.score))
    return found


@pytest.fixture
def kept(monkeypatch):
    monkeypatch.setattr(module, "box_mask_steps", filled_boxes)
    return {}


def ap_of(images, kept, **more):
    drain(box_masks(images, None, lambda image, masks: kept.update({image.name: masks}), **more))
    return mask_ap({image.name: image.truth() for image in images}, kept)


def test_the_boxes_of_labels_and_a_second_run(write_dataset, two_squares, tmp_path, kept):
    images = [LabelBoxes(one) for one in find_samples(write_dataset("squares", {"a": two_squares}))]
    with BoxScoreFile(tmp_path, {"protocol": "boxes"}) as file:
        assert ap_of(images, kept, receive=file.write)["AP"] == pytest.approx(1)
    assert [one["score"] for one in kept["a"]] == [0.5, 0.5]  # without a detector's, the mask's own
    kept.clear()
    with BoxScoreFile(tmp_path, {"protocol": "boxes"}) as file:
        result = drain(box_masks(images, None, lambda *_: pytest.fail("asked again"), known=file.known))
    assert result.scores[0].boxes == 2


@pytest.mark.parametrize("category", [0, 1, 7])
def test_labels_are_found_whatever_the_detector_calls_them(write_dataset, two_squares, kept, category):
    (sample,) = find_samples(write_dataset("squares", {"a": two_squares}))
    boxes = [Detection((5, 5, 15, 15), class_id=category, score=0.9), Detection((20, 20, 30, 30), category, 0.8)]
    assert ap_of([LabelBoxes(sample, boxes)], kept)["AP"] == pytest.approx(1)


def test_a_coco_file_with_a_detectors_boxes(tmp_path, kept):
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(tmp_path / "a.png")
    square = [[5, 5, 15, 5, 15, 15, 5, 15]]
    annotations = [
        {"id": n, "image_id": 3, "category_id": n, "segmentation": square, "bbox": [5, 5, 10, 10], "area": 100}
        for n in (1, 2)
    ]
    annotations.append({**annotations[0], "id": 3, "iscrowd": 1, "bbox": [0, 0, 40, 30]})
    values = {"images": [{"id": 3, "file_name": "a.png", "height": 30, "width": 40}], "annotations": annotations}
    values["categories"] = [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]
    path, boxes = tmp_path / "coco.json", tmp_path / "boxes.json"
    path.write_text(json.dumps(values))
    boxes.write_text(json.dumps([{"image_id": 3, "category_id": 1, "bbox": [5, 5, 10, 10], "score": 0.25}]))
    (image,), _ = coco_images(path)
    assert ap_of([CocoBoxes(image)], kept)["AP"] == pytest.approx(1)
    assert len(kept["3"]) == 2  # a crowd is not asked
    found = ap_of([CocoBoxes(image, read_detections(boxes)["3"])], kept)
    assert found["AP"] == pytest.approx(0.5)  # nothing is there of the second category
    assert kept["3"][0]["score"] == 0.25
    boxes.write_text(json.dumps([{"image_id": 3, "category_id": 1, "score": 1}]))
    with pytest.raises(ValueError, match=r"boxes\.json, box 1: 'bbox'"):
        read_detections(boxes)


def test_lvis_judges_what_was_looked_for_by_hand(tmp_path):
    here, there = block(slice(0, 10), slice(0, 10)), block(slice(50, 60), slice(50, 60))
    (one,) = truth(here).annotations
    found = [result(there, 0.9), result(here, 0.8), result(here, 0.7, category=2)]

    def ap(found, *lists):
        other = Truth(here.shape, ({**one, "category_id": 2},))  # so that the second category is in the file
        truths = {"a": Truth(here.shape, (one,), *lists), "b": other}
        return mask_ap(truths, {"a": found, "b": [result(here, 0.6, category=2)]})["AP"]

    # COCO: in each category a better-scored mask of nothing halves the precision: AP 0.5 and 0.5.
    assert ap(found) == pytest.approx(0.5)
    # Nobody looked for the second category in the first image, so that its mask there is no mistake: 0.5 and 1.
    assert ap(found, frozenset()) == pytest.approx(0.75)
    assert ap(found, frozenset({2})) == pytest.approx(0.5)
    # Not all objects of the first category are annotated: the mask of nothing may be of one of them.
    assert ap(found, frozenset(), frozenset({1})) == pytest.approx(1)
    # Of all categories together the 300 best masks count, so that the one that finds the object comes too late.
    many = [result(there, 0.9, category=3)] * 300
    assert ap([*many, result(here, 0.8)], None) == pytest.approx(1)
    assert ap([*many, result(here, 0.8)], frozenset()) == pytest.approx(0.5)


def lvis_images(folder, **lists):
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(folder / "a.png")
    annotation = {"id": 1, "image_id": 3, "category_id": 1, "segmentation": [[5, 5, 15, 5, 15, 15, 5, 15]]}
    annotation |= {"bbox": [5, 5, 10, 10], "area": 100}
    image = {"id": 3, "file_name": "a.png", "height": 30, "width": 40, **lists}
    values = {"images": [image], "annotations": [annotation], "categories": [{"id": 1, "name": "one"}]}
    (folder / "lvis.json").write_text(json.dumps(values))
    return [CocoBoxes(one) for one in coco_images(folder / "lvis.json")[0]]


def test_the_lists_of_a_file_of_lvis_choose_the_rule_and_the_published_number(tmp_path, write_dataset, two_squares):
    lists = {"neg_category_ids": [4], "not_exhaustive_category_ids": [1]}
    (image,) = lvis_images(tmp_path, **lists)
    assert (image.truth().absent, image.truth().not_exhaustive) == ({4}, {1})
    assert "LVIS's rule" in judged_note([image])
    assert "0.447" in judged_note([image])
    assert "0.465" not in judged_note([image])
    coco = lvis_images(tmp_path)
    assert coco[0].truth().absent is None
    assert "0.465" in judged_note(coco)
    assert "0.447" not in judged_note(coco)
    labels = [LabelBoxes(one) for one in find_samples(write_dataset("squares", {"a": two_squares}))]
    assert "0.465" in judged_note(labels)
    assert "0.447" in judged_note(labels)


def test_an_image_with_damaged_lists_is_skipped_before_the_work(tmp_path, kept):
    images = lvis_images(tmp_path, neg_category_ids=["cat"])
    result = drain(box_masks(images, None, lambda *_: pytest.fail("asked")))
    assert "image 3: 'neg_category_ids' is no list of the numbers of categories" in result.skipped[0]


def test_the_numbers_are_those_of_cocos_own_summary():

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(2)
    truths, results, images, annotations, answers = {}, {}, [], [], []
    for number in (1, 2, 3):
        corners = [tuple(rng.integers(0, 60, 2)) for _ in range(6)]
        sides = [(8 + 4 * n, 9 * n + 6) for n in range(6)]
        pairs = zip(corners, sides, strict=True)
        masks = [block(slice(top, top + high), slice(left, left + wide)) for (top, left), (high, wide) in pairs]
        truths[str(number)] = truth(*masks)
        results[str(number)] = [result(np.roll(one, rng.integers(0, 5), 1), float(rng.random())) for one in masks]
        images.append({"id": number, "height": 100, "width": 200})
        annotations += [{**one, "image_id": number} for one in truths[str(number)].annotations]
        answers += [{**one, "image_id": number} for one in results[str(number)]]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        numbered = [{**one, "id": number} for number, one in enumerate(annotations, 1)]
        coco.dataset = {"images": images, "annotations": numbered, "categories": [{"id": 1, "name": "thing"}]}
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(answers), "segm")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    assert 0.2 < judge.stats[0] < 0.9
    expected = np.where(judge.stats[:6] < 0, np.nan, judge.stats[:6])
    np.testing.assert_allclose(list(mask_ap(truths, results).values()), expected)
