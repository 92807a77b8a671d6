"""What is done to accepted objects: their pixels and their rows. Knows no session and no Qt."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_segany.engine.mask_cleaning import CleanUp, split_at, split_parts
from napari_segany.widgets.object_table import PROMPTS, Row, edited, origin_of
from napari_segany.widgets.objects import ObjectsLayer
from napari_segany.widgets.pixel_changes import PixelChange, changed_pixels, joined, label_change

_SCORES = ("predicted_iou", "stability_score")


def deleted(objects: ObjectsLayer, labels: Sequence[int]) -> None:
    """Give all pixels of objects back to the background, and empty their rows."""
    data = np.asarray(objects.ready().data)
    change = joined(_there([label_change(data, label, 0) for label in labels]))
    if change is not None:
        objects.write(change)


def merged(objects: ObjectsLayer, labels: Sequence[int]) -> int:
    """Give all pixels of objects the label of the first, and its row the foreground points of all; return it."""
    data = np.asarray(objects.ready().data)
    first = labels[0]
    change = joined(_there([label_change(data, label, first) for label in labels[1:]]))
    if change is not None:
        rows = [objects.row(label) for label in labels]
        objects.write(change, {first: _merged_row(rows)})
    return first


def split(objects: ObjectsLayer, label: int, clicks: ArrayLike) -> tuple[int, ...]:
    """Give the parts of an object labels of their own; one without separate parts is cut between clicks.

    Parameters
    ----------
    objects : ObjectsLayer
        Where it is.
    label : int
        The object.
    clicks : array_like
        (N, ndim) positions in the layer's data.

    Returns
    -------
    tuple of int
        The labels of the parts; only the object's own where there is nothing to split.
    """
    data = np.asarray(objects.ready().data)
    corner, mask = _window(data, label)
    if mask is None:
        return (label,)
    parts = split_parts(mask)
    seeds = np.asarray(clicks, dtype=float).reshape(-1, mask.ndim) - corner
    if len(parts) < 2:
        try:
            parts = split_at(mask, seeds)
        except ValueError:  # fewer than two clicks in it
            return (label,)
    labels = (label, *objects.free_labels(len(parts) - 1))
    highest = np.min_scalar_type(max(labels))
    wanted = np.zeros(mask.shape, np.promote_types(data.dtype, highest))
    for part, number in zip(parts, labels, strict=True):
        wanted[part] = number
    row = _without_scores(objects.row(label))
    rows = {number: edited(row, "split") for number in labels}
    change = changed_pixels(data, corner, mask, wanted)
    if change is not None:
        objects.write(change, rows)
    return labels


def cleaned(objects: ObjectsLayer, labels: Sequence[int], how: CleanUp, axes: tuple[int, int]) -> tuple[int, ...]:
    """Clean objects plane by plane, along two axes of the data; pixels of other objects stay theirs.

    Returns
    -------
    tuple of int
        The labels of those that are different now.
    """
    different = []
    for label in labels:
        data = np.asarray(objects.ready().data)
        wanted = _cleaned_data(data, label, how, axes)
        if wanted is not None:
            objects.write(wanted, how="clean-up")
            different.append(label)
    return tuple(different)


def _cleaned_data(data: NDArray[np.integer], label: int, how: CleanUp, axes: tuple[int, int]) -> PixelChange | None:
    hidden = [axis for axis in range(data.ndim) if axis not in axes]
    mask = data == label
    changes = []
    for place in np.argwhere(mask.any(axis=axes)) if hidden else np.zeros((1, 0), int):
        where = dict(zip(hidden, place.tolist(), strict=True))
        slicer = tuple(where.get(axis, slice(None)) for axis in range(data.ndim))
        before = mask[slicer]
        after = how.apply(before)
        grown = after & ~before & (data[slicer] == 0)
        both = grown | (before & ~after)
        corner = [where.get(axis, 0) for axis in range(data.ndim)]
        thin = [1 if axis in where else data.shape[axis] for axis in range(data.ndim)]
        wanted = np.where(grown, label, 0).astype(data.dtype)
        changes.append(changed_pixels(data, corner, both.reshape(thin), wanted.reshape(thin)))
    return joined(_there(changes))


def _there(changes: Sequence[PixelChange | None]) -> list[PixelChange]:
    return [change for change in changes if change is not None]


def _window(data: NDArray[np.integer], label: int) -> tuple[list[int], NDArray[np.bool_] | None]:
    """Return the first corner of an object's box, and the object in it; None if it has no pixel."""
    mask = data == label
    corner, box = [], []
    for axis in range(data.ndim):
        places = np.flatnonzero(mask.any(axis=tuple(other for other in range(data.ndim) if other != axis)))
        if not len(places):
            return [0] * data.ndim, None
        corner.append(int(places[0]))
        box.append(slice(int(places[0]), int(places[-1]) + 1))
    return corner, mask[tuple(box)]


def _without_scores(row: Row) -> Row:
    """Return the row of an object that is no longer what the model saw."""
    return {name: cell for name, cell in row.items() if name not in _SCORES}


def _merged_row(rows: Sequence[Row]) -> Row:
    """Return the first row with the foreground points of all that lie on its plane."""
    origins = [origin_of(row) for row in rows]
    first = origins[0]
    same = [one for one in origins if (one.get("axes"), one.get("plane")) == (first.get("axes"), first.get("plane"))]
    points = [
        point
        for one in same
        for point, label in zip(one.get("points", []), one.get("labels", []), strict=False)
        if label == 1
    ]
    origin = {**first, "points": points, "labels": [1] * len(points), "box": None, "mask": None}
    return edited({**_without_scores(rows[0]), PROMPTS: json.dumps(origin)}, "merge")
