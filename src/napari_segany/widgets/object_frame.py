"""The table of objects as people see it: scores, classes and measures side by side. Pandas only."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from napari_segany.engine.object_measures import Table
from napari_segany.widgets.label_features import CATEGORY
from napari_segany.widgets.object_table import AREA, INDEX, PROMPTS
from napari_segany.widgets.object_units import PixelGeometry

BOX = ("bbox_row_min", "bbox_col_min", "bbox_row_max", "bbox_col_max")

_SCORES = ("predicted_iou", "stability_score")
_OWN = (INDEX, AREA, PROMPTS, CATEGORY, *_SCORES)
_POWERS = {"area": 2, "perimeter": 1, "volume": 3}


def object_frame(
    classes: Mapping[int, str],
    features: pd.DataFrame | None,
    measures: Table | None,
    geometry: PixelGeometry | None = None,
) -> pd.DataFrame:
    """Return a row for each object.

    Parameters
    ----------
    classes : Mapping
        The class of each object, by label, "" for none: these are the objects.
    features : pandas.DataFrame, optional
        The features of their layer, row k for label k.
    measures : dict, optional
        What `measure_objects` returned; objects that are not in it have empty cells.
    geometry : PixelGeometry, optional
        The unit of the measures.

    Returns
    -------
    pandas.DataFrame
        "label", "class", "predicted_iou", "stability_score"; "pixels"; "area", "perimeter" and "volume" with the unit
        behind their names, as "area_um2"; slices, places, boxes and intensities as `measure_objects` names them; then
        all other columns of the features.
    """
    labels = np.array(sorted(classes), np.int64)
    frame = pd.DataFrame({"label": labels, "class": [classes[int(label)] for label in labels]})
    rows = (pd.DataFrame() if features is None else features).reindex(labels).reset_index(drop=True)
    for name in _SCORES:
        frame[name] = pd.to_numeric(rows[name], errors="coerce") if name in rows else np.nan
    measured = pd.DataFrame(measures or {"label": np.zeros(0, np.int64)}).set_index("label").reindex(labels)
    measured = measured.reset_index(drop=True)
    for name in measured:
        if str(name).startswith("slice") or str(name) == "slices":
            frame[name] = _whole(measured[name])
    counted = rows[AREA] if AREA in rows else measured.get("pixels", pd.Series(np.nan, frame.index))
    frame["pixels"] = _whole(pd.to_numeric(counted, errors="coerce"))
    for name in measured:
        if name not in frame:
            power = _POWERS.get(str(name))
            title = f"{name}{geometry.suffix(power)}" if power and geometry is not None else str(name)
            frame[title] = measured[name]
    for name in rows:
        if name not in _OWN and name not in frame:
            frame[name] = rows[name]
    return frame


def shown_columns(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return the columns that fit on a screen: without boxes and centroids."""
    hidden = (*BOX, "centroid_row", "centroid_col")
    return tuple(str(name) for name in frame.columns if name not in hidden)


def _whole(values: pd.Series) -> pd.Series:
    """Return whole numbers as such where none is missing."""
    return values.astype(np.int64) if values.notna().all() else values
