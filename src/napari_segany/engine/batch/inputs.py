"""Files, folders and glob patterns as the images of a batch, each with a name that no other one has."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path, PurePath

from napari_segany.engine.batch.folder import BatchFolder
from napari_segany.engine.batch.ledger import STATE
from napari_segany.engine.batch.raster_source import Bands, RasterSource
from napari_segany.engine.batch.sources import ArraySource, BatchImage, FileSource, ImageContent
from napari_segany.formats.geo_recognition import is_readable_raster
from napari_segany.formats.lazy_files import is_zarr

IMAGE_SUFFIXES = (
    ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".npy", ".bmp", ".gif", ".webp", ".jp2", ".pgm", ".ppm", ".lsm", ".stk",
    ".dcm", ".vrt",
)  # fmt: skip
"""Endings of the files that a folder is searched for; a file that is named, or a pattern, may have any."""

SERIES_FILE = "series.json"
"""What a folder of sessions has, beside the images that they are of."""

_UNFIT = re.compile(r'[<>:"/\\|?*\x00-\x1f]+')  # what one file system or another does not take


def find_images(
    inputs: Iterable[str | os.PathLike[str]],
    *,
    recursive: bool = False,
    skip: Iterable[Path] = (),
    bands: Bands = None,
) -> tuple[BatchImage, ...]:
    """Return the images of files, folders and patterns, in the order given; those of a folder by name.

    Parameters
    ----------
    inputs : iterable of path
        Files; folders, whose images are taken; glob patterns such as "plate*/*.tif" ("**" for any folders).
    recursive : bool
        Take the images of folders within folders too.
    skip : iterable of pathlib.Path
        Folders whose files are left out: those of the outputs, which may lie among the inputs.
    bands : str, int or tuple of int, optional
        Which bands are seen of rasters with a place on Earth; see `RasterSource`.

    Raises
    ------
    FileNotFoundError
        For a file or folder that does not exist.
    ValueError
        For a folder or pattern without images, or nothing at all.
    """
    skipped = [absolute(folder) for folder in skip]
    shown_of: dict[Path, str] = {}
    for given in inputs:
        found = image_paths(str(given), recursive=recursive, skip=skipped)
        if not found:
            raise ValueError(_nothing_found(str(given), recursive))
        for path in found:
            shown_of.setdefault(absolute(path), str(path))
    if not shown_of:
        raise ValueError("no image is given; give files, folders or patterns such as 'plate*/*.tif'")
    paths = list(shown_of)
    file_names = relative_names(paths)
    names = distinct_names([PurePath(name) for name in file_names])
    return tuple(
        BatchImage(_source(path, shown_of[path], bands), name, file_name)
        for path, name, file_name in zip(paths, names, file_names, strict=True)
    )


def image_paths(given: str, *, recursive: bool = False, skip: Iterable[Path] = ()) -> list[Path]:
    """Return the image files that one input means; see `find_images`. Nothing within a zarr is one.

    Raises
    ------
    FileNotFoundError
        For a file or folder that does not exist.
    """
    skipped = [absolute(folder) for folder in skip]
    return [path for path in _expanded(given, recursive) if not _is_within(absolute(path), skipped)]


def paths_within(folder: Path, *, recursive: bool) -> Iterator[Path]:
    """Return the files and the zarrs of a folder, or of all within it.

    Left out are hidden ones, what is in a zarr, and what runs and sessions wrote within the folder: label images are
    no images.
    """

    def tell(error: OSError) -> None:
        if error.filename == os.fspath(folder):  # those within it that cannot be read are left out
            raise error

    for root, folders, files in os.walk(folder, onerror=tell):
        written = _written_within(Path(root), folders)
        shown = [name for name in folders if not name.startswith(".") and name not in written]
        zarrs = [name for name in shown if is_zarr(Path(root, name))]
        folders[:] = [name for name in shown if name not in zarrs] if recursive else []
        yield from (Path(root, name) for name in (*zarrs, *files) if not name.startswith("."))


def _written_within(root: Path, folders: Collection[str]) -> set[str]:
    """Return which folders hold the outputs of a run into `root`, or the sessions of its images."""
    written = {path.name for path in BatchFolder(root).subfolders} if STATE in folders else set()
    return {name for name in folders if name in written or (root / name / SERIES_FILE).is_file()}


def _source(path: Path, shown: str, bands: Bands) -> FileSource:
    """Return how a file is read: a raster with a place on Earth as such, where the extra `geo` is there."""
    return RasterSource(path, shown, bands) if is_readable_raster(path) else FileSource(path, shown)


def images_of_arrays(contents: Iterable[tuple[str, ImageContent]]) -> tuple[BatchImage, ...]:
    """Return images that are in memory, layers of a viewer for example, under names that files can have.

    Parameters
    ----------
    contents : iterable of (str, ImageContent)
        The name and the content of each; equal names are told apart by numbers.
    """
    pairs = list(contents)
    names = _numbered([_UNFIT.sub("_", name).strip(" .") or "image" for name, _ in pairs])
    return tuple(
        BatchImage(ArraySource(content, shown), name, name)
        for (shown, content), name in zip(pairs, names, strict=True)
    )


def distinct_names(paths: Sequence[PurePath]) -> list[str]:
    """Return a name for each path, the shortest that tells it from the others: stem, ending, then folders.

    a/cells.tif and b/cells.tif become "a_cells" and "b_cells", cells.tif and cells.png "cells_tif" and "cells_png".
    Names differ in more than upper and lower case, so that every file system keeps them apart; paths that differ in
    nothing else are told apart by numbers.

    Parameters
    ----------
    paths : sequence of path
        No two are the same. Give them relative to the folder of them all, whose name tells nothing apart.
    """
    folded = [str(path).casefold() for path in paths]
    choices = [_name_choices(path) for path in paths]
    levels = [0] * len(paths)
    while True:
        names = [options[level] for options, level in zip(choices, levels, strict=True)]
        # Names that differ in upper and lower case alone share their number of paths: no folder tells them apart.
        pairs = {(name.casefold(), path) for name, path in zip(names, folded, strict=True)}
        counts = Counter(name for name, _ in pairs)
        stuck = True
        for index, name in enumerate(names):
            if counts[name.casefold()] > 1 and levels[index] + 1 < len(choices[index]):
                levels[index] += 1
                stuck = False
        if stuck:
            return _numbered(names)


def relative_names(paths: Sequence[Path]) -> list[str]:
    """Return absolute paths from the deepest folder that holds them all, with forward slashes."""
    try:
        root = os.path.commonpath([path.parent for path in paths])
    except ValueError:  # on different drives
        return [path.as_posix() for path in paths]
    return [path.relative_to(root).as_posix() for path in paths]


def _name_choices(path: PurePath) -> list[str]:
    """Return names from the shortest to the longest."""
    stem = path.stem[: -len(".ome")] if path.stem.lower().endswith(".ome") else path.stem
    ending = path.suffix.removeprefix(".")
    choices = []
    folders = [part for part in path.parent.parts if part not in (path.anchor, ".", "..")]
    for count in range(len(folders) + 1):
        name = "_".join([*folders[len(folders) - count :], stem])
        choices += [name, f"{name}_{ending}"]
    return choices


def _numbered(names: Sequence[str]) -> list[str]:
    """Tell the last equal names apart (a_b/c.tif and a/b_c.tif) by numbers."""
    taken: set[str] = set()
    result = []
    for name in names:
        number, free = 1, name
        while free.casefold() in taken:
            number += 1
            free = f"{name}-{number}"
        taken.add(free.casefold())
        result.append(free)
    return result


def _expanded(given: str, recursive: bool) -> list[Path]:
    path = Path(given)
    if path.is_dir():
        found = paths_within(path, recursive=recursive)
        return sorted(item for item in found if item.suffix.lower() in IMAGE_SUFFIXES and item.is_file())
    if path.exists():
        return [path]
    if glob.has_magic(given):
        matches = sorted(Path(name) for name in glob.glob(given, recursive=True))
        # "plates/*" means the folders, as a shell would give them; "plates/**" has all files within already.
        folders = [] if "**" in given else [path for path in matches if path.is_dir()]
        within = [item for folder in folders for item in _expanded(str(folder), recursive)]
        return sorted({path for path in matches if path.is_file()}.union(within))
    raise FileNotFoundError(2, "No such file or folder", given)


def absolute(path: Path) -> Path:
    """Return the whole path of a file, links left as they are."""
    return Path(os.path.abspath(path))


def _is_within(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _nothing_found(given: str, recursive: bool) -> str:
    if Path(given).is_dir():
        more = "" if recursive else "; folders within it are searched where that is chosen (--recursive)"
        return f"the folder {given} holds no image ({', '.join(IMAGE_SUFFIXES)}){more}"
    if glob.has_magic(given):
        return f"no file matches {given}; give files, folders or another pattern"
    return f"{given} lies among the outputs; choose another folder for them"
