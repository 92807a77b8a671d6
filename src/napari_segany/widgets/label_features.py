"""The features table of a Labels layer and the scores of masks, one made from the other. Knows neither napari nor Qt.

Row k belongs to label k (row 0 to the background), as napari's features table has it, and the column `index` says the
same, as its status bar has it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from napari_segany.formats.record import MaskRecord
from napari_segany.widgets.kept_masks import KeptMask

SCORES = ("predicted_iou", "stability_score")
CATEGORY = "category"

Row = Mapping[str, Any]


def features_of(masks: Sequence[KeptMask], categories: Mapping[int, str] | None = None) -> pd.DataFrame:
    """Return the features of masks; of a label in several planes the mean scores and the pixels of all.

    Parameters
    ----------
    masks : sequence of KeptMask
        The masks of all planes.
    categories : Mapping, optional
        Names of the objects' categories by label; without it there is no such column.

    Returns
    -------
    pandas.DataFrame
        "index"; "predicted_iou" and "stability_score" where a mask has one, NaN where others have none; "area"
        (pixels); "category".
    """
    highest = max((mask.label for mask in masks), default=0)
    rows = pd.DataFrame(
        {
            "label": [mask.label for mask in masks],
            **{name: np.array([getattr(mask.record, name) for mask in masks], np.float64) for name in SCORES},
            "area": np.array([mask.record.area for mask in masks], np.float64),
        }
    )
    by_label = rows.groupby("label")
    every = range(highest + 1)
    table = pd.DataFrame({"index": np.arange(highest + 1)})
    for name in SCORES:
        if rows[name].notna().any():
            table[name] = by_label[name].mean().reindex(every)
    table["area"] = by_label["area"].sum().reindex(every)
    if categories is not None:
        table[CATEGORY] = [categories.get(label, "") for label in every]
    return table


def row_finder(features: pd.DataFrame | None) -> Callable[[int], Row]:
    """Return what gives the row of a label, {} where there is none: by the column `index`, else by position."""
    if features is None or features.shape[1] == 0:
        return lambda label: {}
    rows = features.to_dict("records")
    numbers = features["index"] if "index" in features else range(len(rows))
    by_label = {int(number): row for number, row in zip(numbers, rows, strict=True) if _number(number) is not None}
    return lambda label: by_label.get(label, {})


def described(record: MaskRecord, row: Row, *, row_first: bool = True) -> MaskRecord:
    """Return a record with the scores and prompts of its label's row.

    Parameters
    ----------
    record : MaskRecord
        The mask.
    row : Mapping
        What `row_finder` gave.
    row_first : bool
        Whether the row's scores count before the record's own; otherwise they fill gaps only.
    """
    scores: dict[str, Any] = {}
    for name in SCORES:
        choices = [_number(row.get(name)), getattr(record, name)]
        known = [score for score in (choices if row_first else choices[::-1]) if score is not None]
        scores[name] = known[0] if known else None
    return replace(record, prompt=record.prompt or _prompt(row), **scores)


def category_of(row: Row) -> str | None:
    """Return the name of the category that a row has; None where it has none."""
    value = row.get(CATEGORY)
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> float | None:
    if isinstance(value, str) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _prompt(row: Row) -> dict[str, Any]:
    """Return what the `prompts` column of the `objects` layer tells, as JSON text: points, a box, attributes."""
    try:
        values = json.loads(row.get("prompts") or "{}")
        points = [[float(row), float(col)] for row, col in values["points"]]
        labels = [int(label) for label in values["labels"]]
        box = [float(side) for side in values.get("box") or ()]
    except (ValueError, TypeError, KeyError, AttributeError):  # a table that somebody else made
        return {}
    prompt: dict[str, Any] = {"points": points, "labels": labels} if points and len(points) == len(labels) else {}
    if len(box) == 4:
        prompt["box"] = box
    attributes = values.get("attributes")
    return {**prompt, "attributes": attributes} if isinstance(attributes, dict) and attributes else prompt
