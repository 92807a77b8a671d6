"""Which files of a folder, and of folders within it, hold masks: not the pictures that they are of."""

from __future__ import annotations

import os
from pathlib import Path

from napari_segany.formats.masked_images import ENDINGS, LABEL_IMAGES

_FORMATS = ("coco.json", "labels", "sa1b", "yolo")
_CLASSES = "classes.txt"  # names of classes that lie among YOLO's texts


def mask_files(folder: Path) -> list[Path]:
    """Return the files that may hold masks, by path.

    Left out are hidden files and folders, and the pictures of YOLO's texts: in `images` beside `labels`, under the
    name of a text beside it, and all but the texts (in folders `labels`, if there are such) where data.yaml is.

    Parameters
    ----------
    folder : Path
        Label images, JSON files or YOLO's texts, or a data set for YOLO.

    Raises
    ------
    ValueError
        For a folder without such files, and for one with all outputs of `segany everything`, which hold each mask
        several times.
    OSError
        Where it cannot be read.
    """
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        here = Path(place)
        if ".segany" in folders:
            formats = ", ".join(str(here / name) for name in _FORMATS if (here / name).exists())
            raise ValueError(
                f"{here} holds outputs of `segany everything`, the same masks in several formats; give one of them "
                f"({formats or 'none is there'})"
            )
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if "data.yaml" in files:
            found += _texts(here)
            folders.clear()
            continue
        if "images" in folders and "labels" in folders:
            folders.remove("images")
        texts = {Path(name).stem for name in files if name.lower().endswith(".txt")}
        found += (here / name for name in files if _may_hold_masks(Path(name), texts))
    if not found:
        raise ValueError(f"{folder} holds no file of masks; those end in {', '.join(ENDINGS)}")
    return sorted(found)


def _texts(folder: Path) -> list[Path]:
    texts = [path for path in folder.rglob("*.txt") if path.name != _CLASSES]
    return [path for path in texts if "labels" in path.relative_to(folder).parts[:-1]] or texts


def _may_hold_masks(name: Path, texts: set[str]) -> bool:
    suffix = name.suffix.lower()
    is_picture = suffix in LABEL_IMAGES and name.stem in texts
    return suffix in ENDINGS and not is_picture and not name.name.startswith(".") and name.name != _CLASSES
