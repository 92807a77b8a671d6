"""What flattening hides stays kept, and what is painted since counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_segany.formats.painting import PAINTING_RULES
from napari_segany.formats.record import MaskRecord
from napari_segany.widgets.kept_masks import KeptMask, painted, present_masks

SIZE = (12, 14)


def square(label: int, top: int, left: int, side: int, **scores) -> KeptMask:
    mask = np.zeros(SIZE, bool)
    mask[top : top + side, left : left + side] = True
    return KeptMask(label, MaskRecord.from_mask(mask, **scores))


LARGE, SMALL, ELSEWHERE = square(4, 1, 1, 8, predicted_iou=0.9), square(2, 3, 3, 3), square(7, 9, 10, 2)
NESTED = [LARGE, SMALL, ELSEWHERE]


def masks(present) -> dict[int, np.ndarray]:
    return {mask.label: mask.record.mask for mask in present}


def test_smaller_masks_lie_on_top_under_their_own_numbers():
    labels = painted(NESTED, SIZE)
    assert labels.dtype == np.uint16
    assert np.bincount(labels.ravel()).tolist() == [12 * 14 - 64 - 4, 0, 9, 0, 55, 0, 0, 4]
    assert painted([square(70_000, 0, 0, 2)], SIZE).max() == 70_000


def test_without_a_change_the_kept_masks_come_back_whole():
    assert present_masks(painted(NESTED, SIZE), NESTED) == NESTED


def test_a_painted_pixel_belongs_to_its_new_label_alone():
    labels = painted(NESTED, SIZE)
    labels[4, 4] = 7  # was 2, with 4 under it
    labels[0, 0] = 9  # was background
    labels[1, 1] = 0  # was 4
    now = masks(present_masks(labels, NESTED))
    assert list(now) == [4, 2, 7, 9]
    expected = LARGE.record.mask.copy()
    expected[4, 4] = expected[1, 1] = False
    np.testing.assert_array_equal(now[4], expected)
    assert now[2].sum() == 8
    assert now[7].sum() == 5
    assert now[9].sum() == 1


def test_a_corrected_mask_keeps_its_scores_and_the_others_stay_the_same_objects():
    labels = painted(NESTED, SIZE)
    labels[1, 1] = 0
    large, small, elsewhere = present_masks(labels, NESTED)
    assert large.record.predicted_iou == 0.9
    assert large.record.area == 63
    assert small is SMALL
    assert elsewhere is ELSEWHERE


def test_what_was_erased_wholly_is_deleted_with_its_hidden_part():
    labels = painted(NESTED, SIZE)
    labels[labels == 4] = 0
    assert [mask.label for mask in present_masks(labels, NESTED)] == [2, 7]


def test_a_mask_that_was_never_visible_is_kept():
    twins = [square(1, 2, 2, 3), square(2, 2, 2, 3)]
    labels = painted(twins, SIZE)
    assert len(np.unique(labels)) == 2
    labels[0, 0] = 5
    assert [mask.label for mask in present_masks(labels, twins)] == [1, 2, 5]


@pytest.mark.parametrize("rule", PAINTING_RULES)
def test_what_every_rule_hides_is_kept(rule):
    labels = painted(NESTED, SIZE, rule).astype(int)
    assert present_masks(labels, NESTED, rule) == NESTED
    labels[9, 10] = 1  # a pixel of ELSEWHERE, which no rule hides
    now = masks(present_masks(labels, NESTED, rule))
    assert {label: int(mask.sum()) for label, mask in now.items()} == {4: 64, 2: 9, 7: 3, 1: 1}


def test_masks_of_another_size_are_of_no_use():
    labels = np.zeros((5, 5), int)
    labels[1, 1] = 3
    (mask,) = present_masks(labels, NESTED)
    assert (mask.label, mask.record.area, mask.record.predicted_iou) == (3, 1, None)


def test_negative_labels_are_objects_too():
    labels = np.zeros(SIZE, int)
    labels[2:4, 2] = -3
    assert [mask.label for mask in present_masks(labels)] == [-3]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(1, 5)), max_size=4),
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 13), st.integers(0, 6)), max_size=6),
)
def test_the_present_masks_look_like_the_layer_wherever_it_was_painted(squares, strokes):
    kept = [square(label, *where) for label, where in enumerate(squares, 1)]
    before = painted(kept, SIZE)
    labels = before.copy()
    for row, col, label in strokes:
        labels[row, col] = label
    present = present_masks(labels, kept)
    changed = labels != before
    union = np.zeros(SIZE, bool)
    for mask in present:
        np.testing.assert_array_equal(mask.record.mask[changed], (labels == mask.label)[changed])
        assert mask.record.mask[labels == mask.label].all()
        union |= mask.record.mask
    np.testing.assert_array_equal(union[changed], labels[changed] > 0)


@pytest.mark.parametrize("label", [1, 3])
def test_plain_labels_are_masks_of_their_pixels(label):
    labels = np.zeros(SIZE, np.uint8)
    labels[2:5, 2:5] = label
    labels[3, 3] = 0
    (mask,) = present_masks(labels)
    np.testing.assert_array_equal(mask.record.mask, labels == label)
