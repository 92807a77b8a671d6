from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_segany.widgets.drafts import Candidate, Prompts
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.object_table import with_row
from napari_segany.widgets.objects import NothingToAddError, ObjectsLayer

PLANE = Plane((0, 1), ())


def candidate(mask) -> Candidate:
    picture = np.zeros((2, 2, 3), np.uint8)
    return Candidate(mask, 0.9, 0.8, np.zeros((4, 4), np.float32), picture, picture[..., 0] > 0)


def square(row, col, side=4) -> np.ndarray:
    mask = np.zeros((20, 20), bool)
    mask[row : row + side, col : col + side] = True
    return mask


@pytest.fixture
def objects(viewer):
    return ObjectsLayer(viewer, viewer.add_image(np.zeros((20, 20)), name="image"))


def test_an_empty_mask_is_refused(objects, viewer):
    with pytest.raises(NothingToAddError, match="empty"):
        objects.add(PLANE, candidate(np.zeros((20, 20), bool)), Prompts(), model="light")
    assert len(viewer.layers) == 1


def test_what_was_written_and_what_was_left_is_told(objects):
    objects.add(PLANE, candidate(square(0, 0)), Prompts(), model="light")
    added = objects.add(PLANE, candidate(square(2, 2)), Prompts(), model="light")
    assert (added.label, added.pixels, added.kept) == (2, 12, 4)
    assert str(added) == "Object 2 accepted, 12 px; 4 px stay with other objects."


def test_one_undo_takes_back_one_object(objects):
    objects.add(PLANE, candidate(square(0, 0)), Prompts(), model="light")
    objects.add(PLANE, candidate(square(10, 10)), Prompts(), model="light")
    objects.layer.undo()
    assert np.unique(objects.layer.data).tolist() == [0, 1]


def test_objects_of_an_earlier_widget_are_taken_up(objects, viewer):
    objects.add(PLANE, candidate(square(0, 0)), Prompts(), model="light")
    objects.layer.name = "my nuclei"
    objects.close()
    again = ObjectsLayer(viewer, viewer.layers["image"])
    assert again.add(PLANE, candidate(square(10, 10)), Prompts(), model="light").label == 2
    assert again.layer.name == "my nuclei"


def test_a_table_that_tells_all_is_left_alone_when_its_layer_is_taken_up(objects, viewer):
    objects.add(PLANE, candidate(square(2, 3)), Prompts(), model="light")
    objects.add(PLANE, candidate(square(12, 13)), Prompts(), model="light")
    layer, heard = objects.layer, []
    before = layer.features.copy()
    objects.close()
    layer.events.features.connect(lambda event: heard.append(1))
    again = ObjectsLayer(viewer, viewer.layers[0])
    assert again.find() is layer
    assert heard == [], "napari takes long to set it"
    again.close()
    layer.data[layer.data == 1] = 0
    assert again.find() is layer
    assert again.labels == (2,)
    assert layer.features.loc[[2]].equals(before.loc[[2]])


def test_labels_of_that_name_elsewhere_are_left_alone(objects, viewer):
    other = viewer.add_labels(np.zeros((20, 20), int), name="objects", translate=(100, 0))
    objects.add(PLANE, candidate(square(0, 0)), Prompts(), model="light")
    assert objects.layer is not other
    assert not other.data.any()


def test_rows_of_others_go_to_the_objects_that_their_column_index_names(objects, viewer):
    data = np.zeros((20, 20), int)
    for number, label in enumerate((1, 3, 7)):
        data[4 * number : 4 * number + 2, :3] = label
    layer = viewer.add_labels(data, name="objects", features={"index": [1, 3, 7], "kind": ["a", "b", "c"]})
    assert objects.ready() is layer
    assert {label: objects.row(label) for label in objects.labels} == {
        1: {"kind": "a", "area": 6.0},
        3: {"kind": "b", "area": 6.0},
        7: {"kind": "c", "area": 6.0},
    }


@pytest.mark.parametrize("index", [[1, 1, 2], [0, -1, 2], [0.5, 1, 2], ["x", "y", "z"], [1, 2, 10**12]])
def test_labels_whose_rows_nobody_can_tell_are_left_alone(objects, viewer, index):
    layer = viewer.add_labels(np.eye(20, dtype=int), name="objects", features={"index": index, "kind": list("abc")})
    assert objects.ready() is not layer
    assert layer.features["index"].tolist() == index


def test_after_an_undo_in_labels_that_are_not_counted_no_number_is_given_twice(objects, viewer):
    data = np.zeros((20, 20), np.int32)
    data[0, :2] = 5, -1  # a negative number: napari shows it, and the table cannot have it
    viewer.add_labels(data, name="objects")
    changes = []
    objects.changed.connect(changes.append)
    assert objects.add(PLANE, candidate(square(8, 8)), Prompts(), model="light").label == 6
    objects.put_back(changes[0])
    assert objects.add(PLANE, candidate(square(8, 8)), Prompts(), model="light").label > 5


def test_features_become_dense_and_keep_foreign_columns():
    table = pd.DataFrame({"index": [0, 1], "area": [np.nan, 5.0]})
    grown = with_row(table, 4, {"predicted_iou": 0.5, "prompts": "{}"})
    assert grown["index"].tolist() == [0, 1, 2, 3, 4]
    assert grown["area"][1] == 5.0
    assert grown["predicted_iou"].notna().tolist() == [False] * 4 + [True]
    assert grown["prompts"].tolist() == ["", "", "", "", "{}"]
    assert len(with_row(grown, 2, {"predicted_iou": 0.1, "prompts": "x"})) == 5
