"""Writes many found masks into the layer `objects` at once, with rows of its table. Knows neither a model nor Qt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.object_overlap import OverlapRule, put_objects
from napari_segany.formats.window_mask import WindowMask
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.label_features import CATEGORY
from napari_segany.widgets.object_table import PROMPTS, Row
from napari_segany.widgets.objects import ObjectsLayer
from napari_segany.widgets.one_each_work import Found, FoundMask
from napari_segany.widgets.pixel_changes import PixelChange, changed_pixels, joined


@dataclass(frozen=True)
class Written:
    """What was made.

    Attributes
    ----------
    labels : tuple of int
        The new objects.
    empty, covered : int
        How many masks had no pixel, and how many none that they could take.
    numbers : Mapping
        By plane, the label of each prompt in its order; 0 for the empty and the covered.
    """

    labels: tuple[int, ...]
    empty: int
    covered: int
    numbers: Mapping[Plane, tuple[int, ...]] = field(default_factory=dict)


def write_all(
    objects: ObjectsLayer,
    found: Found,
    *,
    model: str,
    overlap: OverlapRule,
    source: str,
    category: str = "",
) -> Written:
    """Write masks in their order, as if each were accepted in turn; call it within a step of the history.

    Parameters
    ----------
    objects : ObjectsLayer
        Where they go.
    found : dict
        The masks by plane.
    model, source : str
        What made them, and which layer or file the prompts are from; kept with the prompts.
    overlap : str
        What becomes of pixels of other objects, see `OverlapRule`.
    category : str
        Their class; "" for none.

    Raises
    ------
    NothingToAddError
        If the numbers of the objects become too high for the table.
    """
    every = [(plane, one) for plane, there in found.items() for one in there.masks]
    there = [(plane, one) for plane, one in every if one.mask.area]
    if not there:
        return Written((), len(every), 0)
    layer = objects.ready()
    first = objects.free_labels(1)[0]
    numbers = dict(enumerate(range(first, first + len(there))))
    painted = [_painted(layer.data, plane, there, numbers, overlap) for plane in found if found[plane].masks]
    seen = {label for _, part in painted for label in np.unique(part).tolist()}
    left = [at for at, number in numbers.items() if number in seen]
    labels = objects.free_labels(len(left)) if left else ()
    change = joined(
        [one for cut, part in painted if (one := _change(layer.data, cut, part, first, left)) is not None]
    )
    if change is None:
        return Written((), len(every) - len(there), len(there))
    rows = {
        label: _row(*there[at], model=model, source=source, category=category)
        for label, at in zip(labels, left, strict=True)
    }
    objects.write(change, rows, how="overwritten")
    label_of = {id(there[at][1]): label for label, at in zip(labels, left, strict=True)}
    by_plane = {plane: tuple(label_of.get(id(one), 0) for one in here.masks) for plane, here in found.items()}
    return Written(labels, len(every) - len(there), len(there) - len(left), by_plane)


Cut = tuple[slice, ...]


def _painted(
    data: NDArray[Any],
    plane: Plane,
    there: list[tuple[Plane, FoundMask]],
    numbers: dict[int, int],
    overlap: OverlapRule,
) -> tuple[Cut, NDArray[np.int64]]:
    """Return the part of a plane that its masks lie in, and its labels with them; new ones have passing numbers."""
    mine = {at: one.mask for at, (where, one) in enumerate(there) if where == plane}
    boxes = np.array([mask.box for mask in mine.values()] or [(0, 0, 0, 0)])
    if overlap == "smaller":  # sizes are compared, those of others in the whole plane
        box = (0, 0, *plane.shape_in(data.shape))
    else:
        box = (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
    top, left, bottom, right = box
    edges = dict(zip(plane.axes, ((top, bottom), (left, right)), strict=True))
    fixed = dict(zip(plane.hidden, plane.index, strict=True))
    cut = tuple(
        slice(*edges[axis]) if axis in edges else slice(fixed[axis], fixed[axis] + 1) for axis in range(plane.ndim)
    )
    labels = np.asarray(data[cut]).astype(np.int64).reshape(bottom - top, right - left)
    masks = [
        WindowMask(mask.pixels, (mask.origin[0] - top, mask.origin[1] - left), labels.shape) for mask in mine.values()
    ]
    put_objects(labels, masks, [numbers[at] for at in mine], overlap=overlap)
    return cut, labels


def _change(
    data: NDArray[Any], cut: Cut, labels: NDArray[np.int64], first: int, left: list[int]
) -> PixelChange | None:
    """Return the change that writes a part, its new objects numbered without gaps."""
    final = np.zeros(max(left, default=-1) + 1, np.int64)
    final[left] = np.arange(first, first + len(left))
    new = labels >= first
    labels[new] = final[labels[new] - first]
    highest = int(labels.max(initial=0))
    wanted = labels.astype(np.promote_types(data.dtype, np.min_scalar_type(highest)))
    shape = tuple(part.stop - part.start for part in cut)
    return changed_pixels(data, [part.start for part in cut], np.ones(shape, bool), wanted.reshape(shape))


def _row(plane: Plane, found: FoundMask, *, model: str, source: str, category: str) -> Row:
    origin = {
        "model": model,
        "axes": list(plane.axes),
        "plane": list(plane.index),
        **found.prompts.to_dict(),
        "source": source,
        **({"attributes": dict(found.attributes)} if found.attributes else {}),
    }
    scores = {"predicted_iou": found.predicted_iou, "stability_score": found.stability_score}
    row: dict[str, Any] = {name: score for name, score in scores.items() if score is not None}
    return {**row, **({CATEGORY: category} if category else {}), PROMPTS: json.dumps(origin)}
