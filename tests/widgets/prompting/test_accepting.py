"""Masks that become objects, and objects that become prompts, with a viewer model and without Qt."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.widgets.prompting.scene import FLAT, names, visible_masks


def test_accepting_fills_objects_and_its_dense_features(flat, viewer):
    flat.add_point((10, 20))
    flat.next_candidate()
    assert flat.accept() == 1
    flat.add_box((25, 5, 35, 15))
    assert flat.accept() == 2
    objects = viewer.layers["objects"]
    expected = np.zeros((40, 50), int)
    expected[10:15, 20:25] = 1
    expected[25:28, 5:8] = 2
    np.testing.assert_array_equal(objects.data, expected)
    assert list(objects.features["index"]) == [0, 1, 2]
    assert objects.features["predicted_iou"][1:].tolist() == pytest.approx([0.8, 0.9])
    assert objects.features["stability_score"][1:].tolist() == pytest.approx([0.85, 0.95])
    assert np.isnan(objects.features["predicted_iou"][0])
    first, second = (json.loads(text) for text in objects.features["prompts"][1:])
    assert (first["points"], first["labels"], first["model"]) == ([[10, 20]], [1], "light")
    assert second["box"] == [25, 5, 35, 15]
    assert not flat.prompts
    assert visible_masks(viewer) == []


def test_accepting_can_be_undone_in_the_layer(flat, viewer):
    flat.add_point((10, 20))
    flat.accept()
    viewer.layers["objects"].undo()
    assert not viewer.layers["objects"].data.any()


def test_accepting_nothing_says_so(flat, viewer):
    assert flat.accept() is None
    assert "click on an object first" in flat.status
    assert "objects" not in names(viewer)


def test_a_rule_that_is_none_is_refused_when_it_is_set(flat):
    with pytest.raises(
        ValueError, match="the rule for overlaps is 'nonsense'; choose one of keep, overwrite, smaller"
    ):
        flat.overlap = "nonsense"
    assert flat.overlap == "keep"


def test_objects_keep_their_pixels_unless_told_otherwise(flat, viewer):
    flat.add_point((10, 20))
    flat.accept()
    flat.add_point((11, 21))
    flat.accept()
    objects = viewer.layers["objects"].data
    assert (objects[10:13, 20:23] == 1).all()
    assert (objects == 2).sum() == 5
    assert "4 px stay with other objects" in flat.status
    flat.add_point((10, 20))
    assert flat.accept() is None
    assert "cover the whole mask" in flat.status
    assert len(flat.prompts.points) == 1, "what was not accepted is not dropped"
    flat.overlap = "overwrite"
    assert flat.accept() == 3
    assert (viewer.layers["objects"].data[10:13, 20:23] == 3).all()


def test_an_accepted_object_can_be_taken_up_again_and_is_replaced(flat, viewer, predictor):
    flat.add_point((10, 20))
    flat.accept()
    flat.use_object(viewer.layers["objects"], 1)
    np.testing.assert_array_equal(predictor.asked[-1]["mask"], viewer.layers["objects"].data == 1)
    assert predictor.asked[-1]["box"] == (9.5, 19.5, 12.5, 22.5)
    flat.add_point((11, 21))
    assert flat.accept() == 1
    expected = np.zeros((40, 50), int)
    expected[11:14, 21:24] = 1
    np.testing.assert_array_equal(viewer.layers["objects"].data, expected)


def test_an_object_of_another_layer_becomes_a_new_object(flat, viewer):
    labels = np.zeros((40, 50), int)
    labels[20:30, 20:30] = 5
    flat.use_object(viewer.add_labels(labels, name="drawn"), 5)
    assert flat.prompts.mask.label == 5
    assert flat.accept() == 1
    origin = json.loads(viewer.layers["objects"].features["prompts"][1])
    assert origin["mask"] == {"layer": "drawn", "label": 5}


def test_an_object_that_is_not_there_is_refused(flat, viewer):
    layer = viewer.add_labels(np.zeros((40, 50), int), name="empty")
    with pytest.raises(ValueError, match="Object 3 of the layer 'empty' is not on this plane"):
        flat.use_object(layer, 3)
    with pytest.raises(ValueError, match="choose a Labels layer"):
        flat.use_object(viewer.layers["flat"], 1)


def test_existing_objects_are_respected(session, viewer):
    viewer.add_image(FLAT, name="flat")
    before = np.zeros((40, 50), np.uint16)
    before[0:5, 0:5] = 57
    viewer.add_labels(before, name="objects")
    session.choose_image(viewer.layers["flat"])
    session.add_point((10, 20))
    assert session.accept() == 58
    features = viewer.layers["objects"].features
    assert len(features) == 59
    assert features["index"].tolist() == list(range(59))
    assert names(viewer).count("objects") == 1


def test_a_label_painted_by_hand_is_not_given_again(flat, viewer):
    flat.add_point((10, 20))
    flat.accept()
    objects = viewer.layers["objects"]
    objects.data_setitem((np.array([30]), np.array([30])), 9)
    flat.add_point((20, 20))
    assert flat.accept() == 10


def test_more_objects_than_sixteen_bits_hold(flat, viewer):
    flat.add_point((10, 20))
    flat.accept()
    viewer.layers["objects"].data_setitem((np.array([30]), np.array([30])), 65535)
    flat.add_point((20, 20))
    assert flat.accept() == 65536
    assert viewer.layers["objects"].data[20, 20] == 65536
