"""Directions through a stack as they are chosen in the dock, ends at a background click, and tracks through time."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Tracks
from qtpy.QtCore import Qt
from tests.canvas.hands import choose, press, tick, type_number
from tests.widgets.stack_oracle import StackOracle, squares

from napari_segany.widgets.settings import Settings

COUNT = 10
STACK = squares(COUNT, (1, 8, 8, 14, range(COUNT)), (2, 40, 36, 14, range(3, 7)))
MOVIE = squares(6, (1, 8, 8, 30, range(3)), (2, 8, 8, 13, range(3, 6)), (3, 25, 25, 13, range(3, 6)))
UNDO = (Qt.Key_Z, Qt.ControlModifier)


@pytest.fixture
def open_stack(drive):
    def begin(stack, predictor, **kwargs):
        return drive(
            stack, predictor=predictor, settings=Settings(compute_ahead=False), contrast_limits=(0, 10), **kwargs
        )

    return begin


def click(person, place, position, button=Qt.LeftButton):
    """Go to a slice with the slider, and click on it."""
    person.viewer.dims.set_current_step(0, place)
    person.wait_ready()
    marks = person.viewer.layers["prompt points"]
    before = len(marks.data)
    person.click(person.session.image, (place, *position), button)
    person.qtbot.waitUntil(lambda: len(marks.data) == before + 1)


def propagate(person):
    """Press the button, and wait until the bar is empty again; return the labels."""
    panel = person.widget.stack_section.panel
    press(panel.propagate)
    person.qtbot.waitUntil(lambda: panel.propagate.isEnabled(), timeout=20_000)
    return np.asarray(person.viewer.layers["objects"].data)


def slices_of(labels, number=1):
    return np.flatnonzero((labels == number).any(axis=(1, 2))).tolist()


def test_directions_that_are_chosen_in_the_dock(open_stack):
    person = open_stack(STACK, StackOracle())
    direction = person.widget.stack_section.panel.direction
    click(person, 4, (14, 14))
    expected = {
        "forwards": range(4, COUNT),
        "backwards": range(5),
        "both ways": range(COUNT),
    }
    for text, slices in expected.items():
        choose(direction, text)
        labels = propagate(person)
        assert slices_of(labels) == list(slices), text
        np.testing.assert_array_equal(labels[slices] == 1, STACK[slices] == 1)
        person.viewer.layers.selection.active = person.viewer.layers["objects"]
        person.press(*UNDO)
        assert not labels.any()
        assert len(person.viewer.layers["prompt points"].data) == 1, "the click is there again"

    press(person.widget.tool_row.points)
    click(person, 7, (14, 14))
    choose(direction, "between prompted slices")
    assert slices_of(propagate(person)) == [4, 5, 6, 7]


def test_a_background_click_ends_an_object_and_so_does_a_limit(open_stack):
    person = open_stack(STACK, StackOracle())
    click(person, 2, (14, 14))
    click(person, 6, (14, 14), Qt.RightButton)
    labels = propagate(person)
    assert slices_of(labels) == [0, 1, 2, 3, 4, 5]
    assert len(person.viewer.layers["prompt points"].data) == 0

    click(person, 4, (46, 42))
    labels = propagate(person)
    assert slices_of(labels, 2) == [3, 4, 5, 6], "it is not there on other slices"
    np.testing.assert_array_equal(labels == 2, STACK == 2)
    assert "4 slices from 3 to 6" in person.widget.status_label.text()


def test_an_object_that_overlaps_too_little_stops(open_stack):
    jumping = squares(4, (1, 8, 8, 14, range(2)), (1, 12, 8, 14, range(2, 4)))
    person = open_stack(jumping, StackOracle())
    panel = person.widget.stack_section.panel
    click(person, 0, (15, 14))
    type_number(panel.min_overlap, 0.9)
    assert slices_of(propagate(person)) == [0, 1]
    person.press(*UNDO)
    type_number(panel.min_overlap, 0.3)
    assert slices_of(propagate(person)) == [0, 1, 2, 3]


def test_through_time_a_tracks_layer_tells_where_objects_go_and_divide(open_stack):
    person = open_stack(MOVIE, StackOracle(parents={2: 1, 3: 1}), scale=(1, 0.5, 0.5))
    panel = person.widget.stack_section.panel
    click(person, 0, (20, 20))
    assert not panel.time.isChecked()
    tick(panel.time)
    labels = propagate(person)
    np.testing.assert_array_equal(labels == 1, MOVIE == 1)
    children = {int(labels[4, 14, 14]), int(labels[4, 31, 31])}
    assert children == {2, 3}
    tracks = person.viewer.layers["tracks"]
    assert isinstance(tracks, Tracks)
    assert tracks.graph == {2: [1], 3: [1]}
    np.testing.assert_allclose(tracks.scale, person.session.image.scale)
    for number in (1, 2, 3):
        there = [np.argwhere(labels[time] == number).mean(axis=0) for time in slices_of(labels, number)]
        expected = np.column_stack([slices_of(labels, number), there])
        np.testing.assert_allclose(tracks.data[tracks.data[:, 0] == number][:, 1:], expected)
    person.press(*UNDO)
    assert "tracks" not in person.viewer.layers
    person.press(Qt.Key_Z, Qt.ControlModifier | Qt.ShiftModifier)
    assert person.viewer.layers["tracks"].graph == {2: [1], 3: [1]}
