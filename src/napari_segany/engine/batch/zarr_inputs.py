"""Which of the inputs of a command are zarrs: given, found by a pattern, or within a folder; each is one image."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from napari_segany.engine.batch.inputs import (
    absolute,
    distinct_names,
    find_images,
    image_paths,
    paths_within,
    relative_names,
)
from napari_segany.engine.batch.raster_source import Bands
from napari_segany.engine.batch.sources import BatchImage, FileSource
from napari_segany.formats.lazy_files import is_zarr


def find_files_and_zarrs(
    inputs: Iterable[str | os.PathLike[str]],
    *,
    recursive: bool = False,
    skip: Sequence[Path] = (),
    of_folders: bool = True,
    bands: Bands = None,
) -> tuple[tuple[BatchImage, ...], tuple[BatchImage, ...]]:
    """Return the image files and the zarrs that are meant, with names that no two of them share.

    Parameters
    ----------
    inputs, recursive, of_folders
        As in `split_zarr`.
    skip : sequence of pathlib.Path
        Folders of the outputs, in which nothing is an input.
    bands : str, int or tuple of int, optional
        As in `find_images`.

    Raises
    ------
    FileNotFoundError
        For a file or folder that does not exist.
    ValueError
        For a folder or pattern without images, or nothing at all.
    """
    others, zarrs = split_zarr([str(given) for given in inputs], skip, recursive=recursive, of_folders=of_folders)
    files: tuple[BatchImage, ...] = ()
    if others or not zarrs:
        files = find_images(others, recursive=recursive, skip=(*skip, *zarrs), bands=bands)
    taken = {image.name for image in files}
    file_names = relative_names([absolute(path) for path in zarrs])
    images = []
    for path, file_name, short in zip(
        zarrs, file_names, distinct_names([PurePath(name) for name in file_names]), strict=True
    ):
        name = short
        while name in taken:
            name += "_zarr"
        taken.add(name)
        images.append(BatchImage(FileSource(path.absolute(), str(path)), name, file_name))
    return files, tuple(images)


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
