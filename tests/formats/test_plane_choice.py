"""A plane of a stack, by the names of its axes."""

from __future__ import annotations

import pytest

from napari_segany.formats.plane_choice import PlaneChoice


@pytest.mark.parametrize(
    ("text", "found", "suffix"),
    [("c=1", {"c": 1}, "_c1"), ("Z=3, c=0", {"z": 3, "c": 0}, "_z3_c0")],
)
def test_axes_are_named(text, found, suffix):
    choice = PlaneChoice.from_text(text)
    assert choice.along({"z": 4, "c": 2}) == found
    assert choice.suffix == suffix


def test_the_only_axis_needs_no_name():
    assert PlaneChoice.from_text("2").along({"t": 1, "c": 3}) == {"c": 2}
    assert PlaneChoice.from_text("2").suffix == "_plane2"


@pytest.mark.parametrize("text", ["", "c", "c=", "c=x", "c=-1", "c=1,c=2", "1,c=2", "1,2", "c=1.5"])
def test_what_is_no_plane_is_refused(text):
    with pytest.raises(ValueError, match="is no plane; give positions from 0, as in c=1"):
        PlaneChoice.from_text(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5", r"plane 5 of z \(4\), c \(2\) is asked for; name the axis"),
        ("t=0", r"no axis t; there is z \(4\), c \(2\)"),
        ("z=4", "z=4 is asked for; z goes from 0 to 3"),
    ],
)
def test_what_is_not_there_is_told(text, message):
    with pytest.raises(ValueError, match=message):
        PlaneChoice.from_text(text).along({"z": 4, "c": 2})


def test_a_single_plane_has_no_axis():
    with pytest.raises(ValueError, match="there is no axis c; there is a single plane"):
        PlaneChoice.from_text("c=0").along({})
