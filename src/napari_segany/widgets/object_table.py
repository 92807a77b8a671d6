"""The features of the layer `objects`, a row for each label. Pandas only: knows neither napari nor Qt.

Row k belongs to label k (row 0 to the background), as napari's features table has it, and the column `index` says the
same, as its status bar has it. Rows of labels that no pixel has are empty. `area` counts pixels.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

INDEX, AREA, PROMPTS = "index", "area", "prompts"

Row = Mapping[str, Any]
"""The cells of a label that are not empty, by column; without the column `index`."""


def with_row(features: pd.DataFrame, label: int, values: Row) -> pd.DataFrame:
    """Return dense features, row k for label k, with cells of one label set; all other cells are kept."""
    table = features.reindex(range(max(label + 1, len(features))))
    table[INDEX] = np.arange(len(table))
    for name, value in values.items():
        _set(table, [label], name, [value])
    return _with_texts(table)


def rows_of(features: pd.DataFrame, labels: Iterable[int]) -> dict[int, Row]:
    """Return the rows of some labels; an empty row is {}."""
    there = [label for label in labels if 0 <= label < len(features)]
    rows: dict[int, Row] = {label: {} for label in labels}
    for label, cells in zip(there, features.iloc[there].to_dict("records"), strict=True):
        rows[label] = {str(name): cell for name, cell in cells.items() if name != INDEX and not _is_empty(cell)}
    return rows


def labels_of(features: pd.DataFrame) -> list[int]:
    """Return the labels whose rows are not empty, ascending; quick for a table of many."""
    filled = np.zeros(len(features), np.bool_)
    for place, name in enumerate(features.columns):  # by its place: names may be there twice
        if name != INDEX:
            filled |= _filled(features.iloc[:, place])
    labels: list[int] = (1 + np.flatnonzero(filled[1:])).tolist()
    return labels


def texts_of(features: pd.DataFrame, name: str) -> dict[int, str]:
    """Return one column of all objects, by label; "" where the cell is empty. Labels with empty rows are left out."""
    labels = labels_of(features)
    if name not in features or name == INDEX:
        return dict.fromkeys(labels, "")
    column = features[name]
    cells = column.where(_filled(column), "").to_numpy(dtype=object)
    return {label: str(cells[label]) for label in labels}


def with_rows(features: pd.DataFrame, rows: Mapping[int, Row], length: int | None = None) -> pd.DataFrame:
    """Return dense features in which some labels have these rows, and no other cells.

    Parameters
    ----------
    features : pandas.DataFrame
        The features, row k for label k.
    rows : Mapping
        The rows by label; {} empties one.
    length : int, optional
        How many rows there shall be; no fewer than the labels that are not empty need. By default as many as before,
        or more where a label needs it.
    """
    highest = max((label for label, row in rows.items() if row), default=0)
    needed = max(len(features) if length is None else length, highest + 1, 1)
    table = features.drop(index=[label for label in rows if label in features.index]).reindex(range(needed))
    table[INDEX] = np.arange(len(table))
    columns: dict[str, dict[int, Any]] = {}
    for label, row in rows.items():
        for name, value in row.items():
            columns.setdefault(name, {})[label] = value
    for name, cells in columns.items():  # a column at a time: pandas takes half a millisecond for a cell
        _set(table, list(cells), name, list(cells.values()))
    return _with_texts(table)


def origin_of(row: Row) -> dict[str, Any]:
    """Return what the `prompts` cell tells of where an object came from; {} for a row that somebody else made."""
    try:
        origin = json.loads(row.get(PROMPTS) or "{}")
    except (TypeError, ValueError):
        return {}
    return origin if isinstance(origin, dict) else {}


def edited(row: Row, how: str) -> Row:
    """Return a row whose `prompts` cell says that its object was changed, and how: "brush", "merge", "split" ..."""
    origin = origin_of(row)
    edits = [name for name in origin.get("edits", []) if name != how]
    return {**row, PROMPTS: json.dumps({**origin, "edits": [*edits, how]})}


def counted(row: Row, area: int) -> Row:
    """Return a row with this area, in pixels; an object without pixels has none."""
    return {**row, AREA: float(area)} if area > 0 else {}


def _set(table: pd.DataFrame, labels: list[int], name: str, values: list[Any]) -> None:
    if name not in table:
        are_numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        table[name] = pd.Series([None] * len(table), dtype=float if are_numbers else object)
    try:
        table.loc[labels, name] = values
    except (TypeError, ValueError):  # a column of another type, such as whole numbers or categories
        table[name] = table[name].astype(object)
        table.loc[labels, name] = values


def _with_texts(table: pd.DataFrame) -> pd.DataFrame:
    """Let empty prompts be "", so that the column is text throughout."""
    if PROMPTS in table:
        table[PROMPTS] = table[PROMPTS].astype(object).where(table[PROMPTS].notna(), "")
    return table


def _filled(column: pd.Series) -> NDArray[np.bool_]:
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "f":  # pandas takes ten times as long for it
        return ~np.isnan(column.to_numpy())
    return (column.notna() & (column != "")).to_numpy(dtype=np.bool_)


def _is_empty(cell: Any) -> bool:
    return cell is None or cell == "" or bool(np.isscalar(cell) and pd.isna(cell)) or cell is pd.NA
