from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_segany.engine.prompts import Prompt
from napari_segany.formats.rle import RunLengths

SHAPE = (400, 600)


def checked(points=None, labels=None, box=None, mask=None, shape=SHAPE, logits_shape=(64, 64)) -> Prompt:
    return Prompt.checked(points, labels, box, mask, image_shape=shape, logits_shape=logits_shape)


def test_labels_are_foreground_unless_told():
    assert checked([(1, 2), (3, 4)]).labels.tolist() == [1, 1]
    assert checked([(1, 2), (3, 4)], [1, 0]).labels.tolist() == [1, 0]
    assert checked([(1, 2)], [True]).labels.dtype == np.int64


def test_positions_become_x_y_of_the_resized_image():
    prompt = checked([(100, 300), (0, 0)], box=(100, 60, 200, 300))
    np.testing.assert_allclose(
        prompt.model_points((171, 256)), [[[300 * 256 / 600, 100 * 171 / 400], [0, 0]]], rtol=1e-6
    )
    np.testing.assert_allclose(
        prompt.model_boxes((171, 256)),
        [[60 * 256 / 600, 100 * 171 / 400, 300 * 256 / 600, 200 * 171 / 400]],
        rtol=1e-6,
    )


def test_batches_keep_their_axis():
    points = np.arange(12).reshape(3, 2, 2)
    prompt = checked(points, box=[(0, 0, 5, 5)] * 3)
    assert prompt.batch_size == 3
    assert prompt.labels.shape == (3, 2)
    assert prompt.model_points(SHAPE).shape == (3, 2, 2)
    np.testing.assert_array_equal(prompt.model_points(SHAPE), points[..., ::-1])
    assert prompt.model_boxes(SHAPE).shape == (3, 4)
    assert [single.points.tolist() for single in prompt.items()] == points.tolist()
    assert prompt.item(1).batch_size is None


def test_a_single_prompt_has_no_batch():
    assert checked([(1, 2)]).batch_size is None
    assert checked([(1, 2)]).model_points(SHAPE).shape == (1, 1, 2)
    assert checked(box=(1, 2, 3, 4)).model_points(SHAPE) is None
    assert checked([(1, 2)]).model_boxes(SHAPE) is None


@pytest.mark.parametrize(
    ("prompt", "ambiguous"),
    [
        ({"points": [(1, 2)]}, True),
        ({"points": [[(1, 2)], [(3, 4)]]}, True),
        ({"points": [(1, 2), (3, 4)]}, False),
        ({"box": (1, 2, 3, 4)}, False),
        ({"points": [(1, 2)], "box": (1, 2, 3, 4)}, False),
        ({"points": [(1, 2)], "mask": np.zeros((64, 64), np.float32)}, False),
    ],
)
def test_only_a_single_point_is_ambiguous(prompt, ambiguous):
    assert checked(**prompt).is_ambiguous is ambiguous


def test_no_points_beside_a_box_are_no_points():
    assert checked([], [], box=(1, 2, 3, 4)).points is None
    assert checked(np.zeros((2, 0, 2)), box=[(1, 2, 3, 4)] * 2).points is None


@given(st.floats(-0.5, 399.5), st.floats(-0.5, 599.5))
def test_every_position_of_a_pixel_is_allowed(row, col):
    assert checked([(row, col)]).points.tolist() == [[row, col]]


@given(st.floats(allow_nan=True), st.floats(allow_nan=True))
def test_nothing_else_is(row, col):
    if -0.5 <= row <= 399.5 and -0.5 <= col <= 599.5:
        return
    with pytest.raises(ValueError, match=r"outside of the image|finite"):
        checked([(row, col)])


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({}, "empty"),
        ({"points": []}, "empty"),
        ({"points": np.zeros((0, 2))}, "empty"),
        ({"points": (1, 2)}, r"shape \(2,\)"),
        ({"points": [(1, 2, 3)]}, r"shape \(1, 3\)"),
        ({"points": np.zeros((1, 1, 1, 2))}, r"shape \(1, 1, 1, 2\)"),
        ({"points": 5}, r"shape \(\)"),
        ({"points": "middle"}, "'middle'"),
        ({"points": [(1, 2), (3,)]}, "give numbers"),
        ({"points": {"row": 1}}, "give numbers"),
        ({"points": [(1, np.nan)]}, "nan"),
        ({"points": [(400, 2)]}, r"\(400, 2\).*399.5"),
        ({"points": [(5, 600)]}, r"\(5, 600\).*599.5"),
        ({"points": [(5, 2), (-1, 3)]}, r"\(-1, 3\)"),
        ({"points": [(1, 2)], "labels": [1, 0]}, "one label for each point"),
        ({"points": [(1, 2)], "labels": 1}, "one label for each point"),
        ({"points": [(1, 2)], "labels": [2]}, "holds 2; allowed are 1"),
        ({"points": [(1, 2)], "labels": [0.5]}, "holds 0.5"),
        ({"points": [(1, 2)], "labels": ["object"]}, "give numbers"),
        ({"points": [(1, 2)], "labels": [np.nan]}, "nan"),
        ({"labels": [1]}, "no points"),
        ({"labels": [1], "box": (1, 2, 3, 4)}, "no points"),
        ({"box": (1, 2, 3)}, r"shape \(3,\)"),
        ({"box": []}, r"shape \(0,\)"),
        ({"box": np.zeros((0, 4))}, r"shape \(0, 4\)"),
        ({"box": (3, 2, 1, 4)}, r"\(3, 2, 1, 4\) has no area"),
        ({"box": (1, 4, 3, 4)}, "has no area"),
        ({"box": (1, 2, 3, np.inf)}, "inf"),
        ({"box": (1, 2, 3, 700)}, r"\(1, 2, 3, 700\) leaves the image"),
        ({"box": [(1, 2, 3, 4), (-2, 2, 3, 4)]}, r"\(-2, 2, 3, 4\) leaves"),
        ({"mask": np.zeros(SHAPE, bool)}, "mask is empty"),
        ({"mask": np.ones((5, 5), bool)}, r"shape \(5, 5\)"),
        ({"mask": np.ones(SHAPE, int)}, "labels == number"),
        ({"mask": np.ones((32, 32))}, r"\(32, 32\); this model's are \(64, 64\)"),
        ({"mask": np.full((64, 64), np.nan)}, "NaN"),
        ({"mask": "object"}, "allowed are bool"),
        ({"points": [[(1, 2)]], "box": (1, 2, 3, 4)}, "same B"),
        ({"points": [[(1, 2)]] * 2, "box": [(1, 2, 3, 4)] * 3}, "same B"),
        ({"points": [[(1, 2)]] * 2, "mask": np.ones((64, 64))}, "same B"),
    ],
)
def test_a_wrong_prompt_is_refused_in_words(prompt, message):
    with pytest.raises(ValueError, match=message):
        checked(**prompt)


def test_logits_need_to_know_the_models_shape():
    with pytest.raises(ValueError, match="None"):
        checked(mask=np.zeros((64, 64)), logits_shape=None)


def test_becomes_plain_json():
    mask = np.zeros(SHAPE, bool)
    mask[3:9, 4:20] = True
    prompt = checked([(1, 2), (3.5, 4)], [1, 0], (1, 2, 3, 4), mask)
    values = json.loads(json.dumps(prompt.to_dict()))
    assert values["points"] == [[1, 2], [3.5, 4]]
    assert values["labels"] == [1, 0]
    assert values["box"] == [1, 2, 3, 4]
    np.testing.assert_array_equal(RunLengths.from_dict(values["mask"]).decode(), mask)
    assert checked([(1, 2)]).to_dict() == {"points": [[1, 2]], "labels": [1]}
    assert checked(mask=np.zeros((64, 64))).to_dict() == {"mask": "low-resolution logits"}
