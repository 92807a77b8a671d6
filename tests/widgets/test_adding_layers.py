"""Layers are added without what nobody asked for: another selection, and what tools draw that are not used."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels

from napari_segany.widgets.adding_layers import add_quietly

PIXELS = np.zeros((20, 30), np.uint8)


@pytest.mark.parametrize("selected", [(), (0,), (1,), (0, 2)])
def test_what_is_selected_stays_and_nobody_is_told_of_another(viewer, selected):
    for _ in range(3):
        viewer.add_image(np.zeros((20, 30)))
    layers = [viewer.layers[at] for at in selected]
    viewer.layers.selection.clear()
    viewer.layers.selection.update(layers)
    active, told = viewer.layers.selection.active, []
    viewer.layers.selection.events.connect(told.append)
    added = Labels(PIXELS)
    add_quietly(viewer, added, 1)
    assert viewer.layers[1] is added
    assert set(viewer.layers.selection) == set(layers)
    assert viewer.layers.selection.active is active
    assert told == []


@pytest.mark.parametrize("mode", ["polygon", "paint"])
def test_what_a_tool_draws_is_made_when_the_tool_is_chosen(make_napari_viewer, mode):
    """napari's own layer has all of it from the beginning."""
    viewer = make_napari_viewer()
    whole = viewer.add_labels(PIXELS)
    layer = Labels(PIXELS)
    add_quietly(viewer, layer, 1)
    listening = len(layer.mouse_drag_callbacks)
    assert listening < len(whole.mouse_drag_callbacks)
    for one in (layer, whole):
        one.mode = mode
    assert len(layer.mouse_drag_callbacks) > listening
    layer.mode = "pan_zoom"
    layer.mode = "polygon" if mode == "paint" else "paint"
    whole.mode = layer.mode
    assert len(layer.mouse_drag_callbacks) == len(whole.mouse_drag_callbacks)
