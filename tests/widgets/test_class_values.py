"""Lists of classes as plain values and back, and two lists made one."""

from __future__ import annotations

import json

import pytest

from napari_segany.widgets.class_list import ObjectClass, joined
from napari_segany.widgets.class_values import class_values, saved_classes

CLASSES = (ObjectClass(1, "nucleus", "#112233"), ObjectClass(4, "debris", "#d55e00"))


@pytest.mark.parametrize("current", ["debris", ""])
def test_a_list_comes_back_from_json_with_numbers_and_colours(current):
    assert saved_classes(json.loads(json.dumps(class_values(CLASSES, current)))) == (CLASSES, current)


def test_values_of_an_earlier_version_hold_no_list():
    assert saved_classes({"device": "auto"}) is None


BAD = {
    "no list": ({"classes": 3}, "expected a list"),
    "no number": ({"classes": [{"name": "a", "colour": "#112233"}]}, "'number' is nothing"),
    "number": ({"classes": [{"number": 0, "name": "a", "colour": "#112233"}]}, "number of a class is 0"),
    "name": ({"classes": [{"number": 1, "name": 7, "colour": "#112233"}]}, "'name' is 7"),
    "colour": ({"classes": [{"number": 1, "name": "a", "colour": "red"}]}, "give it as #rrggbb"),
    "twice": ({"classes": class_values(CLASSES, "")["classes"] * 2}, "the same number"),
    "name twice": (
        {"classes": [{"number": number, "name": "a", "colour": "#112233"} for number in (1, 2)]},
        "the same name",
    ),
    "current": ({"class": "mitosis"}, "current class is 'mitosis'"),
}


@pytest.mark.parametrize("case", BAD, ids=list(BAD))
def test_damaged_lists_give_one_sentence(case):
    values, expected = BAD[case]
    with pytest.raises(ValueError, match=expected) as error:
        saved_classes({**class_values(CLASSES, ""), **values})
    assert str(error.value).startswith("the list of classes: ")


def test_of_two_lists_the_first_keeps_its_numbers_and_the_other_those_that_are_free():
    others = (
        ObjectClass(1, "debris", "#000001"),
        ObjectClass(2, "vesicle", "#000002"),
        ObjectClass(3, "mitosis", "#000003"),
        ObjectClass(4, "border", "#000004"),
    )
    together = joined(CLASSES, others)
    assert [(one.number, one.name, one.colour) for one in together] == [
        (1, "nucleus", "#112233"),
        (2, "vesicle", "#000002"),
        (3, "mitosis", "#000003"),
        (4, "debris", "#d55e00"),
        (5, "border", "#000004"),
    ]
    assert joined(CLASSES, ()) == CLASSES
    assert joined((), CLASSES) == CLASSES
