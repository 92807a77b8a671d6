"""Boxes, overlaps and batches of questions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_segany.engine.prompts import Prompt
from napari_segany.engine.propagation_asking import ask, mask_iou, next_prompt, widened_box
from napari_segany.engine.propagation_asking import given as given_mask
from napari_segany.engine.propagation_settings import PropagationSettings
from napari_segany.evaluation.metrics import intersection_over_union
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths

SHAPE = (30, 50)


def test_a_box_is_widened_by_a_part_of_its_sides_within_the_image():
    assert widened_box((10, 20, 20, 25), SHAPE, 0.2) == (8, 19, 21, 25)  # rows 10..19, columns 20..24
    assert widened_box((10, 20, 11, 21), SHAPE, 0.2) == (9.5, 19.5, 10.5, 20.5)
    assert widened_box((0, 48, 30, 50), SHAPE, 0.2) == (-0.5, 47.5, 29.5, 49.5)


@given(st.data())
def test_overlap_equals_that_of_whole_masks(data):
    def drawn() -> np.ndarray:
        mask = np.zeros((12, 14), bool)
        row, col = data.draw(st.integers(0, 11)), data.draw(st.integers(0, 13))
        mask[row : row + data.draw(st.integers(0, 8)), col : col + data.draw(st.integers(0, 8))] = True
        return mask

    first, second = drawn(), drawn()
    found = mask_iou(MaskRecord.from_mask(first), MaskRecord.from_mask(second))
    assert found == pytest.approx(float(intersection_over_union(first, second)))


def test_any_mixture_of_prompts_equals_asking_one_by_one(predictor):
    image = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3)).astype(np.uint8)
    embedding = predictor.encode(image)
    logits = predictor.predict(embedding, points=[(9, 9)]).logits
    said = [
        {"points": [(5, 6)]},
        {"box": (2, 3, 20, 30)},
        {"points": [(5, 6), (1, 1)], "labels": [1, 0]},
        {"points": [(25, 40)]},
        {"box": (2, 3, 25, 40), "mask": logits[0]},
        {"box": (4, 4, 20, 44), "mask": logits[1]},
        {"mask": np.ones(SHAPE, bool)},
    ]
    prompts = [Prompt.checked(**one, image_shape=SHAPE, logits_shape=embedding.logits_shape) for one in said]
    answers = ask(predictor, embedding, prompts, keep_prompts=True)
    for one, prompt, answer in zip(said, prompts, answers, strict=True):
        alone = predictor.predict(embedding, **one)
        np.testing.assert_allclose(answer.logits, alone.logits[0], atol=1e-4)
        assert answer.record.predicted_iou == pytest.approx(float(alone.predicted_iou[0]), abs=1e-5)
        assert answer.record.area == pytest.approx(int(alone.masks[0].sum()), abs=2)
        assert answer.record.prompt == prompt.to_dict()
    assert ask(predictor, embedding, []) == []


def test_a_mask_that_is_given_becomes_the_next_prompt(predictor):
    embedding = predictor.encode(np.zeros(SHAPE, np.uint8))
    mask = np.zeros(SHAPE, bool)
    mask[4:24, 8:40] = True
    answer = given_mask(embedding, RunLengths.from_mask(mask))
    assert answer.record.predicted_iou is None
    assert answer.logits.shape == embedding.logits_shape
    prompt = next_prompt(answer, PropagationSettings(box_margin=0))
    np.testing.assert_allclose(prompt.box, (3.5, 7.5, 23.5, 39.5))
    # 32 x 32 logits of a padded square: the longer side, 50 pixels, is 32 logits
    inside = np.argwhere(prompt.mask > 0) * (50 / 32)
    np.testing.assert_allclose(inside.min(axis=0), (4, 8), atol=1.6)
    np.testing.assert_allclose(inside.max(axis=0), (23, 39), atol=1.6)
    assert next_prompt(answer, PropagationSettings(use_mask=False)).mask is None
    assert next_prompt(answer, PropagationSettings(use_box=False)).box is None
