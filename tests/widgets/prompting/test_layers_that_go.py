"""Layers that are deleted or replaced, other images, and the end, with a viewer model and without Qt."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels
from tests.widgets.prompting.scene import FLAT, names


def test_the_image_deleted_during_work(slow_session, viewer, by_hand):
    image = viewer.add_image(FLAT)
    slow_session.choose_image(image)
    by_hand.run_waiting()
    task = by_hand.running[0]
    viewer.layers.remove(image)
    assert task.cancelled
    by_hand.finish_all()
    assert slow_session.image is None
    assert names(viewer) == []
    slow_session.choose_image(viewer.add_image(FLAT))
    slow_session.add_point((10, 20))
    by_hand.finish_all()
    assert len(slow_session.candidates) == 3


def test_prompt_layers_deleted_come_back_with_the_next_prompt(flat, viewer):
    flat.add_point((10, 20))
    viewer.layers.remove("prompt points")
    viewer.layers.remove("prompt boxes")
    assert not flat.prompts
    assert flat.candidates == ()
    flat.add_point((5, 6))
    assert flat.prompts.points == ((5.0, 6.0),)
    assert len(flat.candidates) == 3


def test_preview_and_objects_deleted_are_made_again(flat, viewer):
    flat.add_point((10, 20))
    viewer.layers.remove("mask 2")
    flat.accept()
    viewer.layers.remove("objects")
    flat.add_point((20, 20))
    assert sorted(name for name in names(viewer) if name.startswith("mask ")) == ["mask 1", "mask 2", "mask 3"]
    assert flat.accept() == 1
    assert (viewer.layers["objects"].data == 1).sum() == 9


def test_other_data_in_the_image_begin_anew(flat, viewer, predictor):
    flat.add_point((10, 20))
    viewer.layers["flat"].data = np.zeros((30, 30), np.uint8)
    assert not flat.prompts
    flat.add_point((10, 20))
    assert predictor.encoded[-1].shape == (30, 30)


def test_each_image_has_its_own_objects(session, viewer):
    first, second = viewer.add_image(FLAT, name="one"), viewer.add_image(FLAT + 1, name="two")
    for image in (first, second, first):
        session.choose_image(image)
        session.add_point((10 if image is first else 20, 20))
        session.overlap = "overwrite"
        session.accept()
    layers = [layer for layer in viewer.layers if isinstance(layer, Labels) and layer.name.startswith("objects")]
    assert sorted(int(layer.data.max()) for layer in layers) == [1, 2]


def test_closing_leaves_the_image_the_objects_and_unsaved_prompts_alone(flat, viewer):
    flat.add_point((10, 20))
    flat.accept()
    flat.add_point((20, 20))
    callbacks = len(viewer.mouse_drag_callbacks)
    flat.close()
    assert names(viewer) == ["flat", "objects", "prompt points"]
    assert len(viewer.mouse_drag_callbacks) == callbacks - 2
    viewer.layers["flat"].contrast_limits = (0, 9)
    viewer.layers.remove("objects")
    viewer.layers.clear()
