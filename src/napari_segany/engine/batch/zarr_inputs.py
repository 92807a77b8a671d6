"""Which of the inputs of a command are zarrs: given, found by a pattern, or within a folder; each is one image."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from napari_segany.engine.batch.inputs import absolute, image_paths, paths_within
from napari_segany.formats.lazy_files import is_zarr


def split_zarr(
    inputs: Sequence[str], skip: Sequence[Path], *, recursive: bool = False, of_folders: bool = True
) -> tuple[list[str], list[Path]]:
    """Return the inputs that are or hold image files, and all zarr arrays and groups, none within another.

    Parameters
    ----------
    inputs : sequence of str
        What was given: files, zarrs, folders and patterns of them.
    skip : sequence of pathlib.Path
        Folders of the outputs, whose zarrs are none of the inputs.
    recursive : bool
        Take those of folders within folders too.
    of_folders : bool
        Take the zarrs of folders, and not only those that are given or that a pattern finds.
    """
    skipped = {absolute(folder) for folder in skip}
    others: list[str] = []
    zarrs: dict[Path, None] = {}
    for text in inputs:
        if is_zarr(text):
            zarrs[Path(text)] = None
            continue
        folders, found = _of_pattern(text, skipped)
        for folder in folders if of_folders else ():
            found += sorted(path for path in paths_within(folder, recursive=recursive) if is_zarr(path))
        found = [path for path in found if skipped.isdisjoint((absolute(path), *absolute(path).parents))]
        zarrs |= dict.fromkeys(found)
        if not found or image_paths(text, recursive=recursive, skip=(*skip, *found)):
            others.append(text)
    return others, list(zarrs)


def _of_pattern(text: str, skipped: set[Path]) -> tuple[list[Path], list[Path]]:
    """Return the folders whose images are meant, and the zarrs that a pattern finds."""
    if Path(text).exists() or not glob.has_magic(text):
        return [Path(text)] if Path(text).is_dir() else [], []
    folders: list[Path] = []
    zarrs: list[Path] = []
    passed = set(skipped)
    for path in sorted(Path(name) for name in glob.glob(text, recursive=True)):
        place = absolute(path)
        if not passed.isdisjoint((place, *place.parents)):
            continue
        if is_zarr(path):
            zarrs.append(path)
            passed.add(place)
        elif path.is_dir() and "**" not in text:
            folders.append(path)
    return folders, zarrs
