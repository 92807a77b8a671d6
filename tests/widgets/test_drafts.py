from __future__ import annotations

import json

import numpy as np
import pytest

from napari_segany.widgets.drafts import ObjectPrompt, Prompts

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
