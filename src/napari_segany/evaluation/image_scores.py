"""What "segment everything" found in each image, as values and as a CSV file that an interrupted run goes on with."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

import xxhash

from napari_segany.evaluation.data import Sample
from napari_segany.formats.atomic import replacing
from napari_segany.formats.json_fields import read_json_object

SCORES_FILE = "images.csv"
RUN_FILE = "run.json"


@dataclass(frozen=True)
class ImageScore:
    """Counts of one image, from which precision, recall and average recall of any set of images follow.

    Attributes
    ----------
    dataset, image : str
        Where it is.
    content : str
        Digest of the image file and its label file.
    objects, masks : int
        Annotated objects and predicted masks.
    matched_50, matched_75 : int
        Pairs of a mask and an object of its own, at IoU 0.5 and 0.75.
    recalled_100, recalled_1000 : int
        Objects found by the 100 and 1000 best masks, summed over the ten thresholds 0.5 to 0.95.
    """

    dataset: str
    image: str
    content: str
    objects: int
    masks: int
    matched_50: int
    matched_75: int
    recalled_100: int
    recalled_1000: int


_COUNTS = tuple(field.name for field in fields(ImageScore) if field.type == "int")
_COLUMNS = tuple(field.name for field in fields(ImageScore))
_FOR_READERS = ("precision_50", "recall_50", "precision_75", "recall_75", "ar_100", "ar_1000")


def content_digest(sample: Sample) -> str:
    """Return a digest of an image and its labels: files that were changed are measured anew.

    Raises
    ------
    OSError
        Where a file cannot be read.
    """
    hasher = xxhash.xxh3_64()
    for path in (sample.image_path, sample.label_path):
        hasher.update(path.read_bytes())
    return hasher.hexdigest()


class ImageScoreFile:
    """The scores of a folder, one line for each image, written as they come.

    Parameters
    ----------
    folder : pathlib.Path
        Where `images.csv` and `run.json` are, or will be.
    run : Mapping
        What was measured and how, as plain values; scores of another run are not mixed with these.

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

    def __init__(self, folder: Path, run: Mapping[str, object]) -> None:
        self.known: dict[tuple[str, str], ImageScore] = {}
        path = folder / SCORES_FILE
        if path.is_file():
            _check_run(folder, run)
            self.known = {(score.dataset, score.image): score for score in read_image_scores(path)}
        _write_run(folder / RUN_FILE, run)
        # Written anew: a line that was cut off at the end of the last run goes.
        with replacing(path) as temporary:
            temporary.write_text(_lines(self.known.values(), header=True), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8", newline="")

    def write(self, score: ImageScore) -> None:
        """Append a score, if it is not there already, and hand it to the operating system."""
        if self.known.get((score.dataset, score.image)) == score:
            return
        self._file.write(_lines([score]))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> ImageScoreFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_image_scores(path: Path) -> list[ImageScore]:
    """Read what `ImageScoreFile` wrote; a last line that was cut off is left out, a later line of an image counts.

    Raises
    ------
    ValueError
        If a column is missing or a line holds something else.
    """
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    reader = csv.DictReader(io.StringIO(whole))
    missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}; it is not a table of image scores")
    scores = {}
    for row in reader:
        try:
            values: dict[str, Any] = {name: int(row[name]) if name in _COUNTS else row[name] for name in _COLUMNS}
        except (ValueError, TypeError):
            raise ValueError(f"{path}, line {reader.line_num} holds something else than counts") from None
        scores[row["dataset"], row["image"]] = ImageScore(**values)
    return list(scores.values())


def _lines(scores: Iterable[ImageScore], header: bool = False) -> str:
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    if header:
        writer.writerow([*_COLUMNS, *_FOR_READERS])
    for score in scores:
        pairs = [
            (score.matched_50, score.masks),
            (score.matched_50, score.objects),
            (score.matched_75, score.masks),
            (score.matched_75, score.objects),
            (score.recalled_100, 10 * score.objects),
            (score.recalled_1000, 10 * score.objects),
        ]
        shares = [f"{part / whole:.6f}" if whole else "" for part, whole in pairs]
        writer.writerow([*(getattr(score, name) for name in _COLUMNS), *shares])
    return target.getvalue()


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
