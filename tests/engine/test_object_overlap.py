from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_segany.engine.object_overlap import OVERLAP_RULES, put_numbered, put_object, writable_pixels
from napari_segany.formats.window_mask import WindowMask

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


@settings(deadline=None, max_examples=50)
@given(
    st.lists(arrays(bool, SHAPE), min_size=1, max_size=4),
    arrays(np.uint16, SHAPE, elements=st.integers(0, 3)),
    st.sampled_from(OVERLAP_RULES),
)
def test_many_are_written_as_one_after_the_other(masks, present, rule):
    expected = present.astype(np.int64)
    for number, mask in enumerate(masks, 10):
        put_object(expected, mask, number, overlap=rule)
    left = [number if (expected == number).any() else 0 for number in range(10, 10 + len(masks))]
    found = present.copy()
    put_numbered(found, [WindowMask.cropped(mask, (0, 0), SHAPE) for mask in masks], left, overlap=rule)
    np.testing.assert_array_equal(found, expected)


def test_each_of_many_needs_a_number():
    with pytest.raises(ValueError, match="1 masks have 2 numbers"):
        put_numbered(np.zeros(SHAPE, int), [WindowMask(np.ones((2, 2), bool), (0, 0), SHAPE)], [1, 2])
