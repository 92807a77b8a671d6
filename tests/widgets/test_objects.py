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


def test_labels_of_that_name_elsewhere_are_left_alone(objects, viewer):
    other = viewer.add_labels(np.zeros((20, 20), int), name="objects", translate=(100, 0))
    objects.add(PLANE, candidate(square(0, 0)), Prompts(), model="light")
    assert objects.layer is not other
    assert not other.data.any()


def test_features_become_dense_and_keep_foreign_columns():
    table = pd.DataFrame({"index": [0, 1], "area": [np.nan, 5.0]})
    grown = with_row(table, 4, {"predicted_iou": 0.5, "prompts": "{}"})
    assert grown["index"].tolist() == [0, 1, 2, 3, 4]
    assert grown["area"][1] == 5.0
    assert grown["predicted_iou"].notna().tolist() == [False] * 4 + [True]
    assert grown["prompts"].tolist() == ["", "", "", "", "{}"]
    assert len(with_row(grown, 2, {"predicted_iou": 0.1, "prompts": "x"})) == 5
