"""Which rows of a table are shown: conditions as people type them, read without evaluating anything. Pandas only."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_CONDITION = re.compile(r"^(?P<name>.*?)\s*(?P<how>>=|<=|!=|==|>|<|=)\s*(?P<value>.+)$")


def fitting(table: pd.DataFrame, text: str) -> NDArray[np.bool_]:
    """Tell which rows fit all conditions.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns of numbers or texts; an empty cell fits no condition but "!=".
    text : str
        Conditions, separated by commas: "area > 100, class = nucleus". The beginning of a column's name is enough
        where one column alone begins so. A word without a comparison fits rows whose "class" or "label" it is.

    Raises
    ------
    ValueError
        For a column that does not exist or is not told apart, and a number that is none.
    """
    fits = np.ones(len(table), bool)
    for part in text.split(","):
        if part.strip():
            fits &= _fits(table, part.strip())
    return fits


def _fits(table: pd.DataFrame, part: str) -> NDArray[np.bool_]:
    found = _CONDITION.match(part)
    if found is None:
        texts = [table[name].astype(str).str.lower() for name in ("class", "label") if name in table]
        return np.logical_or.reduce(
            [np.asarray(one == part.lower()) for one in texts] or [np.zeros(len(table), bool)]
        )
    column = table[_column(table, found["name"])]
    compare = _COMPARED[found["how"].replace("==", "=")]
    if not pd.api.types.is_numeric_dtype(column):
        if found["how"] not in ("=", "==", "!="):
            raise ValueError(f"{column.name} is text: compare it with = or !=")
        return np.asarray(compare(column.fillna("").astype(str).str.lower(), found["value"].strip().lower()))
    try:
        value = float(found["value"])
    except ValueError:
        raise ValueError(f"{found['value']!r} is no number; write for example {column.name} > 100") from None
    return np.asarray(compare(column.astype(float), value))


def _column(table: pd.DataFrame, typed: str) -> str:
    names = [str(name) for name in table.columns]
    name = typed.strip().lower()
    same = [one for one in names if one.lower() == name]
    begun = same or [one for one in names if name and one.lower().startswith(name)]
    if len(begun) == 1:
        return begun[0]
    if begun:
        raise ValueError(f"{typed!r} may be {' or '.join(begun)}; write more of it")
    raise ValueError(f"there is no column {typed!r}; there are {', '.join(names)}")
