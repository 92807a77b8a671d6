"""Changing cells of accepted objects and leaving their pixels alone, so that it can be undone. Knows no Qt."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from napari_segany.widgets.object_changes import ObjectsChange
from napari_segany.widgets.object_table import Row
from napari_segany.widgets.objects import ObjectsLayer
from napari_segany.widgets.pixel_changes import PixelChange


def set_cells(objects: ObjectsLayer, cells: Mapping[int, Row]) -> None:
    """Set cells of rows, by label; an empty text or None empties a cell. All other cells stay.

    It is told as a change of the objects, so that it becomes a step of the history, or a part of the present one.
    """
    layer = objects.ready()
    rows: dict[int, Row] = {}
    for label, changes in cells.items():
        before = objects.row(label)
        row = {name: cell for name, cell in {**before, **changes}.items() if cell is not None and cell != ""}
        if before and row != before:
            rows[label] = row
    if rows:
        nothing = np.zeros(0, layer.data.dtype)
        pixels = PixelChange(layer.data.shape, np.zeros(0, np.int64), nothing, nothing)
        objects.changed.emit(objects.put_back(ObjectsChange(layer, pixels, rows, len(layer.features))))
