"""A layer's place goes through JSON, and damaged fields are told."""

from __future__ import annotations

import json

import numpy as np
import pytest
from napari.layers import Labels

from napari_segany.widgets.placement_fields import FIELD, fields_of, read_placement


def through_json(layer: Labels) -> dict:
    fields = fields_of(layer.as_layer_data_tuple()[1], layer.ndim)
    return json.loads(json.dumps({FIELD: fields} if fields else {}))


def test_a_layer_where_napari_puts_any_needs_no_fields():
    assert fields_of(Labels(np.zeros((4, 5), int)).as_layer_data_tuple()[1], 2) == {}
    assert read_placement({}, (4, 5)).keywords == {}


def test_a_layer_comes_back_to_its_place():
    place = {
        "scale": [0.5, 0.25],
        "translate": [3, -2],
        "rotate": 30,
        "shear": [0.1],
        "units": ["um", "um"],
        "affine": [[1, 0.2, 5], [0, 2, 1], [0, 0, 1]],
    }
    layer = Labels(np.zeros((4, 5), int), **place)
    back = Labels(np.zeros((4, 5), int), **read_placement(through_json(layer), (4, 5)).keywords)
    for position in [(0, 0), (3, 4), (1, 0)]:
        np.testing.assert_allclose(back.data_to_world(position), layer.data_to_world(position))
    assert back.units == layer.units


def test_an_axis_may_be_flipped():
    layer = Labels(np.zeros((4, 5), int), scale=[-1, 2])
    np.testing.assert_array_equal(read_placement(through_json(layer), (4, 5)).keywords["scale"], [-1, 2])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ([], "expected an object"),
        ({"scale": [1]}, "'scale' is no array of numbers"),
        ({"scale": [1, 0]}, "positive"),
        ({"scale": [1, "wide"]}, "'scale'"),
        ({"translate": [1, float("inf")]}, "'translate'"),
        ({"affine": [[1, 2], [3]]}, "'affine'"),
        ({"affine": [[0, 0, 0], [0, 0, 0], [0, 0, 0]]}, "'affine' is a matrix that cannot be inverted"),
        ({"affine": [[1, 1, 5], [1, 1, 0], [0, 0, 1]]}, "'affine' is a matrix that cannot be inverted"),
        ({"rotate": [[1, 1], [1, 1]]}, "'rotate' is a matrix that cannot be inverted"),
        ({"units": "um"}, "'units'"),
        ({"units": ["um", "foo"]}, "foo"),
        ({"units": ["um", "m**"]}, r"m\*\*"),
        ({"units": ["um", ""]}, "unknown"),
        ({"stack": "a", "shape": [3, 4, 5]}, "a plane of a stack"),
        ({"stack": "a", "shape": [3, 4, 5], "plane": [True]}, "a plane of a stack"),
        ({"stack": "a", "shape": [3, 4, 5], "plane": [3]}, "is not in a stack"),
        ({"stack": "a", "shape": [3, 4, 6], "plane": [2]}, "is not in a stack"),
        ({"stack": "a", "shape": [4, 5], "plane": [2]}, "is not in a stack"),
    ],
)
def test_damaged_fields_are_told(fields, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_placement({FIELD: fields}, (4, 5))
    assert FIELD in str(caught.value)
