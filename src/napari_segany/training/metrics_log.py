"""The numbers of a run as CSV, a line every so often and one per validation."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from napari_segany.formats.atomic import replacing
from napari_segany.training.rounds import LessonResult
from napari_segany.training.validation import ValidationResult

_LESSON = ("loss", "focal", "dice", "iou_error", "first_iou", "first_best", "last_iou")
_VALIDATION = ("click", "oracle", "box", "error", "text")
COLUMNS = ("step", "seconds_per_step", *_LESSON, "wins", *_VALIDATION)


class MetricsLog:
    """Means over the steps since the last line.

    Parameters
    ----------
    path : pathlib.Path
        The CSV file. Lines of steps after `step` are removed: a run that goes on writes them again.
    every : int
        Steps to a line.
    step : int
        Steps done.
    unwritten : sequence of LessonResult
        Those of them that no line tells of yet.
    """

    def __init__(self, path: Path, every: int, step: int, unwritten: Sequence[LessonResult] = ()) -> None:
        self.path, self.every = path, every
        self._results = list(unwritten)
        self._waiting: list[Mapping[str, str]] = []
        self._steps = 0  # of this process since the last line
        self._since = time.perf_counter()
        rows = [row for row in read_metrics(path) if int(row["step"]) <= step] if step and path.is_file() else []
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(COLUMNS)
            csv.writer(file).writerows([row.get(column, "") for column in COLUMNS] for row in rows)

    @property
    def unwritten(self) -> tuple[LessonResult, ...]:
        """The lessons that no line tells of yet."""
        return tuple(self._results)

    def add(self, step: int, results: Sequence[LessonResult]) -> str:
        """Remember a step; every so often write a line, and return it in words."""
        self._results += results
        self._steps += 1
        if step % self.every or not self._results:
            return "Training"
        seconds = (time.perf_counter() - self._since) / max(self._steps, 1)
        means = {name: float(np.mean([getattr(result, name) for result in self._results])) for name in _LESSON}
        wins = np.mean([result.wins for result in self._results], axis=0)
        self._write(
            {
                "step": str(step),
                "seconds_per_step": f"{seconds:.2f}",
                **{name: f"{mean:.4f}" for name, mean in means.items()},
                "wins": " ".join(f"{win:.2f}" for win in wins),
            }
        )
        self._results, self._steps, self._since = [], 0, time.perf_counter()
        return (
            f"loss {means['loss']:.3f}, IoU {means['first_iou']:.3f}, best of three {means['first_best']:.3f}, "
            f"at the end {means['last_iou']:.3f}"
        )

    def add_validation(self, step: int, result: ValidationResult) -> None:
        """Write what was measured."""
        measured = {name: getattr(result, name) for name in _VALIDATION}
        numbers = {name: f"{one:.4f}" for name, one in measured.items() if one is not None}
        self._write({"step": str(step), **numbers})
        self._since = time.perf_counter()

    def _write(self, row: Mapping[str, str]) -> None:
        """Write a line; while a spreadsheet locks the file, keep it for the next time: no run ends for that."""
        self._waiting.append(row)
        with suppress(PermissionError), self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS, restval="").writerows(self._waiting)
            self._waiting = []


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Return the lines of a CSV of `MetricsLog`, by column.

    Raises
    ------
    ValueError
        For a file with other columns.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        # Runs of earlier versions measured no words.
        if tuple(reader.fieldnames or ()) not in (COLUMNS, COLUMNS[:-1]):
            raise ValueError(f"{path} is not the log of a training run; its columns are {reader.fieldnames}")
        # A run that was killed may leave half a line.
        return [row for row in reader if row["step"].isdecimal() and None not in row.values()]
