from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_segany.widgets.drafts import Candidate, Draft, ObjectPrompt, PackedMask, Prompts

MASK = ObjectPrompt(np.pad(np.ones((2, 3), bool), ((4, 1), (5, 2))), "nuclei", 7)
ONE = Prompts(((1.0, 2.0),), (1,))


@pytest.mark.parametrize(
    ("later", "earlier", "expected"),
    [
        (Prompts(((1.0, 2.0), (3.0, 4.0)), (1, 0)), ONE, True),
        (Prompts(((3.0, 4.0), (1.0, 2.0)), (0, 1)), ONE, True),
        (Prompts(((1.0, 2.0),), (1,), box=(0, 0, 5, 5)), ONE, True),
        (Prompts(((1.0, 2.0),), (1,), mask=MASK), ONE, True),
        (ONE, ONE, False),
        (ONE, None, False),
        (ONE, Prompts(), False),
        (Prompts(((1.0, 2.5),), (1,)), ONE, False),
        (Prompts(((1.0, 2.0), (3.0, 4.0)), (0, 1)), ONE, False),
        (Prompts((), (), box=(0, 0, 5, 5)), ONE, False),
        (Prompts(((1.0, 2.0),), (1,), box=(0, 0, 6, 5)), Prompts((), (), box=(0, 0, 5, 5)), False),
        (ONE, Prompts(((1.0, 2.0), (1.0, 2.0)), (1, 1)), False),
    ],
)
def test_only_added_prompts_extend(later, earlier, expected):
    assert later.extends(earlier) is expected


def test_no_prompts_are_false():
    assert not Prompts()
    assert Prompts(box=(0, 0, 1, 1))
    assert Prompts(mask=MASK)


def test_prompts_as_json_name_where_the_mask_came_from():
    values = json.loads(json.dumps(Prompts(((1.0, 2.0),), (1,), (0, 0, 5, 5), MASK).to_dict()))
    assert values == {
        "points": [[1.0, 2.0]],
        "labels": [1],
        "box": [0, 0, 5, 5],
        "mask": {"layer": "nuclei", "label": 7},
    }


def test_box_of_an_object_encloses_its_pixels():
    assert MASK.box == (3.5, 4.5, 5.5, 7.5)


@settings(deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_packing_loses_nothing(mask):
    np.testing.assert_array_equal(PackedMask.of(mask).unpacked(), mask)


def test_a_packed_draft_is_the_same_and_small():
    mask = np.zeros((1000, 1000), bool)
    mask[300:400, 500:520] = True
    picture = np.zeros((4, 4, 3), np.uint8)
    candidate = Candidate(mask, 0.9, 0.8, np.ones((8, 8), np.float32), picture, picture[..., 0] > 0)
    draft = Draft(None, ONE, (candidate, candidate), 1)
    packed = draft.packed()
    assert packed.nbytes < 2 * (100 * 20 // 8 + 8 * 8 * 4 + 100)
    again = packed.unpacked()
    assert (again.answered, again.selected) == (ONE, 1)
    np.testing.assert_array_equal(again.candidates[1].mask, mask)
    assert again.candidates[0].logits is candidate.logits
