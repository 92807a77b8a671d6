"""YOLO's segmentation files: a text of normalised polygons for each image, and data.yaml. Knows numpy and files only.

A line is `class x1 y1 x2 y2 ...`, coordinates divided by the image's width and height. A line holds one ring, so
parts and holes are joined by bridges (see `polygons`), as Ultralytics' converter joins the parts of COCO's objects.

Vertices are corners of pixels, as in COCO, so that boxes taken from them are right and reading gives the very mask
back. Ultralytics itself fills polygons at training with OpenCV, which paints the outline too: there an object has one
more row and column of pixels at the bottom and on the right, and a bridge is one pixel wide.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import yaml

from napari_segany.formats.atomic import replacing
from napari_segany.formats.json_fields import reading
from napari_segany.formats.polygons import rasterise, ring_of
from napari_segany.formats.record import MaskRecord


@dataclass(frozen=True)
class YoloObject:
    """A mask with its class.

    Attributes
    ----------
    record : MaskRecord
        The mask.
    class_index : int
        The number of its class, from 0.
    """

    record: MaskRecord
    class_index: int = 0


@dataclass(frozen=True)
class YoloData:
    """What data.yaml says of a data set.

    Attributes
    ----------
    names : Mapping
        The names of the classes by their numbers, from 0.
    root : str
        The folder that the others are in; "." is the one of data.yaml, and is not written.
    train, val : str
        The folders of the images for training and validation, from `root`.
    """

    names: Mapping[int, str]
    root: str = "."
    train: str = "images/train"
    val: str = "images/val"


def label_path_of(image_path: str | os.PathLike[str]) -> Path:
    """Return where an image's labels are looked for: the last folder "images" becomes "labels", the suffix .txt.

    Raises
    ------
    ValueError
        For an image that is in no folder of that name.
    """
    parts = list(PurePath(image_path).with_suffix(".txt").parts)
    if "images" not in parts[:-1]:
        raise ValueError(f"{image_path} is in no folder 'images'; YOLO looks for labels in 'labels' beside it")
    parts[len(parts) - 1 - parts[::-1].index("images", 1)] = "labels"
    return Path(*parts)


def write_yolo_labels(path: str | os.PathLike[str], objects: Sequence[YoloObject], *, tolerance: float = 0.0) -> None:
    """Write the objects of one image, whole or not at all.

    An empty mask has no polygon and gets no line; no objects are an empty file, which marks an image without any.

    Parameters
    ----------
    path : path
        The text file; it replaces one that is there.
    objects : sequence of YoloObject
        The objects, masks all of the image's size.
    tolerance : float
        How far, in pixels, simplified polygons may be from the exact ones; 0 keeps them exact.

    Raises
    ------
    ValueError
        For a negative class or tolerance, or masks of different sizes.
    OSError
        Where the file cannot be written.
    """
    sizes = {item.record.rle.size for item in objects}
    if len(sizes) > 1:
        raise ValueError(f"the masks have the sizes {sorted(sizes)}; those of one image have one size")
    lines = [line for item in objects if (line := _line(item, tolerance))]
    with replacing(path) as temporary:
        temporary.write_text("".join(lines), encoding="ascii")


def read_yolo_labels(path: str | os.PathLike[str], size: tuple[int, int]) -> list[YoloObject]:
    """Read the objects of one image.

    Parameters
    ----------
    path : path
        The text file.
    size : (int, int)
        (H, W) of the image, in pixels; the file does not know it.

    Raises
    ------
    OSError
        Where the file cannot be read.
    ValueError
        For a file that is damaged or of another kind (boxes, for example); one sentence that names the file and line.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is no text file of YOLO labels") from None
    objects = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            with reading(f"{path.name}, line {number}"):
                objects.append(_read_line(line, size))
    return objects


def write_data_yaml(path: str | os.PathLike[str], data: YoloData) -> None:
    """Write data.yaml, whole or not at all.

    Raises
    ------
    ValueError
        For classes that are not numbered 0, 1, 2, ...
    OSError
        Where the file cannot be written.
    """
    if sorted(data.names) != list(range(len(data.names))):
        raise ValueError(f"the classes are numbered {sorted(data.names)}; YOLO numbers them 0, 1, 2, ...")
    names = {number: data.names[number] for number in sorted(data.names)}
    # Trainers take "." for the folder that they were started in, and no path at all for that of data.yaml.
    root = {} if data.root == "." else {"path": data.root}
    values = {**root, "train": data.train, "val": data.val, "names": names}
    with replacing(path) as temporary:
        temporary.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8")


def read_data_yaml(path: str | os.PathLike[str]) -> YoloData:
    """Read data.yaml; names may be a list or numbered.

    Raises
    ------
    OSError
        Where the file cannot be read.
    ValueError
        For a file that is damaged or lacks what is needed; one sentence that names the file.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ValueError(f"{path.name} is no YAML file") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path.name} does not describe a data set; expected 'train', 'val' and 'names'")
    with reading(path.name):
        return YoloData(
            _read_names(values.get("names")),
            *(_folder(values, key, default) for key, default in (("path", "."), ("train", None), ("val", None))),
        )


def _line(item: YoloObject, tolerance: float) -> str:
    if item.class_index < 0:
        raise ValueError(f"the class is {item.class_index}; YOLO numbers classes 0, 1, 2, ...")
    ring = ring_of(item.record.rle, tolerance=tolerance)
    if ring is None:
        return ""
    rows, cols = item.record.rle.size
    normalised = ring / np.array([cols, rows])
    return " ".join([str(item.class_index), *(f"{number:.9g}" for number in normalised.ravel())]) + "\n"


def _read_line(line: str, size: tuple[int, int]) -> YoloObject:
    words = line.split()
    try:
        class_index, *coordinates = (float(word) for word in words)
    except ValueError:
        raise ValueError("it holds something else than numbers") from None
    if not (class_index >= 0 and class_index.is_integer()):
        raise ValueError(f"the class is {words[0]}; expected 0, 1, 2, ...")
    if len(coordinates) == 4:
        raise ValueError("it holds a box (class x y width height); expected a polygon")
    if len(coordinates) < 6 or len(coordinates) % 2:
        raise ValueError(f"it holds {len(coordinates)} coordinates; expected three or more pairs x y")
    if not all(-0.01 <= number <= 1.01 for number in coordinates):
        raise ValueError("its coordinates are not between 0 and 1; they are divided by the image's width and height")
    rows, cols = size
    ring = np.reshape(coordinates, (-1, 2)) * np.array([cols, rows])
    return YoloObject(MaskRecord.from_mask(rasterise([ring], size)), int(class_index))


def _read_names(names: Any) -> dict[int, str]:
    if isinstance(names, list):
        names = dict(enumerate(names))
    is_numbered = isinstance(names, dict) and all(type(number) is int and number >= 0 for number in names)
    if not is_numbered or not names or any(isinstance(name, (list, dict)) or name is None for name in names.values()):
        raise ValueError("'names' is no list of class names, nor are they numbered 0, 1, 2, ...")
    return {number: str(name) for number, name in names.items()}


def _folder(values: Mapping[Any, Any], key: str, default: str | None) -> str:
    value = values.get(key, default)
    if not isinstance(value, str):
        raise ValueError(f"{key!r} is no folder")
    return value
