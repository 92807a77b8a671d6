"""`segany export`: files of masks in the formats of other tools. Knows no model and no torch."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segany.cli.counted import counted
from napari_segany.cli.watched import watched

if TYPE_CHECKING:
    from napari_segany.engine.progress import Progress, Steps
    from napari_segany.formats.geo_grid import GeoGrid
    from napari_segany.formats.mask_export import ExportSettings
    from napari_segany.formats.masked_images import MaskedImage

NAME = "export"
HELP = (
    "Write masks in other formats: label images (TIFF, PNG, .npy; stacks plane by plane), COCO, SA-1B, YOLO-seg and "
    "mask records go in; label TIFF, COCO, SA-1B, YOLO-seg, tables and, of label GeoTIFFs, vector files come out."
)
EXAMPLE = "segany export masks.json -o out --to coco,yolo"

INCOMPLETE_STATUS = 1
"""Exit status where some files could not be read; all others are written."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from napari_segany.formats.export_names import FORMATS

    parser.add_argument(
        "inputs",
        metavar="INPUT",
        type=Path,
        nargs="+",
        help="files of masks, folders of them, or a data set for YOLO",
    )
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="the folder to write into")
    parser.add_argument(
        "--to", metavar="A,B", type=_formats, default=("coco",),
        help="formats, or all (but vector files; default: coco). "
        + "; ".join(f"{name}: {what}" for name, what in FORMATS.items()),
    )  # fmt: skip
    parser.add_argument(
        "--polygons", action="store_true",
        help="COCO: polygons where a mask has no holes, instead of run lengths for all",
    )  # fmt: skip
    parser.add_argument(
        "--simplify", metavar="PIXELS", type=float, default=0.0,
        help="how far polygons of COCO and YOLO may be from the exact outlines; of vector files, corners that span "
        "less than its square go, and neighbours keep one boundary (default: 0)",
    )  # fmt: skip
    parser.add_argument(
        "--min-area", metavar="M2", type=float, default=0.0, help="vector files: leave out smaller objects, in m2"
    )


def run(args: argparse.Namespace) -> int:
    """Read all masks, then write them."""
    from napari_segany.formats.export_names import VECTORS
    from napari_segany.formats.mask_export import ExportSettings

    settings = ExportSettings(args.to, "polygons" if args.polygons else "rle", args.simplify, args.min_area)
    if args.min_area and not set(settings.formats) & set(VECTORS):
        raise ValueError(f"--min-area is of vector files; add {', '.join(VECTORS)} to --to, or leave it out")
    files = _files(args.inputs)
    images, failed = watched(_reading(files), "file")
    for sentence in failed.values():
        print(f"segany export: not read: {sentence}", file=sys.stderr)
    if not images:
        raise ValueError("none of the files could be read; nothing is written")
    grids = _grids(files, failed, needed=bool(set(settings.formats) & set(VECTORS)))
    remarks = watched(_writing(images, grids, args.output, settings, files), "image")
    for remark in remarks:
        print(f"segany export: {remark}", file=sys.stderr)
    masks = sum(len(image.masks) for image in images)
    of = f"{counted(masks, 'mask')} of {counted(len(images), 'image')}"
    print(f"{of} -> {args.output} ({', '.join(settings.formats)})")
    return INCOMPLETE_STATUS if failed else 0


def _formats(text: str) -> tuple[str, ...]:
    """Return the names of formats; all of those that need no place on Earth for `all`."""
    from napari_segany.formats.export_names import FORMATS, VECTORS

    everywhere = [name for name in FORMATS if name not in VECTORS]
    names = [part.strip() for part in text.split(",") if part.strip()]
    return tuple(dict.fromkeys(each for name in names for each in (everywhere if name == "all" else [name])))


def _files(inputs: Sequence[Path]) -> list[Path]:
    """Return the files; of folders, and folders within them, those that may hold masks."""
    from napari_segany.formats.mask_folders import mask_files

    files: list[Path] = []
    for place in inputs:
        files += mask_files(place) if place.is_dir() else [place]
    return list(dict.fromkeys(files))


def _reading(files: Sequence[Path]) -> Steps[tuple[list[MaskedImage], dict[Path, str]]]:
    """Return the images, and why files could not be read."""
    from napari_segany.cli.errors import one_line
    from napari_segany.engine.progress import Progress
    from napari_segany.formats.masked_images import read_masked_images

    images: list[MaskedImage] = []
    failed: dict[Path, str] = {}
    for number, path in enumerate(files):
        yield Progress(number, len(files), "Reading")
        try:
            images += list(read_masked_images(path))
        except (ValueError, OSError) as error:
            text = one_line(error)
            failed[path] = text if path.name in text else f"{path}: {text}"
    yield Progress(len(files), len(files), "Reading")
    return images, failed


def _grids(files: Sequence[Path], failed: Collection[Path], *, needed: bool) -> dict[Path, GeoGrid]:
    """Return where the label GeoTIFFs among the files lie; where that is not needed, as far as the extra is there."""
    from napari_segany.formats.geo_extra import GeoMissingError
    from napari_segany.formats.geo_raster import read_raster
    from napari_segany.formats.geo_recognition import is_readable_raster

    grids = {}
    for path in files:
        if path.suffix.lower() not in (".tif", ".tiff") or path in failed:
            continue
        if not needed and not is_readable_raster(path):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # rasterio warns of files without a place, which are told of below
                grid = read_raster(path).grid
        except GeoMissingError as error:
            raise ValueError(str(error)) from error
        if grid.crs:
            grids[path] = grid
    return grids


def _writing(
    images: Sequence[MaskedImage],
    grids: dict[Path, GeoGrid],
    folder: Path,
    settings: ExportSettings,
    files: Sequence[Path],
) -> Steps[list[str]]:
    from napari_segany.engine.progress import Progress, relabelled
    from napari_segany.formats.mask_export import MaskExport, category_numbers
    from napari_segany.formats.mask_files import data_yaml_above

    classes = {data_yaml_above(path) for path in files if path.suffix.lower() == ".txt"}
    sources = [*files, *(path for path in classes if path is not None)]
    with MaskExport(folder, category_numbers(images), settings, sources) as export:
        for number, image in enumerate(images):
            yield Progress(number, len(images), "Writing")
            tracing = Progress(number, len(images), "Tracing outlines")
            yield from relabelled(export.add(image, grids.get(image.source)), partial(_always, tracing))
        yield Progress(len(images), len(images), "Writing")
    return export.remarks


def _always(progress: Progress, step: object) -> Progress:
    """Return the progress of the whole, whatever that of a part is."""
    return progress
