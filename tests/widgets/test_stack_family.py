"""Families of objects that divide, and which rows speak of which stack."""

from __future__ import annotations

import json

import pytest

from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.object_table import PROMPTS
from napari_segany.widgets.stack_family import family_of, record_on
from napari_segany.widgets.stack_line import StackLine
from napari_segany.widgets.stack_record import STACK, StackRecord

#   1        6    8 (its parent 9 is no object of the stack)
#  2  3      7
# 4 5
PARENTS = {1: 0, 2: 1, 3: 1, 4: 2, 5: 2, 6: 0, 7: 6, 8: 9}


@pytest.mark.parametrize("label", range(1, 6))
def test_a_family_is_the_same_from_each_of_its_members(label):
    assert family_of(label, PARENTS) == (1, 2, 3, 4, 5)


def test_others_and_strangers_are_no_family():
    assert family_of(7, PARENTS) == (6, 7)
    assert family_of(8, PARENTS) == (8,)
    assert family_of(20, PARENTS) == (20,)


def test_parents_in_a_circle_come_to_an_end():
    assert family_of(1, {1: 2, 2: 1}) == (1, 2)


def test_a_row_speaks_of_its_own_stack_alone():
    line = StackLine.through(Plane((1, 2), (0,)), 0, (5, 9, 9))
    record = StackRecord(0, line.first, parent=3, born=2)
    row = {PROMPTS: json.dumps({STACK: record.to_dict()})}
    assert record_on(line, row) == record
    assert record_on(StackLine.through(Plane((0, 2), (0,)), 1, (5, 9, 9)), row) is None
    for other in ({}, {PROMPTS: "{}"}, {PROMPTS: json.dumps({STACK: {"axis": 0}})}):
        assert record_on(line, other) is None
