"""From object scores to tables: mean over objects per data set, mean over data sets, with 95 % intervals."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from napari_segany.evaluation.groups import Grouping
from napari_segany.evaluation.metrics import Calibration, Interval, calibration, dataset_interval, mean_interval
from napari_segany.evaluation.scores import (
    BASELINE,
    BOX,
    MUTUAL,
    ORACLE,
    PREDICTED,
    ObjectScore,
    point_counts,
    points_key,
)

DIFFERENT_BELOW = 0.7
"""Mutual IoU of the three masks under which they count as truly different."""

TEXT_NOTE = (
    "Mean IoU of the highest-ranked mask after N points, of the best of three masks after one point, with a box, of "
    "the classical baseline; predicted IoU; how often the three masks' mutual IoU is below 0.7; "
    "each ± half of its 95 % bootstrap interval."
)


@dataclass(frozen=True)
class Heading:
    """What a column of a table is called.

    Attributes
    ----------
    heading : str
        For readers.
    key : str
        For programs.
    """

    heading: str
    key: str


@dataclass(frozen=True)
class Column(Heading):
    """A column of the table of objects.

    Attributes
    ----------
    value : callable
        One object's number; NaN where it was not measured.
    """

    value: Callable[[ObjectScore], float]


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes
    ----------
    name : str
        Of the data set or group.
    images, objects : int
        How many were measured.
    cells : mapping of str to Interval
        By the key of the column.
    """

    name: str
    images: int
    objects: int
    cells: Mapping[str, Interval]


def columns(scores: Sequence[ObjectScore]) -> list[Column]:
    """Return the columns for whatever these scores hold."""
    found = {name for score in scores for name in score.values}
    wanted = [
        Column("1 point" if count == 1 else f"{count} points", *_value(points_key(count)))
        for count in point_counts(found)
    ]
    wanted.insert(1, Column("best of 3", *_value(ORACLE)))
    wanted.append(Column("box", *_value(BOX)))
    wanted.append(Column("predicted", *_value(PREDICTED)))
    wanted.append(Column("predicted off by", "predicted_error", _predicted_error))
    wanted.append(Column("3 masks differ", "masks_differ", _masks_differ))
    wanted.append(Column("baseline", *_value(BASELINE)))
    needs = {"predicted_error": PREDICTED, "masks_differ": MUTUAL}
    return [column for column in wanted if needs.get(column.key, column.key) in found]


def dataset_rows(scores: Sequence[ObjectScore], seed: int = 0) -> list[Row]:
    """Return a line per data set and, when there are several, the mean over data sets as the last line."""
    rows = group_rows(scores, lambda score: score.dataset, seed)
    if len(rows) < 2:
        return rows
    by_name = {row.name: [score for score in scores if score.dataset == row.name] for row in rows}
    cells = {
        column.key: dataset_interval([[column.value(score) for score in own] for own in by_name.values()], seed)
        for column in columns(scores)
    }
    total = Row("mean over data sets", sum(row.images for row in rows), len(scores), cells)
    return [*rows, total]


def group_rows(scores: Sequence[ObjectScore], group: Grouping, seed: int = 0) -> list[Row]:
    """Return a line per group: means over its objects, whatever data set they are from."""
    shown = columns(scores)
    rows = []
    for name, members in groupby(sorted(scores, key=group), key=group):
        own = list(members)
        cells = {column.key: mean_interval([column.value(score) for score in own], seed) for column in shown}
        rows.append(Row(name, len({(score.dataset, score.image) for score in own}), len(own), cells))
    return rows


def predicted_calibration(scores: Sequence[ObjectScore]) -> Calibration | None:
    """Compare predicted and true IoU of the highest-ranked masks of one click; None where no model was measured."""
    measured = [score.values for score in scores if PREDICTED in score.values]
    if not measured:
        return None
    return calibration([own[PREDICTED] for own in measured], [own[points_key(1)] for own in measured])


def to_text(rows: Sequence[Row], shown: Sequence[Heading], first: str = "data set") -> str:
    """Return a table for a terminal: means and half-widths of the intervals."""
    lines = [[first, "images", "objects", *(column.heading for column in shown)]]
    for row in rows:
        cells = [_short(row.cells[column.key]) for column in shown]
        lines.append([row.name, str(row.images), str(row.objects), *cells])
    widths = [max(len(line[index]) for line in lines) for index in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) if index == 0 else cell.rjust(width) for index, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in lines)
    )


def to_markdown(rows: Sequence[Row], shown: Sequence[Heading], first: str = "data set") -> str:
    """Return a Markdown table: means with both ends of their intervals."""
    header = [first, "images", "objects", *(column.heading for column in shown)]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for row in rows:
        cells = [_long(row.cells[column.key]) for column in shown]
        lines.append([row.name, str(row.images), str(row.objects), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def to_csv(rows: Sequence[Row], shown: Sequence[Heading], first: str = "dataset") -> str:
    """Return a CSV table with one line per row and column: mean and both ends of the interval."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow([first, "images", "objects", "metric", "mean", "low", "high"])
    for row in rows:
        for column in shown:
            cell = row.cells[column.key]
            ends = [f"{number:.6f}" for number in (cell.mean, cell.low, cell.high)]
            writer.writerow([row.name, row.images, row.objects, column.key, *ends])
    return target.getvalue()


def calibration_sentence(result: Calibration) -> str:
    """Say in words how far predicted IoU is off."""
    return (
        f"Expected calibration error of predicted IoU: {result.error:.3f}; "
        f"mean distance from the true IoU: {result.absolute_error:.3f} (one point, highest-ranked mask)."
    )


def _value(key: str) -> tuple[str, Callable[[ObjectScore], float]]:
    return key, lambda score: score.values.get(key, np.nan)


def _predicted_error(score: ObjectScore) -> float:
    return abs(score.values.get(PREDICTED, np.nan) - score.values.get(points_key(1), np.nan))


def _masks_differ(score: ObjectScore) -> float:
    return float(score.values[MUTUAL] < DIFFERENT_BELOW) if MUTUAL in score.values else np.nan


def _short(cell: Interval) -> str:
    return "-" if np.isnan(cell.mean) else f"{cell.mean:.2f} ±{cell.half_width:.2f}"


def _long(cell: Interval) -> str:
    return "-" if np.isnan(cell.mean) else f"{cell.mean:.3f} ({cell.low:.3f} to {cell.high:.3f})"
