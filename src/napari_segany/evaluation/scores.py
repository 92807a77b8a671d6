"""What was measured on each object, as values and as a CSV file that survives an interruption."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

PREDICTED, MUTUAL, ORACLE, BOX, BASELINE = "predicted_iou", "mutual_iou", "oracle_1", "iou_box", "iou_baseline"


def points_key(count: int) -> str:
    """Name of the IoU after `count` points."""
    return f"iou_{count}"


def point_counts(names: Iterable[str]) -> list[int]:
    """Return the numbers of points, ascending, that have an IoU among the names."""
    return sorted({int(match[1]) for name in names if (match := re.fullmatch(r"iou_(\d+)", name))})


@dataclass(frozen=True)
class ObjectScore:
    """One object's numbers.

    Attributes
    ----------
    dataset, image : str
        Where the object is.
    object_id : int
        Its number in the label image.
    area : int
        Pixels.
    parts : int
        Separate parts, 8-connected.
    at_border : bool
        Whether the edge of the image cuts it.
    row, col : int
        The first click.
    values : mapping of str to float
        `iou_N` after N points, `oracle_1` for the best of the three masks of the first click, `iou_box`,
        `iou_baseline`; `predicted_iou` of the first click's highest-ranked mask and `mutual_iou` of its three.
    """

    dataset: str
    image: str
    object_id: int
    area: int
    parts: int
    at_border: bool
    row: int
    col: int
    values: Mapping[str, float]


_COLUMNS = tuple(field.name for field in fields(ObjectScore) if field.name != "values")


class ScoreWriter:
    """A CSV file of object scores, one line each, written as they come.

    Parameters
    ----------
    path : pathlib.Path
        The file; an older one is replaced.
    names : sequence of str
        The measured values, in the order of the columns.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._file, [*_COLUMNS, *names])
        self._writer.writeheader()

    def write(self, scores: Iterable[ObjectScore]) -> None:
        """Append scores and hand them to the operating system."""
        for score in scores:
            own = {name: getattr(score, name) for name in _COLUMNS}
            self._writer.writerow(own | {name: f"{value:.6f}" for name, value in score.values.items()})
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> ScoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_scores(path: Path) -> list[ObjectScore]:
    """Read what `ScoreWriter` wrote.

    Raises
    ------
    ValueError
        If a column is missing or holds something else.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = sorted(set(_COLUMNS) - set(reader.fieldnames or ()))
        if missing:
            raise ValueError(f"{path} has no column {', '.join(missing)}; it is not a table of object scores")
        try:
            return [_score(row) for row in reader]
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}") from error


def _score(row: Mapping[str, Any]) -> ObjectScore:
    return ObjectScore(
        dataset=row["dataset"],
        image=row["image"],
        object_id=int(row["object_id"]),
        area=int(row["area"]),
        parts=int(row["parts"]),
        at_border=row["at_border"] == "True",
        row=int(row["row"]),
        col=int(row["col"]),
        values={name: float(text) for name, text in row.items() if name not in _COLUMNS and text != ""},
    )
