"""Which format a file of masks has, and what a text of YOLO needs that lies beside it. Knows files only."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from napari_segany.formats.yolo import read_data_yaml

JsonKind = Literal["coco", "sa1b", "records"]

_HEAD = 65536  # bytes in which a JSON file of ours says what it is
_IMAGES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".webp", ".npy")
_SPLITS = ("train", "val", "test")


def json_kind(path: Path) -> JsonKind | None:
    """Tell by its name, else by its first and last bytes, what a JSON file holds; None for anything else."""
    name = path.name.lower()
    if name.endswith(".coco.json"):
        return "coco"
    if name.endswith(".sa1b.json"):
        return "sa1b"
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            # SA-1B's "annotations" may come first and be longer than that; its "image" then stands at the end.
            file.seek(max(file.tell(), file.seek(0, os.SEEK_END) - _HEAD))
            tail = file.read(_HEAD)
    except OSError:
        return None
    if re.search(rb'"image"\s*:\s*\{', head):
        return "sa1b"
    if re.search(rb'"(images|categories)"\s*:\s*\[', head):
        return "coco"
    if re.search(rb'"annotations"\s*:\s*\[', head):
        return "sa1b" if re.search(rb'"image"\s*:\s*\{', tail) else "coco"
    return "records" if re.search(rb'"masks"\s*:\s*\[', head) else None


def image_beside(path: Path) -> Path:
    """Return the image of a YOLO text: beside it, or in the folder `images` beside its folder `labels`.

    Raises
    ------
    ValueError
        Where there is none; the text alone does not tell the size of its image.
    """
    folders = [path.parent]
    parts = list(path.absolute().parent.parts)
    if "labels" in parts:
        parts[len(parts) - 1 - parts[::-1].index("labels")] = "images"
        folders.append(Path(*parts))
    for folder in folders:
        for suffix in (*_IMAGES, *(suffix.upper() for suffix in _IMAGES)):
            if (folder / f"{path.stem}{suffix}").is_file():
                return folder / f"{path.stem}{suffix}"
    raise ValueError(
        f"{path.name} needs its image for the size: no image {path.stem}.* lies beside it, "
        "nor in a folder 'images' beside 'labels'"
    )


def name_within(image: Path) -> str:
    """Return what to call an image of a YOLO data set: its name, that of its stack's folder before it."""
    parts = image.absolute().parts
    if "images" not in parts[:-1]:
        return image.name
    below = parts[len(parts) - parts[::-1].index("images") :]  # perhaps train or val, perhaps a stack, the name
    return "/".join(below[1:] if below[0] in _SPLITS else below)


def data_yaml_above(path: Path) -> Path | None:
    """Return the nearest data.yaml above a YOLO text; None where there is none."""
    places = (folder / "data.yaml" for folder in path.absolute().parents[:4])
    return next((place for place in places if place.is_file()), None)


def class_names_above(path: Path) -> Mapping[int, str]:
    """Return the class names of the nearest data.yaml above a YOLO text; {} where there is none."""
    found = data_yaml_above(path)
    return {} if found is None else read_data_yaml(found).names


def stem_of(path: Path) -> str:
    """Return the name of a file without its ending, compound ones included."""
    return re.sub(r"(\.coco|\.sa1b|\.labels)?\.[^.]+$", "", path.name, flags=re.IGNORECASE) or path.name
