from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest

from napari_segany.engine.progress import Progress, drain
from napari_segany.evaluation.data import Sample, find_samples
from napari_segany.evaluation.proposals import (
    BUDGETS,
    SIZES,
    ProposalScoreFile,
    average_recall,
    by_mean_score,
    proposal_score,
    proposals,
)
from napari_segany.formats.record import MaskRecord


def record(mask: np.ndarray, iou: float, stability: float) -> MaskRecord:
    return MaskRecord.from_mask(mask, predicted_iou=iou, stability_score=stability)


def test_masks_rank_by_the_mean_of_both_scores() -> None:
    one = np.ones((2, 2), bool)
    first, second = record(one, 0.9, 0.2), record(one, 0.6, 0.7)
    assert by_mean_score([first, second]) == [second, first]
    assert by_mean_score([first, second], 1) == [second]


def test_objects_are_counted_by_size() -> None:
    labels = np.zeros((200, 300), np.uint8)
    labels[:10, :10] = 1  # small, found whole
    labels[50:150, 100:250] = 2  # large, found by half its pixels: at IoU 0.5 only
    labels[160:200, :40] = 3  # medium, not found
    masks = [record(labels == 1, 0.9, 0.9), record((labels == 2) & (np.arange(300) < 175), 0.8, 0.8)]
    score = proposal_score(Sample("set", "a", Path(), Path()), "0", masks, labels)
    assert score.objects == (3, 1, 1, 1)
    found = average_recall([score])
    assert found["AR@1000 small"] == 1
    assert found["AR@1000 large"] == pytest.approx(0.1)
    assert found["AR@1000 medium"] == 0
    assert found["AR@10 all"] == pytest.approx(11 / 30)


def test_the_numbers_are_those_of_pycocotools() -> None:
    coco, mask = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.mask")
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(3)
    scores, images, truths, answers = [], [], [], []
    for number in (1, 2, 3):
        labels = np.zeros((240, 320), np.uint8)
        for value in range(1, 13):
            top, left = rng.integers(0, 200, 2)
            height, width = rng.integers(6, 130, 2)
            labels[top : top + height, left : left + width] = value
        records = []
        for value in np.unique(labels[labels > 0]):
            for _ in range(4):
                moved = np.roll(labels == value, tuple(rng.integers(-6, 7, 2)), (0, 1))
                records.append(record(moved, *rng.random(2)))
            truth = labels == value
            rle = mask.encode(np.asfortranarray(truth.astype(np.uint8)))
            truths.append({"id": len(truths) + 1, "image_id": number, "category_id": 1, "iscrowd": 0})
            truths[-1] |= {"segmentation": rle, "area": int(truth.sum()), "bbox": [0, 0, 1, 1]}
        for own in records:
            rle = mask.encode(np.asfortranarray(own.mask.astype(np.uint8)))
            mean = (own.predicted_iou + own.stability_score) / 2
            answers.append({"image_id": number, "category_id": 1, "segmentation": rle, "score": mean})
        images.append({"id": number, "height": 240, "width": 320})
        scores.append(proposal_score(Sample("set", str(number), Path(), Path()), "0", records, labels))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = {"images": images, "annotations": truths, "categories": [{"id": 1, "name": "object"}]}
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(answers), "segm")
        judge.params.maxDets = list(BUDGETS)
        judge.evaluate()
        judge.accumulate()
    theirs = judge.eval["recall"][:, 0].mean(axis=0)  # (sizes, budgets)
    ours = average_recall(scores)
    for row, size in enumerate(SIZES):
        for column, budget in enumerate(BUDGETS):
            assert ours[f"AR@{budget} {size}"] == pytest.approx(theirs[row, column])


def test_a_second_run_goes_on(write_dataset, two_squares, tmp_path) -> None:
    class Squares:
        asked = 0

        def run(self, image):
            self.asked += 1
            yield Progress(0, 1, "Asking")
            return [record(image == value, 0.9, 0.9) for value in (1, 2)]

    samples = find_samples(write_dataset("squares", {"a": two_squares, "b": two_squares}))
    generator = Squares()
    for part in (samples[:1], samples):
        with ProposalScoreFile(tmp_path, {"protocol": "proposals"}) as file:
            result = drain(proposals(part, generator, known=file.known, receive=file.write))
    assert generator.asked == 2
    assert not result.skipped
    assert average_recall(result.scores)["AR@10 all"] == 1
    assert np.isnan(average_recall(result.scores)["AR@10 large"])
