from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_segany.formats.painting import PAINTING_RULES, paint, painting_order, parents
from napari_segany.formats.record import MaskRecord

SHAPE = (12, 14)


def rectangle(top, left, bottom, right, iou=0.5):
    mask = np.zeros(SHAPE, bool)
    mask[top:bottom, left:right] = True
    return MaskRecord.from_mask(mask, predicted_iou=iou)


LARGE = rectangle(0, 0, 10, 10, iou=0.7)
SMALL = rectangle(2, 2, 5, 5, iou=0.6)
EDGE = rectangle(8, 8, 12, 14, iou=0.9)  # 24 pixels, of which 4 lie on the large one


def at(labels, *positions):
    return [int(labels[position]) for position in positions]


@pytest.mark.parametrize(
    ("rule", "inside", "crossing"), [("smaller", 2, 3), ("larger", 1, 1), ("better", 1, 3), ("separate", 1, 3)]
)
def test_which_one_shows(rule, inside, crossing):
    labels = paint([LARGE, SMALL, EDGE], [1, 2, 3], SHAPE, rule)
    assert at(labels, (3, 3), (9, 9), (0, 0), (11, 13), (11, 0)) == [inside, crossing, 1, 3, 0]
    assert labels.dtype == np.uint16


def test_without_overlap_covered_objects_are_left_out_whole():
    labels = paint([LARGE, SMALL], [1, 2], SHAPE, "separate")
    assert set(np.unique(labels)) == {0, 1}
    # a twenty-fifth of the large one is covered by the better one at its edge: it stays, less those pixels
    assert (paint([LARGE, EDGE], [1, 2], SHAPE, "separate") == 1).sum() == 100 - 4


def test_an_object_that_no_model_made_is_better_than_all():
    drawn = MaskRecord.from_mask(SMALL.mask)
    assert painting_order([drawn, LARGE], "better") == [1, 0]
    assert painting_order([drawn, LARGE], "separate") == [0, 1]


def test_large_labels_get_a_wide_type():
    labels = paint([SMALL], [70_000], SHAPE)
    assert labels.dtype == np.uint32
    assert labels.max() == 70_000


def test_parents_are_the_smallest_around():
    middle = rectangle(1, 1, 8, 8)
    assert parents([SMALL, LARGE, middle, EDGE]) == [2, None, 1, None]
    assert parents([]) == []


def test_equal_masks_are_not_inside_one_another():
    assert parents([SMALL, SMALL]) == [None, None]


@pytest.mark.parametrize(("labels", "rule"), [([1], "smaller"), ([0, 1], "smaller"), ([1, 2], "top")])
def test_what_makes_no_sense_is_refused(labels, rule):
    with pytest.raises(ValueError, match=r"labels|painting rule"):
        paint([LARGE, SMALL], labels, SHAPE, rule)


boxes = st.tuples(st.integers(0, 10), st.integers(0, 12), st.integers(1, 6), st.integers(1, 6), st.floats(0, 1))


@given(st.lists(boxes, max_size=8), st.sampled_from(PAINTING_RULES))
def test_a_pixel_shows_one_of_the_masks_on_it(found, rule):
    records = [rectangle(top, left, top + height, left + width, iou) for top, left, height, width, iou in found]
    labels = paint(records, range(1, len(records) + 1), SHAPE, rule)
    covered = np.zeros(SHAPE, bool)
    for number, record in enumerate(records, 1):
        assert not (labels == number)[~record.mask].any()
        covered |= record.mask
    if rule != "separate":
        np.testing.assert_array_equal(labels != 0, covered)
    for child, parent in enumerate(parents(records)):
        if parent is not None:
            inner, outer = records[child].mask, records[parent].mask
            assert (inner & outer).sum() >= 0.9 * inner.sum()
            assert outer.sum() > inner.sum()
