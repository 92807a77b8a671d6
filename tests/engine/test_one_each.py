"""Many prompts in one pass give what each gives alone; outlines and policies, without weights."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from napari_segany.engine.mask_outline import OutlineRaster, inner_edge, outline_of
from napari_segany.engine.mask_policy import MASK_POLICIES, choose_mask
from napari_segany.engine.one_each import AT_A_TIME, one_each_steps
from napari_segany.engine.progress import drain
from napari_segany.engine.prompts import Prompt

NOISE = np.random.default_rng(0).integers(0, 256, (60, 100, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def embedding(predictor):
    return predictor.encode(NOISE)


class Counting:
    """A predictor that notes how it is called."""

    def __init__(self, predictor):
        self.predictor, self.sizes = predictor, []

    def answer_in_logits(self, embedding, prompt, *, multimask=None):
        self.sizes.append(prompt.batch_size)
        return self.predictor.answer_in_logits(embedding, prompt, multimask=multimask)


def test_logits_are_those_of_the_whole_answer(predictor, embedding):
    for given in ({"points": [(10, 20)]}, {"points": np.full((4, 1, 2), 30.0)}, {"box": [(5, 5, 20, 30)] * 3}):
        prompt = Prompt.checked(**given, image_shape=embedding.image_shape)
        whole, logits = predictor.answer(embedding, prompt), predictor.answer_in_logits(embedding, prompt)
        np.testing.assert_array_equal(logits.logits, whole.logits)
        np.testing.assert_array_equal(logits.predicted_iou, whole.predicted_iou)


def test_forty_boxes_take_two_calls_and_give_what_each_gives_alone(predictor, embedding):
    boxes = np.random.default_rng(1).uniform(0, 40, (40, 4))
    boxes[:, 2:] += boxes[:, :2] + 4
    boxes = np.minimum(boxes, [59, 99, 59, 99])
    counting = Counting(predictor)
    records = drain(one_each_steps(counting, embedding, Prompt.checked(box=boxes, image_shape=(60, 100))))
    assert counting.sizes == [AT_A_TIME, 40 - AT_A_TIME]
    for box, record in list(zip(boxes, records, strict=True))[::7]:
        alone = predictor.predict(embedding, box=box)
        assert (record.mask != alone.masks[0]).mean() < 1e-3, "upsampling rounds in another order"
        assert record.predicted_iou == pytest.approx(float(alone.predicted_iou[0]), abs=1e-5)
        assert record.stability_score == pytest.approx(float(alone.stability_score[0]), abs=5e-3)
        assert record.prompt["box"] == pytest.approx(box.tolist())


@pytest.mark.parametrize("policy", MASK_POLICIES)
def test_of_three_masks_of_a_point_the_policy_takes_one(predictor, embedding, policy):
    points = np.array([[(10.0, 20.0)], [(40.0, 80.0)]])
    prompt = Prompt.checked(points, image_shape=(60, 100))
    records = drain(one_each_steps(predictor, embedding, prompt, policy=policy))
    for point, record in zip(points, records, strict=True):
        whole = predictor.predict(embedding, points=point)
        used = whole.logits[:, : -(-embedding.input_shape[0] // 4), : -(-embedding.input_shape[1] // 4)]
        areas = {rank: area for rank, area in enumerate((used > 0).sum(axis=(1, 2)).tolist()) if area}
        rising = sorted(areas, key=lambda rank: areas[rank])
        wanted = {
            "best": min(areas),
            "largest": max(areas, key=lambda rank: areas[rank]),
            "smallest": rising[0],
            "middle": rising[(len(rising) - 1) // 2],
        }
        assert (record.mask != whole.masks[wanted[policy]]).mean() < 1e-3


def test_a_single_prompt_is_no_batch(predictor, embedding):
    with pytest.raises(ValueError, match="without a batch axis"):
        drain(one_each_steps(predictor, embedding, Prompt.checked([(1, 1)], image_shape=(60, 100))))


@pytest.mark.parametrize(
    ("areas", "best", "largest", "middle", "smallest"),
    [
        ([30, 90, 10], 0, 1, 0, 2),
        ([0, 90, 10], 1, 1, 2, 2),
        ([5], 0, 0, 0, 0),
        ([0, 0, 0], 0, 0, 1, 0),
        ([7, 7, 7], 0, 0, 1, 0),
    ],
)
def test_policies(areas, best, largest, middle, smallest):
    assert [choose_mask(areas, policy) for policy in MASK_POLICIES] == [best, largest, middle, smallest]


def test_an_unknown_policy_or_no_mask_is_refused():
    with pytest.raises(ValueError, match="choose one of best, largest, middle, smallest"):
        choose_mask([1], "nicest")
    with pytest.raises(ValueError, match="at least one"):
        choose_mask([], "best")


@pytest.mark.parametrize("width", [1, 3])
def test_the_edge_is_what_erosion_takes_away(width):
    mask = np.random.default_rng(width).random((40, 50)) < 0.9
    eroded = binary_erosion(mask, iterations=width, border_value=0)
    np.testing.assert_array_equal(inner_edge(mask, width), mask & ~eroded)


def test_the_outline_lies_along_the_mask_on_its_raster(predictor, embedding):
    prediction = predictor.predict(embedding, points=[(30, 50)])
    same = OutlineRaster(embedding.image_shape, (1.0, 1.0))
    for mask, logits in zip(prediction.masks, prediction.logits, strict=True):
        outline = outline_of(logits, embedding.input_shape, same)
        drawn = np.zeros(mask.shape, bool)
        (row, col), (height, width) = outline.corner, outline.window.shape
        drawn[row : row + height, col : col + width] = outline.window
        assert (drawn != inner_edge(mask)).sum() <= 3


def test_a_raster_covers_the_image_whatever_its_size():
    for shape in ((60, 100), (5000, 3000), (1, 400)):
        raster = OutlineRaster.of(shape, 1024)
        assert max(raster.shape) == 1024
        first = np.array(raster.origin) - np.array(raster.step) / 2
        last = first + np.array(raster.step) * raster.shape
        np.testing.assert_allclose([first, last], [(-0.5, -0.5), np.array(shape) - 0.5])


def test_an_empty_mask_has_no_outline(embedding):
    outline = outline_of(
        np.full(embedding.logits_shape, -5, np.float32), embedding.input_shape, OutlineRaster.of((60, 100))
    )
    assert not outline.window.any()
