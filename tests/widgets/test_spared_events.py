"""Napari does once what it would do twice, and all is as if it had: what is drawn, what is measured, who is told."""

from __future__ import annotations

from itertools import product
from types import MethodType

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_segany.widgets.spared_events import measured_at_most_once, select_alone, show_in_place_of


@pytest.fixture
def measured(monkeypatch):
    """A list that grows whenever a viewer measures its layers."""
    calls, measure = [], ViewerModel._on_layers_change

    def _on_layers_change(self):
        calls.append(1)
        measure(self)

    monkeypatch.setattr(ViewerModel, "_on_layers_change", _on_layers_change)
    return calls


@pytest.mark.parametrize(("place", "times", "last_row"), [((5, 5), 0, 19), ((50, 5), 1, 50)])
def test_layers_are_measured_where_the_whole_has_grown(viewer, measured, place, times, last_row):
    viewer.add_image(np.zeros((20, 30)))
    points = viewer.add_points(ndim=2)
    heard = []
    points.events.data.connect(lambda event: heard.append(str(event.action)))
    measured.clear()
    with measured_at_most_once(viewer, [points]):
        points.add(place)
    assert len(measured) == times
    assert viewer.dims.range[0].stop == last_row
    assert heard == ["adding", "added"]
    points.add((5, 6))
    assert len(measured) > times  # afterwards it is napari's own affair again


def test_layers_are_measured_where_the_whole_has_shrunk(viewer):
    viewer.add_image(np.zeros((20, 30)))
    points = viewer.add_points([[50, 5]])
    with measured_at_most_once(viewer, [points]):
        points.remove([0])
    assert viewer.dims.range[0].stop == 19


def test_one_layer_is_drawn_in_place_of_others(make_napari_viewer, monkeypatch):
    viewer = make_napari_viewer()
    layers = [viewer.add_labels(np.zeros((20, 30), np.uint8)) for _ in range(3)]
    canvas = viewer.window._qt_viewer.canvas
    visuals = [canvas.layer_to_visual[layer] for layer in layers]
    passes, heard, update = [], [], type(canvas)._update_scenegraph
    counting = MethodType(lambda self, event=None: (passes.append(1), update(self)), canvas)
    monkeypatch.setattr(canvas, "_update_scenegraph", counting)
    for layer in layers:
        layer.events.visible.connect(lambda event: heard.append(event.source))
    for before, shown in product([(0,), (0, 1), (1, 2), (2,), (), (0, 1, 2)], [1, None]):
        for number, layer in enumerate(layers):
            layer.visible = number in before
        passes.clear(), heard.clear()
        chosen = None if shown is None else layers[shown]
        show_in_place_of(chosen, [layer for layer in layers if layer is not chosen])
        wanted = [number == shown for number in range(3)]
        assert [layer.visible for layer in layers] == wanted
        assert [visual.node.visible for visual in visuals] == wanted
        assert [visual.first_visible for visual in visuals] == wanted
        changed = set(before) ^ ({shown} - {None})
        assert {layers.index(layer) for layer in heard} == changed
        assert len(passes) == bool(changed)


def test_a_layer_is_selected_in_place_of_others_in_one_change(viewer):
    one, two, three = (viewer.add_points(ndim=2) for _ in range(3))
    viewer.layers.selection.update({one, two, three})
    active, changed = [], []
    viewer.layers.selection.events.active.connect(lambda event: active.append(event.value))
    viewer.layers.selection.events.changed.connect(lambda event: changed.append((event.added, event.removed)))
    select_alone(viewer, two)
    assert changed == [(set(), {one, three})]
    select_alone(viewer, one)
    select_alone(viewer, one)
    assert changed[1:] == [({one}, {two})]
    assert (set(viewer.layers.selection), viewer.layers.selection.active) == ({one}, one)
    assert active == [two, one]
    one.name = "the selected one"
    assert viewer.layers.selection._current is one
