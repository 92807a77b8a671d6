"""Strokes of napari's own tools on the layer of objects."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_segany.widgets.brush import Brush
from napari_segany.widgets.drafts import Candidate, Prompts
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.objects import ObjectsLayer

PLANE = Plane((0, 1), ())


@pytest.fixture
def objects(viewer):
    return ObjectsLayer(viewer, viewer.add_image(np.zeros((20, 20)), name="image"))


@pytest.fixture
def said():
    return []


@pytest.fixture
def brush(objects, said):
    brush = Brush(said.append)
    brush.turn_to(objects)
    return brush


def accept(objects, row, col, side=4):
    mask = np.zeros((20, 20), bool)
    mask[row : row + side, col : col + side] = True
    picture = np.zeros((2, 2, 3), np.uint8)
    candidate = Candidate(mask, 0.9, 0.8, np.zeros((4, 4), np.float32), picture, picture[..., 0] > 0)
    return objects.add(PLANE, candidate, Prompts(((row, col),), (1,)), model="light").label


def test_painting_over_an_object_moves_area_from_one_row_to_another(objects, brush):
    accept(objects, 0, 0)
    accept(objects, 10, 10)
    objects.layer.data_setitem((np.array([0, 0, 19]), np.array([0, 1, 19])), 2)
    assert objects.layer.features["area"][1:].tolist() == [14, 19]
    assert objects.row(1)["predicted_iou"] == pytest.approx(0.9)


def test_filling_with_the_background_takes_an_object_out_of_the_table(objects, brush):
    accept(objects, 0, 0)
    accept(objects, 10, 10)
    objects.layer.fill((1, 1), 0)
    assert objects.labels == (2,)
    assert objects.row(1) == {}
    assert accept(objects, 0, 0) == 3, "its number is not given again"


def test_a_number_beyond_the_table_is_left_out_of_it(objects, brush):
    accept(objects, 0, 0)
    objects.layer.data = objects.layer.data.astype(np.uint32)
    objects.layer.data_setitem((np.array([9]), np.array([9])), 4_000_000_000)
    assert len(objects.layer.features) == 2
    objects.layer.data_setitem((np.array([0]), np.array([0])), 0)
    assert objects.row(1)["area"] == 15


def test_its_own_writing_is_no_stroke(objects, brush):
    told = []
    objects.changed.connect(told.append)
    accept(objects, 0, 0)
    assert len(told) == 1
    assert "edits" not in objects.row(1)["prompts"]


def test_a_stroke_in_an_unknown_form_is_said_and_does_no_harm(objects, brush, said):
    accept(objects, 0, 0)
    brush._painted(SimpleNamespace(value=["something new"]))
    assert "cannot be undone here" in said[0]
    assert objects.labels == (1,)


def test_it_stops_listening_to_a_layer_that_was_left(objects, brush):
    accept(objects, 0, 0)
    layer = objects.layer
    brush.turn_to(None)
    layer.data_setitem((np.array([9]), np.array([9])), 5)
    assert len(layer.features) == 2


def test_objects_that_another_session_adds_are_counted_once(objects, brush, viewer):
    accept(objects, 0, 0)
    other = ObjectsLayer(viewer, viewer.layers["image"])
    assert accept(other, 10, 10) == 2
    assert objects.layer.features["area"][1:].tolist() == [16, 16]
    assert objects.row(2)["predicted_iou"] == pytest.approx(0.9)
    assert "edits" not in objects.row(2)["prompts"]
