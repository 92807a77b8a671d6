"""The order of our layers: the same whatever came first, among layers of others, and after the user moved some."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_segany.widgets.layer_order import Level, insert_at, insert_in_order, settle

PLANE = np.zeros((4, 4), np.uint8)


@pytest.fixture
def viewer():
    viewer = ViewerModel()
    viewer.add_image(PLANE, name="image")
    return viewer


def insert(viewer, level, name=""):
    layer = Labels(PLANE, name=name or level.name)
    insert_in_order(viewer, layer, level, viewer.layers["image"])
    return layer


def names(viewer):
    return [layer.name for layer in viewer.layers]


@pytest.mark.parametrize("came", permutations((Level.OBJECTS, Level.OFFERED, Level.PREVIEW, Level.PROMPTS)))
def test_the_order_is_the_same_whatever_came_first(viewer, came):
    for level in came:
        insert(viewer, level)
    assert names(viewer) == ["image", "OBJECTS", "OFFERED", "PREVIEW", "PROMPTS"]


def test_layers_of_a_level_lie_as_they_came_and_the_active_one_stays(viewer):
    insert(viewer, Level.PROMPTS)
    viewer.layers.selection.active = viewer.layers["image"]
    for name in ("one", "two"):
        insert(viewer, Level.OFFERED, name)
    assert names(viewer) == ["image", "one", "two", "PROMPTS"]
    assert viewer.layers.selection.active.name == "image"


def test_ours_go_over_layers_of_others_and_over_their_image_wherever_prompts_were_moved(viewer):
    insert(viewer, Level.PROMPTS)
    viewer.add_labels(PLANE, name="theirs")
    viewer.layers.move(viewer.layers.index("PROMPTS"), 0)
    insert(viewer, Level.OBJECTS)
    assert names(viewer) == ["PROMPTS", "image", "theirs", "OBJECTS"]


def test_what_lies_well_is_not_moved(viewer):
    for name in ("one", "two"):
        insert(viewer, Level.OFFERED, name)
    insert(viewer, Level.PREVIEW)
    insert_at(viewer, Labels(PLANE, name="theirs"), 1)
    moved = []
    viewer.layers.events.moved.connect(moved.append)
    offered = [viewer.layers[name] for name in ("one", "two")]
    settle(viewer, Level.OFFERED, viewer.layers["image"], *offered)
    settle(viewer, Level.PREVIEW, viewer.layers["image"], viewer.layers["PREVIEW"])
    assert not moved


@pytest.mark.parametrize("above_prompts", [True, False])
def test_layers_under_another_image_or_a_layer_of_others_come_over_it_in_their_order(viewer, above_prompts):
    offered = [insert(viewer, Level.OFFERED, name) for name in ("one", "two")]
    prompts = insert(viewer, Level.PROMPTS)
    other = viewer.add_image(PLANE, name="other")
    if not above_prompts:
        viewer.layers.move(viewer.layers.index(other), viewer.layers.index(prompts))
    viewer.layers.selection.active = prompts
    settle(viewer, Level.PROMPTS, other, prompts)
    settle(viewer, Level.OFFERED, other, *offered)
    assert names(viewer) == ["image", "other", "one", "two", "PROMPTS"]
    assert viewer.layers.selection.active is prompts


def test_a_layer_that_changes_its_level_is_put_where_that_lies(viewer):
    insert(viewer, Level.OFFERED)
    layer = insert(viewer, Level.PREVIEW, "one")
    layer.metadata = {}
    settle(viewer, Level.OBJECTS, viewer.layers["image"], layer)
    assert names(viewer) == ["image", "one", "OFFERED"]
