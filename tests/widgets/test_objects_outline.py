"""The outline of selected objects is drawn a turn after the step that selects them, as they are by then."""

from __future__ import annotations

import numpy as np

from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.objects_outline import ObjectsOutline

PLANE = Plane((0, 1), ())


def test_the_outline_comes_in_a_turn_of_its_own_and_only_the_last_one(viewer):
    image, waiting, asked = viewer.add_image(np.zeros((40, 50))), [], []
    outline = ObjectsOutline(viewer, made=lambda layer: None, later=waiting.append)

    def mask(row):
        asked.append(row)
        shown = np.zeros((40, 50), bool)
        shown[row : row + 4, 20:30] = True
        return shown

    for row in (10, 20):
        outline.show(image, PLANE, lambda row=row: mask(row))
    assert len(viewer.layers) == 1
    for turn in waiting:
        turn()
    assert asked == [20]
    (layer,) = [one for one in viewer.layers if one is not image]
    np.testing.assert_array_equal(layer.data_to_world(np.argwhere(layer.data)[0]), (20, 20))
    assert layer.visible

    waiting.clear()
    outline.show(image, PLANE, lambda: mask(5))
    outline.hide()
    waiting.pop()()
    assert asked == [20], "nothing is to be shown any more"
    assert not layer.visible
