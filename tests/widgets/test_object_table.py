"""Reading the features of objects: whole columns against row by row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_segany.widgets.object_table import labels_of, rows_of, texts_of

CELLS = ["cell", "", None, np.nan, pd.NA]


@pytest.mark.parametrize("seed", range(20))
def test_a_column_of_all_objects_is_what_their_rows_say(seed):
    random = np.random.default_rng(seed)
    count = int(random.integers(0, 8))
    table = pd.DataFrame({"index": np.arange(count)})
    if seed % 4:
        table["category"] = [CELLS[number] for number in random.integers(0, 5, count)]
    table["prompts"] = [CELLS[number] for number in random.integers(0, 5, count)]
    table["predicted_iou"] = np.where(random.random(count) < 0.5, np.nan, 0.0)
    rows = rows_of(table, range(1, count))
    assert labels_of(table) == [label for label, row in rows.items() if row]
    assert texts_of(table, "category") == {label: str(row.get("category", "")) for label, row in rows.items() if row}


def test_cells_that_are_no_text_are_written_as_such():
    table = pd.DataFrame({"index": [0, 1, 2], "category": pd.Categorical(["", "b", "a"])})
    assert texts_of(table, "category") == {1: "b", 2: "a"}
    assert texts_of(pd.DataFrame({"index": [0, 1], "category": [7, 8]}), "category") == {1: "8"}
