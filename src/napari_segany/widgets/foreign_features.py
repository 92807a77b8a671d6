"""Features of labels as others left them, put into the order in which `object_table` keeps them. Pandas only."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_segany.widgets.object_table import INDEX


def by_label(features: pd.DataFrame, highest: int) -> pd.DataFrame | None:
    """Return a table, row k for label k, from one whose column `index` may name the labels in another order.

    None where the column names no labels up to `highest`, each once. A table that is right is returned itself.
    """
    if INDEX not in features:
        return features
    labels = pd.to_numeric(features[INDEX], errors="coerce").to_numpy(float, na_value=np.nan)
    if (labels == np.arange(len(labels))).all():
        return features
    if not ((labels >= 0) & (labels <= highest) & (labels % 1 == 0)).all() or len(np.unique(labels)) < len(labels):
        return None
    table = features.set_index(labels.astype(int)).reindex(range(int(labels.max()) + 1))
    table[INDEX] = np.arange(len(table))
    return table
