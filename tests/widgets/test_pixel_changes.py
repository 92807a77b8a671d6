"""Changed pixels as values, against plain copies of the data before and after."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Labels

from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.pixel_changes import (
    UnknownPaintError,
    changed_pixels,
    joined,
    label_change,
    painted_pixels,
    plane_change,
)

SHAPE = (3, 12, 15)


def some_labels(seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, SHAPE).astype(np.uint16)


def paint(layer, actions):
    for kind, plane, row, col, label in actions:
        if kind == "brush":
            layer.paint((plane, row, col), label)
        elif kind == "fill":
            layer.fill((plane, row, col), label)
        elif kind == "polygon" and layer.n_edit_dimensions == 2:
            layer.paint_polygon([(plane, row, col), (plane, row + 4, col), (plane, row, col + 5)], label)
        elif kind == "pixels":
            rows = np.array([row, row + 1])
            layer.data_setitem((np.full(2, plane), rows, np.array([col, col])), label)


STROKES = st.lists(
    st.tuples(
        st.sampled_from(["brush", "fill", "polygon", "pixels"]),
        st.integers(0, 2),
        st.integers(0, 10),
        st.integers(0, 14),
        st.integers(0, 6),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=25, deadline=None)
@given(STROKES, st.sampled_from([2, 3]), st.integers(1, 6))
def test_a_stroke_is_read_as_what_it_changed_and_put_back(strokes, dimensions, size):
    layer = Labels(some_labels())
    layer.n_edit_dimensions, layer.brush_size = dimensions, size
    told = []
    layer.events.paint.connect(lambda event: told.append(painted_pixels(layer, event.value)))
    before = layer.data.copy()
    with layer.block_history():
        paint(layer, strokes)
    after = layer.data.copy()
    if not told:
        np.testing.assert_array_equal(before, after)
        return
    (change,) = told
    different = np.flatnonzero(before.ravel() != after.ravel())
    np.testing.assert_array_equal(change.indices, different)
    np.testing.assert_array_equal(change.before, before.ravel()[different])
    np.testing.assert_array_equal(change.after, after.ravel()[different])
    sizes = {label: int((after == label).sum()) - int((before == label).sum()) for label in range(1, 7)}
    assert change.growth() == {label: sizes[label] for label in change.labels}
    assert all(sizes[label] == 0 for label in sizes if label not in change.labels)
    back = change.put_back(layer)
    np.testing.assert_array_equal(layer.data, before)
    back.put_back(layer)
    np.testing.assert_array_equal(layer.data, after)


@settings(max_examples=25, deadline=None)
@given(st.lists(STROKES, min_size=1, max_size=4))
def test_changes_that_followed_each_other_are_one(strokes):
    layer = Labels(some_labels())
    told = []
    layer.events.paint.connect(lambda event: told.append(painted_pixels(layer, event.value)))
    before = layer.data.copy()
    for several in strokes:
        with layer.block_history():
            paint(layer, several)
    after = layer.data.copy()
    change = joined(told)
    if change is None:
        np.testing.assert_array_equal(before, after)
        return
    change.put_back(layer)
    np.testing.assert_array_equal(layer.data, before)
    assert (np.diff(change.indices) > 0).all()


def test_pixels_set_by_a_program_are_told_before_they_are_written():
    layer = Labels(some_labels())
    before, told = layer.data.copy(), []
    layer.events.paint.connect(lambda event: told.append(painted_pixels(layer, event.value)))
    layer.data_setitem((np.array([0, 1]), np.array([2, 3]), np.array([4, 5])), 9)
    assert told[0].after.tolist() == [9, 9]
    told[0].put_back(layer)
    np.testing.assert_array_equal(layer.data, before)


def test_pixels_that_somebody_else_changed_since_stay():
    layer = Labels(some_labels())
    layer.data[0] = 0
    change = plane_change(SHAPE, Plane((1, 2), (0,)), layer.data[0].copy(), np.full(SHAPE[1:], 9, np.uint16))
    layer.data[0] = 9
    layer.data[0, 2, 3] = 5
    back = change.put_back(layer)
    assert layer.data[0, 2, 3] == 5
    assert layer.data[0].sum() == 5
    assert len(back.indices) == 12 * 15 - 1


def test_data_of_another_shape_are_left_alone():
    change = label_change(some_labels(), 2, 0)
    layer = Labels(np.full((12, 15), 2, np.uint16))
    assert len(change.put_back(layer).indices) == 0
    assert (layer.data == 2).all()


@pytest.mark.parametrize("axes", [(1, 2), (0, 2), (0, 1)])
def test_a_plane_along_any_axes(axes):
    data = some_labels()
    plane = Plane(axes, (1,))
    wanted = data[plane.slicer()].copy()
    wanted[wanted == 2] = 7
    change = plane_change(SHAPE, plane, data[plane.slicer()], wanted)
    copy = data.copy()
    copy.ravel()[change.indices] = change.after
    expected = data.copy()
    expected[plane.slicer()] = wanted
    np.testing.assert_array_equal(copy, expected)
    assert plane_change(SHAPE, plane, wanted, wanted.copy()) is None


def test_a_label_and_a_window_as_changes():
    data = some_labels()
    change = label_change(data, 3, 8)
    np.testing.assert_array_equal(change.indices, np.flatnonzero(data == 3))
    assert set(change.after) == {8}
    assert label_change(data, 99, 1) is None
    where = np.zeros((1, 2, 2), bool)
    where[0, 0, 1] = True
    change = changed_pixels(data, (2, 5, 6), where, np.full((1, 2, 2), 40))
    assert change.indices.tolist() == [np.ravel_multi_index((2, 5, 7), SHAPE)]
    assert change.after.tolist() == [40]


def test_an_unknown_form_of_painting_is_refused():
    with pytest.raises(UnknownPaintError, match="by str"):
        painted_pixels(Labels(some_labels()), ["something new"])
