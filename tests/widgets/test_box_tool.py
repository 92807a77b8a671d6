"""A box that is drawn by hand: what the mouse does to the layer, without a canvas."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.layers import Shapes

from napari_segany.widgets.box_tool import BoxTool


@pytest.fixture
def layer(viewer):
    return viewer.add_layer(Shapes(ndim=3, scale=(2, 0.5, 0.25)))


@pytest.fixture
def tool(layer):
    tool = BoxTool()
    tool.serve(layer)
    return tool


def drag(layer, *places, displayed=(1, 2)):
    """Press at the first place in data, move over the others, let go; return how many shapes there were meanwhile."""
    event = SimpleNamespace(
        type="mouse_press", position=layer.data_to_world(places[0]), dims_displayed=list(displayed)
    )
    steps = [callback(layer, event) for callback in layer.mouse_drag_callbacks]
    steps = [step for step in steps if step is not None]
    for step in steps:
        next(step)
    meanwhile = []
    for place in places[1:]:
        event.type, event.position = "mouse_move", layer.data_to_world(place)
        for step in steps:
            next(step)
        meanwhile.append(layer.nshapes)
    event.type = "mouse_release"
    for step in steps:
        assert list(step) == []
    return meanwhile


def test_a_framed_box_is_added_when_the_mouse_is_let_go(layer, tool):
    layer.mode = "add_rectangle"
    tool.is_framed = True
    said = []
    layer.events.data.connect(lambda event: said.append(str(event.action)))
    assert drag(layer, (4, 30, 40), (4, 20, 20), (4, 10, 12)) == [0, 0]
    (box,) = layer.data
    np.testing.assert_allclose(box, [(4, 30, 40), (4, 30, 12), (4, 10, 12), (4, 10, 40)], atol=1e-4)
    assert said == ["adding", "added"]
    assert list(layer.shape_type) == ["rectangle"]


def test_without_a_frame_napari_draws(viewer, tool):
    flat = viewer.add_layer(Shapes(ndim=2))
    tool.serve(flat)
    flat.mode = "add_rectangle"
    assert drag(flat, (30, 40), (20, 20), (10, 12), displayed=[0, 1]) == [1, 1]
    low, high = np.min(flat.data[0], axis=0), np.max(flat.data[0], axis=0)
    np.testing.assert_allclose([low, high], [(10, 12), (30, 40)], atol=0.5)


def test_a_click_adds_nothing(layer, tool):
    layer.mode = "add_rectangle"
    tool.is_framed = True
    drag(layer, (4, 30, 40))
    assert layer.nshapes == 0


def test_other_modes_and_other_layers_are_napari_s(layer, tool):
    layer.mode = "add_rectangle"
    assert tool._dragged in layer.mouse_drag_callbacks
    layer.mode = "select"
    assert tool._dragged not in layer.mouse_drag_callbacks
    assert len(layer.mouse_drag_callbacks) == 1
    layer.mode = "add_rectangle"
    tool.serve(None)
    (callback,) = layer.mouse_drag_callbacks
    assert callback.__name__ == "add_rectangle"
    layer.mode = "pan_zoom"
    layer.mode = "add_rectangle"
    assert tool._dragged not in layer.mouse_drag_callbacks
