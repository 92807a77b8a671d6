"""Planes and stacks of arrays whose axes have names, in any order of them."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from napari_segany.formats.named_axes import NamedAxes
from napari_segany.formats.plane_choice import PlaneChoice

TCZYX = np.random.default_rng(0).integers(0, 999, (1, 2, 4, 5, 6)).astype(np.uint16)


def chosen(text: str) -> PlaneChoice:
    return PlaneChoice.from_text(text)


@pytest.mark.parametrize("order", list(permutations("tcz")))
def test_a_stack_goes_along_the_axis_that_is_left(order):
    axes = [*("tczyx".index(name) for name in order), 3, 4]
    opened = NamedAxes.of([TCZYX.transpose(axes)], [*order, "y", "x"])
    np.testing.assert_array_equal(opened.stack(chosen("c=1")), TCZYX[0, 1])
    np.testing.assert_array_equal(opened.stack(chosen("z=2")), TCZYX[0, :, 2])
    whole = opened.plane(chosen("c=1,z=3"))
    np.testing.assert_array_equal(whole.read((0, 0, 5, 6)), TCZYX[0, 1, 3])
    for text in ("c=1,z=3", "q=1", "c=2"):
        with pytest.raises(ValueError, match=r"none is left|there is no axis q|c goes from 0 to 1"):
            opened.stack(chosen(text))
    with pytest.raises(ValueError, match=r"(c \(2\), z \(4\)|z \(4\), c \(2\)) are left; choose"):
        opened.stack()


def test_the_planes_that_are_left_open_come_in_the_order_of_the_file():
    opened = NamedAxes.of([TCZYX], "tczyx")
    texts = [plane.suffix for plane in opened.planes(chosen("c=1"))]
    assert texts == ["_c1_z0", "_c1_z1", "_c1_z2", "_c1_z3"]
    planes = [opened.plane(plane).read((0, 0, 5, 6)) for plane in opened.planes()]
    np.testing.assert_array_equal(planes, TCZYX.reshape(8, 5, 6))
    assert list(NamedAxes.of([TCZYX[0, 0, 0]]).planes()) == [PlaneChoice(())]


def test_three_channels_are_colours_of_a_stack_unless_one_is_chosen():
    data = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 6)).astype(np.uint8)
    opened = NamedAxes.of([data], "czyx")
    np.testing.assert_array_equal(opened.stack(), np.moveaxis(data, 0, -1))
    np.testing.assert_array_equal(opened.stack(chosen("c=2")), data[2])
    assert len(list(opened.planes())) == 4
    assert len(list(opened.planes(chosen("z=1,c=0")))) == 1
