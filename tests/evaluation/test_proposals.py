from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from napari_segany.engine.progress import Progress, drain
from napari_segany.evaluation.data import find_samples
from napari_segany.evaluation.objects import LabelImage, LabelObjects, coco_images
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


@dataclass(frozen=True)
class Place:
    dataset: str
    name: str

    def content_digest(self) -> str:
        return "0"


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
    score = proposal_score(Place("set", "a"), masks, LabelObjects(labels))
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
        scores.append(proposal_score(Place("set", str(number)), records, LabelObjects(labels)))
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

    samples = [
        LabelImage(one) for one in find_samples(write_dataset("squares", {"a": two_squares, "b": two_squares}))
    ]
    generator = Squares()
    for part in (samples[:1], samples):
        with ProposalScoreFile(tmp_path, {"protocol": "proposals"}) as file:
            result = drain(proposals(part, generator, known=file.known, receive=file.write))
    assert generator.asked == 2
    assert not result.skipped
    assert average_recall(result.scores)["AR@10 all"] == 1
    assert np.isnan(average_recall(result.scores)["AR@10 large"])


@pytest.fixture
def lvis(tmp_path):
    """Two images of overlapping objects in polygons, with a crowd, given areas and LVIS's groups; and their masks."""
    rng = np.random.default_rng(5)
    values = {"images": [], "annotations": [], "categories": []}
    values["categories"] = [{"id": n, "name": f"c{n}", "frequency": f} for n, f in ((1, "r"), (2, "f"), (5, "c"))]
    proposed = {}
    (tmp_path / "val2017").mkdir()
    for number in (7, 9):
        Image.fromarray(np.zeros((120, 160), np.uint8)).save(tmp_path / f"val2017/{number}.png")
        values["images"].append({"id": number, "height": 120, "width": 160, "coco_url": f"h/val2017/{number}.png"})
        # LVIS's own fields concern masks that match nothing, which average recall does not count.
        values["images"][-1] |= {"neg_category_ids": [5], "not_exhaustive_category_ids": [1]}
        proposed[str(number)] = []
        for _ in range(9):
            top, left = rng.integers(0, 80, 2)
            height, width = rng.integers(6, 40, 2)
            corners = [[left, top, left + width, top, left + width, top + height, left, top + height]]
            one = {"id": len(values["annotations"]) + 1, "image_id": number, "bbox": [0, 0, 1, 1], "iscrowd": 0}
            one |= {"category_id": int(rng.choice([1, 2, 5])), "area": float(height * width + 200)}
            values["annotations"].append(one | {"segmentation": np.array(corners).tolist()})
            for _ in range(3):
                mask = np.zeros((120, 160), bool)
                row, col = max(top + rng.integers(-3, 4), 0), max(left + rng.integers(-3, 4), 0)
                mask[row : row + height, col : col + width] = True
                proposed[str(number)].append(record(mask, *rng.random(2)))
        values["annotations"][-1]["iscrowd"] = 1
        values["annotations"][-1]["segmentation"] = record(mask, 1, 1).rle.to_dict()
    path = tmp_path / "lvis_v1_val.json"
    path.write_text(json.dumps(values))
    return path, proposed


def pycocotools_recall(values, proposed, budgets, outside=frozenset()):
    """Return (sizes, budgets); objects of the categories `outside` are given an area that is of no size."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    values = json.loads(json.dumps(values))
    for one in values["annotations"]:
        if one["category_id"] in outside:
            one["area"] = -1.0
        one["category_id"] = 1
    answers = [
        {"image_id": int(name), "category_id": 1, "segmentation": one.rle.to_dict()}
        | {"score": (one.predicted_iou + one.stability_score) / 2}
        for name, records in proposed.items()
        for one in records
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = values
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(answers), "segm")
        judge.params.maxDets = list(budgets)
        judge.evaluate()
        judge.accumulate()
    return judge.eval["recall"][:, 0].mean(axis=0)


def test_lvis_by_size_and_frequency_is_that_of_pycocotools(lvis) -> None:
    pytest.importorskip("pycocotools")
    path, proposed = lvis
    images, index = coco_images(path, group_by="frequency")
    groups = index.groups("frequency")
    assert groups == ("frequent", "common", "rare")
    scores = [proposal_score(one, proposed[one.name], one.read_objects()[1], groups) for one in images]
    ours = average_recall(scores, groups)
    values = json.loads(path.read_text())
    theirs = pycocotools_recall(values, proposed, BUDGETS)
    assert 0.1 < theirs[0, 0] < theirs[0, 1] < 0.9
    for row, size in enumerate(SIZES):
        for column, budget in enumerate(BUDGETS):
            # pycocotools tells a size without objects by -1.
            assert ours[f"AR@{budget} {size}"] == pytest.approx(theirs[row, column]) or theirs[row, column] == -1
    for group, outside in (("frequent", {1, 5}), ("common", {1, 2}), ("rare", {2, 5})):
        theirs = pycocotools_recall(values, proposed, BUDGETS, outside)
        for column, budget in enumerate(BUDGETS):
            assert ours[f"AR@{budget} {group}"] == pytest.approx(theirs[0, column])
    with pytest.raises(ValueError, match="no category has 'supercategory'; the categories have frequency, name"):
        index.groups("supercategory")
