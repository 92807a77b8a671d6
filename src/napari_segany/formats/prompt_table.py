"""Points or boxes from a CSV file: with columns named by people, or as napari itself saves its layers. Numpy only.

==========================================  =======================================================================
columns                                     what a line is
==========================================  =======================================================================
row, col                                    a point; `y`, `x` serve as well; with a column `label`, 0 or "background"
                                            leaves the line out
row_min, col_min, row_max, col_max          a box
axis-0, axis-1, ...                         a point of napari's, of any number of axes
index, shape-type, vertex-index, axis-0 ..  a corner of one of napari's shapes; the box around all corners is taken
==========================================  =======================================================================

Other columns are passed over.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

POINT_COLUMNS = ("row", "col")
BOX_COLUMNS = ("row_min", "col_min", "row_max", "col_max")

_OTHER_NAMES = {"y": "row", "x": "col", "column": "col"}
_LABELS = {"1": True, "foreground": True, "0": False, "background": False}
_EXPECTED = "expected are row,col or row_min,col_min,row_max,col_max, or a file that napari saved of points or shapes"


@dataclass(frozen=True, eq=False)
class PromptTable:
    """Points or boxes in pixels of an image.

    Attributes
    ----------
    points : numpy.ndarray or None
        (N, ndim) float64 positions, row and column last.
    boxes : numpy.ndarray or None
        (N, 2, ndim) float64, lowest and highest corner. One of the two is given.
    """

    points: NDArray[np.float64] | None = None
    boxes: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        """Return the number of points or boxes."""
        return sum(len(part) for part in (self.points, self.boxes) if part is not None)

    @property
    def ndim(self) -> int:
        """Number of axes of the positions."""
        return next(part.shape[-1] for part in (self.points, self.boxes) if part is not None)


def read_prompt_table(path: str | os.PathLike[str]) -> PromptTable:
    """Read points or boxes.

    Raises
    ------
    OSError
        Where the file cannot be read.
    ValueError
        For anything else than such a table; one sentence that names the file, and the line where there is one.
    """
    path = Path(path)
    names, rows = _read(path)
    axes = sorted((name for name in names if _is_axis(name)), key=lambda name: int(name[5:]))
    if "shape-type" in names and "index" in names and len(axes) >= 2:
        table = _shapes(path, names, rows, axes)
    elif len(axes) >= 2:
        table = PromptTable(points=_columns(path, names, rows, axes))
    elif all(name in names for name in BOX_COLUMNS):
        table = PromptTable(boxes=_columns(path, names, rows, BOX_COLUMNS).reshape(-1, 2, 2))
    elif all(name in names for name in POINT_COLUMNS):
        rows = [row for row in rows if _is_foreground(path, names, row)]
        table = PromptTable(points=_columns(path, names, rows, POINT_COLUMNS))
    else:
        raise ValueError(f"{path.name} has the columns {', '.join(names) or '(none)'}; {_EXPECTED}")
    if not len(table):
        raise ValueError(f"{path.name} names columns, but no line follows that has a point or box")
    return table


Line = tuple[int, list[str]]
"""Number of a line in the file, and its cells."""


def _read(path: Path) -> tuple[list[str], list[Line]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        delimiter = max(",;\t", key=first.count)
        lines = list(csv.reader(text.splitlines(), delimiter=delimiter, strict=True))
    except (csv.Error, UnicodeDecodeError):
        raise ValueError(f"{path.name} is no CSV file; {_EXPECTED}") from None
    if "\0" in text or not lines:
        raise ValueError(f"{path.name} is {'empty' if not text.strip() else 'no CSV file'}; {_EXPECTED}")
    names = [name.strip().lower() for name in lines[0]]
    if all(_is_number(name) for name in names):
        raise ValueError(f"the first line of {path.name} has numbers and no names of columns; {_EXPECTED}")
    numbered = [(number, cells) for number, cells in enumerate(lines[1:], 2) if any(cell.strip() for cell in cells)]
    return [_OTHER_NAMES.get(name, name) for name in names], numbered


def _columns(path: Path, names: list[str], rows: list[Line], wanted: Sequence[str]) -> NDArray[np.float64]:
    """Return (N, len(wanted)) numbers, or say which cell is none."""
    places = [names.index(name) for name in wanted]
    values = np.empty((len(rows), len(wanted)))
    for at, (number, cells) in enumerate(rows):
        for column, (name, place) in enumerate(zip(wanted, places, strict=True)):
            text = cells[place].strip() if place < len(cells) else ""
            if not _is_number(text):
                raise ValueError(f"line {number} of {path.name} has {text!r} in the column {name}; give a number")
            values[at, column] = float(text)
    return values


def _shapes(path: Path, names: list[str], rows: list[Line], axes: list[str]) -> PromptTable:
    index = _columns(path, names, rows, ["index"])[:, 0]
    corners = _columns(path, names, rows, axes)
    each = [corners[index == one] for one in np.unique(index)]
    boxes = [(part.min(axis=0), part.max(axis=0)) for part in each]
    return PromptTable(boxes=np.array(boxes, np.float64).reshape(-1, 2, len(axes)))


def _is_foreground(path: Path, names: list[str], row: Line) -> bool:
    if "label" not in names:
        return True
    number, cells = row
    place = names.index("label")
    text = cells[place].strip().lower() if place < len(cells) else ""
    if text not in _LABELS:
        raise ValueError(
            f"line {number} of {path.name} has {text!r} in the column label; allowed are 1, foreground, 0, background"
        )
    return _LABELS[text]


def _is_axis(name: str) -> bool:
    return name.startswith("axis-") and name[5:].isdecimal()


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
