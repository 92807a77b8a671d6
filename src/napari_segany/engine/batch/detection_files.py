"""The boxes of any object detector out of its files: COCO results and instances, tables, YOLO's texts.

Boxes are kept by what the file calls their image; `detection_match` finds the images. Knows numpy and files only.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_segany.engine.batch.class_names import NamedClasses, read_classes
from napari_segany.engine.batch.detection import Box, Detection
from napari_segany.formats.json_fields import integer, numbers, objects, optional_number, reading, text

_IMAGE_COLUMNS = ("image", "file_name", "filename", "file", "path", "image_path", "image_id")
_CLASS_COLUMNS = ("class", "class_name", "category", "label", "name", "class_id", "category_id")
_SCORE_COLUMNS = ("score", "confidence", "conf", "probability")
_EDGE_COLUMNS = (  # x_min, y_min, x_max, y_max
    ("x_min", "y_min", "x_max", "y_max"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
    ("col_min", "row_min", "col_max", "row_max"),
    ("bbox_col_min", "bbox_row_min", "bbox_col_max", "bbox_row_max"),
)
_SIZE_COLUMNS = (("x", "y", "width", "height"), ("x", "y", "w", "h"))


@dataclass(frozen=True)
class DetectionSet:
    """What a detector found.

    Attributes
    ----------
    images : Mapping
        Boxes by what the file calls their image: a path, a name with or without ending, or a number.
    classes : Mapping
        Names of the classes by their numbers.
    """

    images: Mapping[str, tuple[Detection, ...]]
    classes: Mapping[int, str]


def read_detections(path: str | os.PathLike[str], classes_path: str | os.PathLike[str] | None = None) -> DetectionSet:
    """Read the boxes of a detector.

    Parameters
    ----------
    path : path
        .json: COCO results (a list) or instances (an object). .csv: a table with a header and one box in a line. A
        folder, or one .txt: YOLO's texts, a line "class x y width height" and perhaps a score, as fractions of the
        image.
    classes_path : path, optional
        Where the classes have their names, see `read_classes`; YOLO's are looked for in the folder too.

    Raises
    ------
    OSError
        Where a file cannot be read.
    ValueError
        For files that are damaged or of another kind, in one sentence that names the file and the place in it.
    """
    path = Path(path)
    known = NamedClasses() if classes_path is None else read_classes(classes_path)
    if path.is_dir() or (path.suffix.lower() == ".txt" and path.is_file()):
        return _from_yolo(path, known)
    if path.suffix.lower() == ".json":
        return _from_coco(path, known)
    if path.suffix.lower() == ".csv":
        return _from_table(path, known)
    if not path.exists():
        raise FileNotFoundError(2, "No such file or folder", str(path))
    raise ValueError(f"{path} is neither .json (COCO) nor .csv nor .txt (YOLO) nor a folder of such texts")


def _from_coco(path: Path, known: NamedClasses) -> DetectionSet:
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError):
        raise ValueError(f"{path.name} is no JSON file, or it is cut off; COCO results were expected") from None
    with reading(path.name):
        if isinstance(values, dict):
            known = known.joined(NamedClasses.from_coco(values))
            values = values.get("annotations")
        entries = objects({"results": values}, "results")
        pairs = []
        for position, entry in enumerate(entries, 1):
            with reading(f"box no. {position}"):
                pairs.append((_coco_image(entry, known.images), _coco_detection(entry)))
    return _gathered(pairs, known)


def _coco_image(entry: Mapping[str, Any], images: Mapping[int, str]) -> str:
    if isinstance(entry.get("file_name"), str):
        return text(entry, "file_name")
    if isinstance(entry.get("image_id"), str):
        return text(entry, "image_id")
    number = integer(entry, "image_id")
    if images and number not in images:
        raise ValueError(f"it belongs to the image {number}, which 'images' does not have")
    return images.get(number, str(number))


def _coco_detection(entry: Mapping[str, Any]) -> Detection:
    x, y, width, height = numbers(entry, "bbox", 4)
    return Detection(
        _checked_box(x, y, x + width, y + height), integer(entry, "category_id"), optional_number(entry, "score")
    )


def _from_table(path: Path, known: NamedClasses) -> DetectionSet:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except (csv.Error, UnicodeDecodeError):
        raise ValueError(f"{path.name} is no CSV file") from None
    columns = {name.strip().lower(): index for index, name in enumerate(header)}
    with reading(path.name):
        layout = _Layout.of(columns)
        rows = [row for row in rows if row]
        for number, row in enumerate(rows, 2):
            if len(row) != len(header):
                raise ValueError(f"line {number} has {len(row)} cells; expected {len(header)}")
        known = _with_names(known, [row[layout.kind].strip() for row in rows] if layout.kind is not None else [])
        pairs = []
        for number, row in enumerate(rows, 2):
            with reading(f"line {number}"):
                pairs.append((row[layout.image].strip(), layout.detection(row, known)))
    return _gathered(pairs, known)


@dataclass(frozen=True)
class _Layout:
    """Which column of a table holds what."""

    image: int
    box: tuple[int, ...]
    box_is_size: bool
    kind: int | None
    score: int | None

    @classmethod
    def of(cls, columns: Mapping[str, int]) -> _Layout:
        image = next((columns[name] for name in _IMAGE_COLUMNS if name in columns), None)
        edges = next((names for names in _EDGE_COLUMNS if set(names) <= set(columns)), None)
        sizes = next((names for names in _SIZE_COLUMNS if set(names) <= set(columns)), None)
        names = edges or sizes
        if image is None or names is None:
            raise ValueError(
                "it is no table of boxes: the header needs 'image' and x_min, y_min, x_max, y_max (or x, y, width, "
                f"height), in pixels; it is {', '.join(columns) or 'empty'}"
            )
        kind = next((columns[name] for name in _CLASS_COLUMNS if name in columns and columns[name] != image), None)
        score = next((columns[name] for name in _SCORE_COLUMNS if name in columns), None)
        return cls(image, tuple(columns[name] for name in names), edges is None, kind, score)

    def detection(self, row: Sequence[str], known: NamedClasses) -> Detection:
        x, y, right, bottom = (_number(row[index]) for index in self.box)
        box = _checked_box(x, y, x + right, y + bottom) if self.box_is_size else _checked_box(x, y, right, bottom)
        score = None if self.score is None or not row[self.score].strip() else _number(row[self.score])
        return Detection(box, 1 if self.kind is None else known.number_of(row[self.kind].strip()), score)


def _with_names(known: NamedClasses, found: Sequence[str]) -> NamedClasses:
    """Give numbers to the classes that a table names in words, by the alphabet, where nothing else numbers them."""
    words = sorted({name for name in found if not _is_whole(name) and name not in known.names.values()})
    first = max(known.names, default=0) + 1
    return known.joined(NamedClasses(dict(enumerate(words, first))))


def _from_yolo(given: Path, known: NamedClasses) -> DetectionSet:
    """Read the texts of a folder, or one of them."""
    folder = given if given.is_dir() else given.parent
    files = (
        sorted(path for path in folder.rglob("*.txt") if path.name != "classes.txt") if given == folder else [given]
    )
    if not files:
        raise ValueError(f"the folder {folder} holds no .txt file; YOLO writes one for each image")
    for names in (folder / "classes.txt", folder / "data.yaml", folder.parent / "data.yaml"):
        if not known.names and names.is_file():
            known = read_classes(names)
    pairs: list[tuple[str, Detection]] = []
    for path in files:
        key = path.relative_to(folder).with_suffix("").as_posix()
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            raise ValueError(f"{path.name} is no text file of YOLO boxes") from None
        for number, line in enumerate(lines, 1):
            if line.strip():
                with reading(f"{path.name}, line {number}"):
                    pairs.append((key, _yolo_detection(line.split())))
    return _gathered(pairs, known)


def _yolo_detection(words: Sequence[str]) -> Detection:
    if len(words) not in (5, 6):
        raise ValueError(f"it holds {len(words)} values; expected class x y width height, and perhaps a score")
    kind, x, y, width, height, *score = (_number(word) for word in words)
    if not kind.is_integer() or kind < 0:
        raise ValueError(f"the class is {words[0]}; expected 0, 1, 2, ...")
    if not all(-0.01 <= value <= 1.01 for value in (x, y, width, height)):
        raise ValueError("its box is not between 0 and 1; it is divided by the image's width and height")
    box = _checked_box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Detection(box, int(kind), score[0] if score else None, is_normalised=True)


def _gathered(pairs: Iterable[tuple[str, Detection]], known: NamedClasses) -> DetectionSet:
    images: dict[str, list[Detection]] = {}
    for key, detection in pairs:
        images.setdefault(key, []).append(detection)
    classes = dict(known.names)
    for detections in images.values():
        for item in detections:
            classes.setdefault(item.class_id, f"class {item.class_id}")
    return DetectionSet({key: tuple(items) for key, items in images.items()}, dict(sorted(classes.items())))


def _checked_box(x_min: float, y_min: float, x_max: float, y_max: float) -> Box:
    if not (x_min <= x_max and y_min <= y_max):
        raise ValueError(f"its box ends ({x_max:g}, {y_max:g}) before it begins ({x_min:g}, {y_min:g})")
    return y_min, x_min, y_max, x_max


def _number(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{word!r} is no number")
    return value


def _is_whole(word: str) -> bool:
    return word.removeprefix("-").isdecimal()
