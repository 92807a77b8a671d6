from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_segany.engine.object_overlap import OVERLAP_RULES, writable_pixels

SHAPE = (6, 7)


def test_hand_worked_overlaps():
    present = np.array([[1, 1, 1, 1, 0, 2]])
    mask = np.array([[False, False, True, True, True, True]])
    small = np.array([[False, False, False, True, True, True]])
    assert writable_pixels(mask, present, 0, "keep").tolist() == [[False] * 4 + [True, False]]
    assert writable_pixels(mask, present, 2, "keep").tolist() == [[False] * 4 + [True, True]]
    assert writable_pixels(mask, present, 0, "overwrite").tolist() == mask.tolist()
    # object 1 has four pixels as the mask has: the one that was there keeps its own; three are fewer than four
    assert writable_pixels(mask, present, 0, "smaller").tolist() == [[False] * 4 + [True, False]]
    assert writable_pixels(small, present, 0, "smaller").tolist() == [[False] * 3 + [True, True, False]]


def test_another_rule_is_refused():
    with pytest.raises(ValueError, match="choose one of keep, overwrite, smaller"):
        writable_pixels(np.ones((1, 1), bool), np.ones((1, 1)), 0, "larger")


@settings(deadline=None)
@given(arrays(bool, SHAPE), arrays(np.uint16, SHAPE, elements=st.integers(0, 4)), st.integers(0, 4))
def test_free_pixels_are_always_taken_and_others_by_their_rule(mask, present, own):
    taken = {rule: writable_pixels(mask, present, own, rule) for rule in OVERLAP_RULES}
    free = mask & ((present == 0) | (present == own))
    for found in taken.values():
        assert (free <= found).all()
        assert (found <= mask).all()
    for label in range(1, 5):
        here = mask & (present == label)
        if label == own or not here.any():
            continue
        assert not taken["keep"][here].any()
        assert taken["overwrite"][here].all()
        assert (taken["smaller"][here] == (mask.sum() < (present == label).sum())).all()
