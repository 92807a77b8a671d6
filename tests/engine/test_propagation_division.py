"""When a mask is of two things."""

from __future__ import annotations

import numpy as np
import pytest

from napari_segany.engine.propagation_asking import Answer
from napari_segany.engine.propagation_division import distance, division_prompts, is_division, separate_parts
from napari_segany.engine.propagation_settings import PropagationSettings
from napari_segany.formats.record import MaskRecord

SETTINGS = PropagationSettings(divisions=True)


def boxes(*sides, predicted=None) -> MaskRecord:
    mask = np.zeros((30, 40), bool)
    for top, left, bottom, right in sides:
        mask[top:bottom, left:right] = True
    return MaskRecord.from_mask(mask, predicted_iou=predicted)


def test_parts_are_two_large_ones_that_are_apart():
    two = boxes((2, 2, 12, 12), (2, 15, 12, 25))
    assert distance(boxes((2, 2, 12, 12)), boxes((2, 15, 12, 25))) == 4  # columns 11 and 15
    assert separate_parts(two, 4, 0.2) == ((6.5, 6.5), (6.5, 19.5))
    assert separate_parts(two, 4.5, 0.2) is None, "too near to each other"
    assert separate_parts(boxes((2, 2, 12, 12)), 2, 0.2) is None
    assert separate_parts(boxes(), 2, 0.2) is None
    crumb = boxes((2, 2, 12, 12), (20, 20, 23, 23))
    assert separate_parts(crumb, 2, 0.2) is None, "9 of 109 pixels are a crumb"
    assert separate_parts(crumb, 2, 0.05) is not None
    three = boxes((2, 2, 12, 10), (2, 15, 12, 23), (16, 2, 26, 10))
    assert separate_parts(three, 2, 0.2) is None
    with_crumb = boxes((2, 2, 12, 12), (2, 15, 12, 25), (20, 0, 22, 2))
    assert separate_parts(with_crumb, 2, 0.2) == separate_parts(two, 2, 0.2)
    chain = boxes((2, 2, 12, 12), (2, 13, 12, 15), (2, 16, 12, 26))
    assert separate_parts(chain, 3, 0.2) is None, "what lies between joins them"


def test_the_question_is_a_point_on_each_half_with_the_other_as_background():
    first, second = division_prompts(boxes((10, 4, 16, 24)), SETTINGS)
    np.testing.assert_allclose(sorted(first.points.tolist()), [(12.5, 8.5), (12.5, 18.5)])
    np.testing.assert_allclose(second.points, first.points[::-1])
    assert first.labels.tolist() == second.labels.tolist() == [1, 0]
    assert division_prompts(boxes((3, 3, 4, 4)), SETTINGS) == []
    assert division_prompts(boxes(), SETTINGS) == []


WHOLE = boxes((2, 2, 12, 26))
LEFT, RIGHT = (2, 2, 12, 12), (2, 15, 12, 25)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (boxes(LEFT, predicted=0.9), boxes(RIGHT, predicted=0.8), True),
        (boxes(LEFT, predicted=0.9), boxes(RIGHT, predicted=0.4), False),  # the model doubts one
        (boxes(LEFT, predicted=0.9), boxes((2, 12, 12, 25), predicted=0.8), False),  # a cut, no gap
        (boxes((2, 2, 12, 20), predicted=0.9), boxes((2, 8, 12, 25), predicted=0.8), False),  # both answer the whole
        (boxes(LEFT, predicted=0.9), boxes((20, 15, 29, 25), predicted=0.8), False),  # one lies elsewhere
        (boxes(LEFT, predicted=0.9), boxes((2, 22, 6, 26), predicted=0.8), False),  # 16 of 240 pixels
        (boxes(LEFT, predicted=0.9), boxes(predicted=0.8), False),
    ],
)
def test_two_answers_are_two_things_when_they_are_apart(first, second, expected):
    logits = np.zeros((4, 4), np.float32)
    answers = [Answer(first, logits), Answer(second, logits)]
    assert is_division(WHOLE, answers, SETTINGS) is expected
    assert is_division(WHOLE, answers[::-1], SETTINGS) is expected
