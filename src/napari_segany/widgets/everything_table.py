"""The features table of segmented objects: row k for label k, as napari's features table and status bar have it.

Numpy and pandas only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from napari_segany.formats.record import MaskRecord
from napari_segany.widgets.geometry import Plane

_BOX = ("bbox_row_min", "bbox_col_min", "bbox_row_max", "bbox_col_max")


@dataclass(frozen=True)
class FoundObject:
    """An object with its number.

    Attributes
    ----------
    label : int
        Its label in the layer.
    plane : Plane
        Where it lies.
    record : MaskRecord
        Its mask and scores; the mask is whole also where others are painted over it.
    parent : int
        Label of the smallest object that it lies within; 0 if there is none.
    fits_words : float or None
        Probability that it is what is looked for in words, 0 to 1; None where that is not known.
    """

    label: int
    plane: Plane
    record: MaskRecord
    parent: int = 0
    fits_words: float | None = None

    def __str__(self) -> str:
        record = self.record
        words = [f"Object {self.label}: {record.area:,} px"]
        if record.predicted_iou is not None:
            words.append(f"predicted IoU {record.predicted_iou:.2f}")
        if record.stability_score is not None:
            words.append(f"stability {record.stability_score:.2f}")
        if self.fits_words is not None:
            words.append(f"fits the words {self.fits_words:.2f}")
        if self.parent:
            words.append(f"inside object {self.parent}")
        return ", ".join(words)


def features_table(objects: Mapping[int, FoundObject]) -> pd.DataFrame:
    """Return dense features: row k for label k, row 0 for the background, empty rows for labels without an object.

    Columns are "index", "predicted_iou", "stability_score", "area" (pixels), "bbox_row_min" to "bbox_col_max"
    (half-open), "parent" (a label, 0 for none) and, of a stack, "slice_0", ...: the position on each hidden axis.
    Where something is looked for in words, "fits_words" is the probability that it is that.
    """
    labels = np.array(sorted(objects), np.int64)
    rows = [_row(objects[int(label)]) for label in labels]
    hidden = sorted({axis for found in objects.values() for axis in found.plane.hidden})
    names = ("predicted_iou", "stability_score", "area", *_BOX, "parent", *(f"slice_{axis}" for axis in hidden))
    values = np.full((int(labels[-1]) + 1 if len(labels) else 1, len(names)), np.nan)
    if rows:
        values[labels] = np.array(rows, np.float64)
    table = pd.DataFrame(values, columns=list(names))
    table.insert(0, "index", np.arange(len(table)))
    fits = {label: one.fits_words for label, one in objects.items() if one.fits_words is not None}
    if fits:
        table["fits_words"] = pd.Series(fits, dtype=np.float64).reindex(table.index)
    return table


def _row(found: FoundObject) -> list[float]:
    record = found.record
    scores = [np.nan if score is None else score for score in (record.predicted_iou, record.stability_score)]
    return [*scores, record.area, *record.bbox, found.parent, *found.plane.index]
