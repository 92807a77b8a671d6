from __future__ import annotations

import numpy as np
import pytest

from napari_segany.engine.image import input_shape
from napari_segany.engine.mask_prompt import CERTAINTY, mask_logits
from napari_segany.engine.prompts import Prompt

SIZE = 256


def logits_of(mask: np.ndarray) -> np.ndarray:
    prompt = Prompt.checked(mask=mask, image_shape=mask.shape[-2:], logits_shape=(64, 64))
    return mask_logits(prompt, input_shape(mask.shape[-2:], SIZE), (SIZE // 4, SIZE // 4))


def test_no_mask_no_logits():
    assert mask_logits(Prompt.checked([(1, 2)], image_shape=(5, 5)), (256, 256), SIZE) is None


def test_logits_go_in_as_they_are():
    values = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    prompt = Prompt.checked(mask=values, image_shape=(400, 600), logits_shape=(64, 64))
    np.testing.assert_array_equal(mask_logits(prompt, (171, 256), SIZE), values[None, None])


def test_a_mask_lies_where_the_image_lies_and_the_padding_is_background():
    mask = np.zeros((256, 512), bool)  # the image fills the upper half of the model's input
    mask[64:128, 128:256] = True
    logits = logits_of(mask)
    assert logits.shape == (1, 1, 64, 64)
    assert logits.dtype == np.float32
    expected = np.zeros((64, 64), bool)
    expected[8:16, 16:32] = True
    np.testing.assert_array_equal(logits[0, 0] > 0, expected)
    assert logits[0, 0, 12, 24] == pytest.approx(CERTAINTY)
    assert logits[0, 0, 40, 24] == pytest.approx(-CERTAINTY)


def test_a_full_mask_covers_the_image_and_nothing_else():
    logits = logits_of(np.ones((400, 600), bool))[0, 0]
    rows = 171 / 4
    np.testing.assert_allclose(logits[: int(rows)], CERTAINTY, rtol=1e-5)
    np.testing.assert_allclose(logits[int(rows) + 1 :], -CERTAINTY, rtol=1e-5)
    np.testing.assert_allclose(logits[int(rows)], (2 * (rows - int(rows)) - 1) * CERTAINTY, rtol=1e-4)


def test_a_small_object_leaves_a_trace():
    mask = np.zeros((2048, 2048), bool)
    mask[1000:1008, 504:512] = True
    logits = logits_of(mask)[0, 0]
    assert np.unravel_index(logits.argmax(), logits.shape) == (31, 15)
    assert logits.max() > logits.min()


def test_a_batch_keeps_its_order():
    masks = np.zeros((2, 256, 256), bool)
    masks[0, :128] = True
    masks[1, 128:] = True
    logits = logits_of(masks)
    assert logits.shape == (2, 1, 64, 64)
    np.testing.assert_array_equal(logits[0, 0, ::-1], logits[1, 0])
