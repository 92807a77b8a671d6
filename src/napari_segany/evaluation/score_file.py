"""Scores of images as a CSV file that grows line by line, and that an interrupted run goes on with."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from napari_segany.formats.atomic import replacing
from napari_segany.formats.json_fields import read_json_object

SCORES_FILE = "images.csv"
RUN_FILE = "run.json"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split())


_READERS: Mapping[str, Callable[[str], Any]] = {"str": str, "int": int, "float": float, "tuple[int, ...]": _numbers}


class Scored(Protocol):
    """What every score tells: where the image is, and a digest of its files."""

    @property
    def dataset(self) -> str: ...  # noqa: D102
    @property
    def image(self) -> str: ...  # noqa: D102
    @property
    def content(self) -> str: ...  # noqa: D102


Score = TypeVar("Score", bound=Scored)


@dataclass(frozen=True)
class ScoreTable(Generic[Score]):
    """How a kind of score is written.

    Attributes
    ----------
    kind : type
        A frozen dataclass whose fields are of type str, int, float or tuple[int, ...]: the columns.
    shares : mapping of str to callable
        Further columns for readers, with the numerator and denominator of each.
    """

    kind: Callable[..., Score]
    shares: Mapping[str, Callable[[Score], tuple[int, int]]]

    @property
    def columns(self) -> dict[str, Callable[[str], Any]]:
        """The fields, each with what reads its text."""
        return {field.name: _READERS[str(field.type)] for field in fields(self.kind)}  # type: ignore[arg-type]


class ScoreFile(Generic[Score]):
    """The scores of a folder, one line for each image, written as they come.

    Parameters
    ----------
    folder : pathlib.Path
        Where `images.csv` and `run.json` are, or will be.
    run : Mapping
        What was measured and how, as plain values; scores of another run are not mixed with these.
    table : ScoreTable
        The columns.

    Attributes
    ----------
    known : dict
        The scores that were there already, by data set and image.

    Raises
    ------
    ValueError
        If the folder holds scores of another run, or its files are damaged.
    OSError
        Where the folder cannot be read or written.
    """

    def __init__(self, folder: Path, run: Mapping[str, object], table: ScoreTable[Score]) -> None:
        self.known: dict[tuple[str, str], Score] = {}
        self._table = table
        path = folder / SCORES_FILE
        if path.is_file():
            _check_run(folder, run)
            self.known = {(score.dataset, score.image): score for score in read_scores(path, table)}
        _write_run(folder / RUN_FILE, run)
        # Written anew: a line that was cut off at the end of the last run goes.
        with replacing(path) as temporary:
            header = ",".join([*table.columns, *table.shares])
            temporary.write_text(f"{header}\n{_lines(table, self.known.values())}", encoding="utf-8")
        self._file = path.open("a", encoding="utf-8", newline="")

    def write(self, score: Score) -> None:
        """Append a score, if it is not there already, and hand it to the operating system."""
        if self.known.get((score.dataset, score.image)) == score:
            return
        self._file.write(_lines(self._table, [score]))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> ScoreFile[Score]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_scores(path: Path, table: ScoreTable[Score]) -> list[Score]:
    """Read what `ScoreFile` wrote; a last line that was cut off is left out, a later line of an image counts.

    Raises
    ------
    ValueError
        If a column is missing or a line holds something else.
    """
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    reader = csv.DictReader(io.StringIO(whole))
    missing = [name for name in table.columns if name not in (reader.fieldnames or ())]
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}; it is not a table of such scores")
    scores = {}
    for row in reader:
        try:
            values = {name: read(row[name]) for name, read in table.columns.items()}
        except (ValueError, TypeError):
            raise ValueError(f"{path}, line {reader.line_num} holds something else than numbers") from None
        scores[row["dataset"], row["image"]] = table.kind(**values)
    return list(scores.values())


def _lines(table: ScoreTable[Score], scores: Iterable[Score]) -> str:
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    for score in scores:
        writer.writerow([*_cells(score, list(table.columns)), *(_share(*of(score)) for of in table.shares.values())])
    return target.getvalue()


def _cells(score: Scored, names: Sequence[str]) -> list[str]:
    values = [getattr(score, name) for name in names]
    # The text of a float tells all of its digits.
    return [" ".join(map(str, value)) if isinstance(value, tuple) else str(value) for value in values]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.6f}" if whole else ""


def _check_run(folder: Path, run: Mapping[str, object]) -> None:
    path = folder / RUN_FILE
    there = read_json_object(path, "run description") if path.is_file() else {}
    ours = json.loads(json.dumps(run))
    different = [name for name in {**ours, **there} if ours.get(name) != there.get(name)]
    if different:
        raise ValueError(
            f"{folder} holds the scores of another run (different: {', '.join(different)}); "
            "give another --output, or delete its images.csv"
        )


def _write_run(path: Path, run: Mapping[str, object]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
