"""The names of a detector's classes, and of the images that COCO results call by numbers. Knows files only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_segany.formats.json_fields import integer, objects, read_json_object, reading, text
from napari_segany.formats.yolo import read_data_yaml


@dataclass(frozen=True)
class NamedClasses:
    """Names by numbers.

    Attributes
    ----------
    names : Mapping
        Of the classes.
    images : Mapping
        File names of the images.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    images: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def from_coco(cls, values: Mapping[str, Any]) -> NamedClasses:
        """Return what a COCO file's "categories" and "images" tell, as far as they are there."""
        names, images = values.get("categories") or [], values.get("images") or []
        return cls(
            {integer(item, "id"): text(item, "name") for item in objects({"categories": names}, "categories")},
            {integer(item, "id"): text(item, "file_name") for item in objects({"images": images}, "images")},
        )

    def joined(self, others: NamedClasses) -> NamedClasses:
        """Return both; where they differ, these win."""
        return NamedClasses({**others.names, **self.names}, {**others.images, **self.images})

    def number_of(self, word: str) -> int:
        """Return the number of a class by its name, or by the number itself.

        Raises
        ------
        ValueError
            For a name that is not known.
        """
        for number, name in self.names.items():
            if name == word:
                return number
        try:
            return int(word)
        except ValueError:
            raise ValueError(f"the class {word!r} has no number") from None


def read_classes(path: str | os.PathLike[str]) -> NamedClasses:
    """Read the names of classes.

    Parameters
    ----------
    path : path
        .json: a COCO file. .yaml or .yml: YOLO's data.yaml. Anything else: a text with the names of the classes
        0, 1, ..., one in a line.

    Raises
    ------
    OSError
        Where the file cannot be read.
    ValueError
        For a file that is damaged or names no class.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        values = read_json_object(path, "COCO")
        with reading(path.name):
            found = NamedClasses.from_coco(values)
    elif path.suffix.lower() in (".yaml", ".yml"):
        found = NamedClasses(read_data_yaml(path).names)
    else:
        try:
            lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
        except UnicodeDecodeError:
            raise ValueError(f"{path.name} is no text file of class names") from None
        found = NamedClasses({number: line.strip() for number, line in enumerate(lines)})
    if not found.names:
        raise ValueError(
            f"{path.name} names no class; give a COCO file, data.yaml, or a text with one name in a line"
        )
    return found
