"""Points and boxes of prompt layers, read as a value and put back. Knows napari's layers, but no viewer and no Qt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter

import numpy as np
from napari.layers import Points, Shapes

from napari_segany.widgets.drafts_marks import Marks, alike
from napari_segany.widgets.prompt_layer_looks import mark


def marks_in(points: Points | None, boxes: Shapes | None) -> Marks:
    """Return all points and boxes of the layers that there are."""
    labels = [] if points is None else points.features["label"]
    return Marks.of([] if points is None else points.data, labels, [] if boxes is None else boxes.data)


def put_points(points: Points, marks: Marks, next_is: Callable[[str], None]) -> None:
    """Have the points of a value: what is alike at the beginning stays, for each removal or addition is drawn.

    Parameters
    ----------
    points : Points
        The layer.
    marks : Marks
        The value.
    next_is : callable
        Has the layer give a label to the points that are added next.
    """
    now = marks_in(points, None)
    wanted = tuple(zip(marks.points, marks.labels, strict=True))
    same = alike(wanted, tuple(zip(now.points, now.labels, strict=True)))
    if len(points.data) > same:
        points.remove(list(range(same, len(points.data))))
    for name, run in groupby(wanted[same:], key=itemgetter(1)):
        next_is(name)
        points.add(np.asarray([position for position, _ in run]))
    if wanted[same:]:
        mark(points)


def put_boxes(boxes: Shapes, marks: Marks) -> None:
    """Have the boxes of a value; those that are alike at the beginning stay."""
    same = alike(marks.boxes, marks_in(None, boxes).boxes)
    drop_boxes(boxes, range(same, boxes.nshapes))
    if marks.boxes[same:]:
        boxes.add_rectangles([np.asarray(corners) for corners in marks.boxes[same:]])


def empty(layer: Points | Shapes) -> None:
    """Have no points or boxes in a layer."""
    if len(layer.data):
        layer.remove(list(range(len(layer.data))))


def drop_boxes(boxes: Shapes | None, indices: Sequence[int]) -> None:
    """Remove boxes by their places; napari would draw anew for none too."""
    if boxes is not None and indices:
        boxes.remove(list(indices))
