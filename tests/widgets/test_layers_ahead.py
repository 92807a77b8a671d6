"""Layers that are there before they are needed, one at a time and only while the mouse is at rest; without Qt."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_segany.widgets.layers_ahead import LayersAhead
from napari_segany.widgets.preview_saving import is_preview
from napari_segany.widgets.session import PromptSession

FLAT = np.arange(40 * 50, dtype=np.uint8).reshape(40, 50)
AHEAD = {"preview", "mask 1", "mask 2", "mask 3", "objects (none yet)", "selected objects"}


def names(viewer):
    return [layer.name for layer in viewer.layers]


@pytest.fixture
def session(viewer, by_hand, predictor):
    session = PromptSession(viewer, by_hand, lambda model, device: predictor)
    session.choose_image(viewer.add_image(FLAT, name="flat"))
    session.choose_tool("points")
    by_hand.finish_all()
    return session


@pytest.fixture
def ahead(viewer, session, by_hand):
    return LayersAhead(viewer, session, by_hand)


def finished(ahead, by_hand):
    ahead.begin()
    by_hand.finish_all()
    assert ahead.is_over


def test_one_layer_comes_at_a_time_and_all_are_empty_previews(ahead, viewer, by_hand):
    assert not ahead.is_over
    ahead.begin()
    counts = [len(viewer.layers)]
    while not ahead.is_over:
        by_hand.run_waiting()
        counts.append(len(viewer.layers))
    assert np.diff(counts).max() == 1
    made = [layer for layer in viewer.layers if layer.name in AHEAD]
    assert {layer.name for layer in made} == AHEAD
    assert all(is_preview(layer) and not layer.data.any() for layer in made)
    assert [layer.name for layer in made if layer.visible] == [
        "objects (none yet)",
        "mask 1",
        "preview",
    ]  # the upper one last
    assert viewer.layers.selection.active.name == "prompt points"


def test_another_image_adds_no_layer_either(ahead, session, viewer, by_hand):
    other = viewer.add_image(FLAT[:, ::-1][:30], name="other", scale=(2, 2))
    finished(ahead, by_hand)
    session.add_point((10, 20))
    by_hand.finish_all()
    session.accept()
    session.add_point((30, 40))
    (spare,) = [layer for layer in viewer.layers if layer.name == "objects (none yet) [1]"]
    before = list(viewer.layers)
    assert (spare.visible, spare.data.shape, is_preview(spare)) == (False, other.data.shape, True)
    for image in (other, session.image, other):
        session.choose_image_in_turns(image, done=lambda: session.choose_tool("points"))
        by_hand.finish_all()
        finished(ahead, by_hand)
        assert session.image is image
        session.add_point((10, 20))
        by_hand.finish_all()
        session.accept()
    assert [layer for layer in viewer.layers if layer not in before] == []
    assert session.objects.layer is spare
    assert not is_preview(spare)
    assert spare.visible
    np.testing.assert_array_equal(spare.scale, other.scale)


def test_clicking_accepting_and_selecting_add_no_layer_any_more(ahead, session, viewer, by_hand):
    finished(ahead, by_hand)
    before = list(viewer.layers)
    session.add_point((10, 20))
    by_hand.finish_all()
    assert [layer.name for layer in viewer.layers if layer.name.startswith("mask ") and layer.visible] == ["mask 1"]
    assert session.accept() == 1
    session.editor.select([1])
    assert list(viewer.layers) == before
    objects = viewer.layers["objects"]
    assert objects is session.objects.layer
    assert objects.data[10:13, 20:23].all()
    assert objects.visible
    assert not is_preview(objects)
    order = names(viewer)
    assert order.index("flat") < order.index("objects") < order.index("mask 1") < order.index("prompt points")


def test_the_layer_that_waits_lies_where_the_next_image_lies(ahead, session, viewer, by_hand):
    finished(ahead, by_hand)
    other = viewer.add_image(FLAT[:20], name="other", scale=(2, 3), translate=(5, 7))
    count = len(viewer.layers)
    session.choose_image(other)
    by_hand.finish_all()
    assert ahead.is_over
    assert len(viewer.layers) == count + 1, "the first image, which may be chosen again, has no objects either"
    session.add_point((3, 4))
    by_hand.finish_all()
    session.accept()
    objects = viewer.layers["objects"]
    assert objects.data.shape == (20, 50)
    np.testing.assert_allclose(objects.extent.world, other.extent.world)
    order = names(viewer)
    assert order.index("other") < order.index("objects") < order.index("prompt points")


def test_a_mouse_that_moves_or_is_pressed_is_waited_for(ahead, viewer, by_hand):
    ahead.begin()
    count = len(viewer.layers)
    for _ in range(3):
        for callback in viewer.mouse_move_callbacks:
            callback(viewer, SimpleNamespace(position=(900, 900), modifiers=(), type="mouse_move"))
        waiting, by_hand.waiting = by_hand.waiting[:-1], by_hand.waiting[-1:]
        for callback in waiting:  # those from before the mouse moved
            callback()
    assert len(viewer.layers) == count
    event = SimpleNamespace(position=(900, 900), type="mouse_press", modifiers=(), button=1)
    pressed = viewer.mouse_drag_callbacks[-1](viewer, event)
    next(pressed)
    by_hand.run_waiting()
    assert len(viewer.layers) == count
    event.type = "mouse_release"
    assert list(pressed) == []
    by_hand.finish_all()
    assert set(names(viewer)) >= AHEAD


def test_of_a_large_plane_only_small_layers_are_made_ahead(ahead, session, viewer, by_hand):
    session.choose_image(viewer.add_image(np.broadcast_to(np.uint8(0), (4200, 4200)), contrast_limits=(0, 1)))
    finished(ahead, by_hand)
    assert AHEAD & set(names(viewer)) == {"preview", "selected objects", "objects (none yet)"}
    assert viewer.layers["objects (none yet)"].data.shape == FLAT.shape, "of the image that may be chosen again"


def test_what_was_closed_makes_nothing(ahead, viewer, by_hand):
    callbacks = [list(viewer.mouse_move_callbacks), list(viewer.mouse_drag_callbacks)]
    ahead.close()
    assert [len(viewer.mouse_move_callbacks), len(viewer.mouse_drag_callbacks)] == [len(one) - 1 for one in callbacks]
    ahead.begin()
    by_hand.finish_all()
    assert not AHEAD & set(names(viewer))


def test_without_objects_nothing_of_it_stays_when_the_session_closes(ahead, session, viewer, by_hand):
    finished(ahead, by_hand)
    ahead.close()
    session.close()
    assert names(viewer) == ["flat"]
