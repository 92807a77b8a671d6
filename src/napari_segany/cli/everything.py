"""`segany everything`: all objects of files, folders and stacks, or masks for a detector's boxes.

Imports torch only when it runs. How a batch is done, and goes on after an interruption, is in `engine/batch`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from napari_segany.cli.automatic_options import add_automatic_options, automatic_settings
from napari_segany.cli.clip_option import add_download_option, load_clip
from napari_segany.cli.counted import counted
from napari_segany.cli.everything_geo import (
    add_geo_options,
    check_bands,
    check_geo,
    tell_lost_places,
    vector_settings,
)
from napari_segany.cli.everything_large import add_tile_options, run_large, split_large, tiling_settings
from napari_segany.cli.precision_option import add_precision_option, model_of_batch
from napari_segany.engine.batch.output_names import DEFAULT_OUTPUTS, EVERY_OUTPUT, OUTPUTS
from napari_segany.formats.painting import PAINTING_RULES

if TYPE_CHECKING:
    from napari_segany.engine.batch.one_image import ImageResult
    from napari_segany.engine.batch.run import BatchResult, Workers
    from napari_segany.engine.batch.sources import BatchImage, FileSource
    from napari_segany.engine.progress import Progress, Steps
    from napari_segany.engine.text_query import TextQuery

NAME = "everything"
HELP = (
    "Segment everything in files, folders and stacks, or turn a detector's boxes into masks; run it again to go on."
)
EXAMPLE = "segany everything images/ -o masks --preset cells"

FAILED_STATUS = 1
"""Some images could not be read or segmented; report.csv says which and why."""

_BOX_OUTPUTS = ("coco", "yolo")
_REFRESH_SECONDS = 0.5
_REFRESH_SECONDS_IN_A_LOG = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "inputs", metavar="INPUT", nargs="+",
        help="image files (TIFF, OME-TIFF, PNG, JPEG, ...; stacks go slice by slice), folders of images, zarrs, or "
        "patterns such as 'plate*/*.tif'",
    )  # fmt: skip
    parser.add_argument("-o", "--output", metavar="OUTDIR", type=Path, required=True, help="the folder to write into")
    parser.add_argument("--recursive", action="store_true", help="take the images of folders within folders too")
    what = "; ".join(f"{name}: {text}" for name, text in EVERY_OUTPUT.items())
    parser.add_argument(
        "--outputs", metavar="A,B", type=_names,
        help=f"what to write, separated by commas, or all (but vector files). {what} "
        f"(default: {','.join(DEFAULT_OUTPUTS)}; with --boxes {','.join(_BOX_OUTPUTS)})",
    )  # fmt: skip
    parser.add_argument(
        "--model", metavar="NAME|PATH", default="light",
        help="see `segany models`, or a checkpoint file (default: light)",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu (default: auto)")
    add_precision_option(parser)
    parser.add_argument(
        "--contrast-limits", metavar="LO,HI", type=_limits,
        help="intensities that become black and white (default: 8-bit images as they are, others from percentiles)",
    )  # fmt: skip
    parser.add_argument(
        "--painting", choices=PAINTING_RULES, default="smaller",
        help="which mask shows in the label image where several overlap (default: smaller)",
    )  # fmt: skip
    add_geo_options(parser)
    _add_text_options(parser)
    _add_box_options(parser)
    add_tile_options(parser)
    _add_cluster_options(parser)
    add_automatic_options(parser)


def _add_text_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is looked for (needs the extra text)")
    group.add_argument(
        "--text", metavar="WORDS", action="append",
        help="keep the masks that fit these words, as 'a nucleus'; several times for several descriptions of it",
    )  # fmt: skip
    group.add_argument("--not-text", metavar="WORDS", action="append", help="descriptions of everything else")
    group.add_argument("--text-threshold", metavar="P", type=float, help="least probability, 0 to 1 (default: 0.5)")
    group.add_argument("--text-model", metavar="FOLDER|NAME", help="a folder with a CLIP, or a public one's name")
    add_download_option(group)


def _text(args: argparse.Namespace) -> TextQuery | None:
    """Return what is looked for."""
    given = {
        "background": None if args.not_text is None else tuple(args.not_text),
        "threshold": args.text_threshold,
        "model": args.text_model,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if args.text is None:
        if given or args.text_download:
            raise ValueError("--not-text, --text-threshold, --text-model and --text-download go with --text WORDS")
        return None
    if args.boxes is not None:
        raise ValueError("--text chooses among everything in an image; leave it out with --boxes")
    from napari_segany.engine.text_query import TextQuery

    return TextQuery(tuple(args.text), **given)


def run(args: argparse.Namespace) -> int:
    """Do the batch, print one line, and one for each image that failed."""
    automatic = automatic_settings(args)

    # What is wrong with the inputs is told before torch is loaded, which takes seconds.
    from napari_segany.engine.batch.folder import BatchFolder
    from napari_segany.engine.batch.settings import BatchSettings
    from napari_segany.engine.batch.zarr_inputs import find_files_and_zarrs

    outputs = args.outputs or (DEFAULT_OUTPUTS if args.boxes is None else _BOX_OUTPUTS)
    settings = BatchSettings(
        outputs, automatic, args.contrast_limits, args.painting, _text(args), vector_settings(args)
    )
    tiling_settings(args)  # a value out of its range is told for small images too
    check_geo(args, settings.vector_outputs)
    _check_boxes(args)
    _check_workers(args)
    if args.output.is_file():
        raise ValueError(f"{args.output} is a file; --output is the folder to write into")
    outputs_within = BatchFolder(args.output).subfolders
    # Boxes and words need an image as a whole, so zarrs beside the images that they are for are none of them.
    of_folders = args.boxes is None and args.text is None
    images: Sequence[BatchImage]
    images, zarrs = find_files_and_zarrs(
        args.inputs, recursive=args.recursive, skip=outputs_within, of_folders=of_folders, bands=args.bands
    )
    tell_lost_places(NAME, images)
    check_bands(args.bands, images)
    if args.plane is not None and (args.boxes is not None or args.tiles == "never"):
        raise ValueError("--plane chooses what is done by tiles; leave out --boxes and --tiles never")
    if zarrs and args.boxes is not None:
        raise ValueError(f"--boxes is not for zarr images such as {zarrs[0].file_name}; give TIFF, PNG or JPEG files")
    classes = None
    large: Sequence[tuple[str, FileSource]] = ()
    besides: Sequence[ImageResult] = ()
    if args.boxes is None:
        images, large = split_large(images, zarrs, args.tiles, settings, args.plane)
        if large and settings.text is not None:
            raise ValueError("--text is not for images that go tile by tile; cut them into smaller ones first")
    else:
        images, classes = _with_boxes(args, images)
    from napari_segany.engine.batch.run import ThisProcess, batch_steps

    model = model_of_batch(args)
    model.check()
    status = 0
    if large:
        status, besides = run_large(args, large, settings, _workers(args), is_all=not images)
        if not images:
            return status
    workers = _workers(args)
    if settings.text is not None:  # whether it is here is found out before the work begins
        clip = load_clip(settings.text.model, download=args.text_download)
        workers = workers or ThisProcess(clip)
    steps = batch_steps(images, args.output, model, settings, classes=classes, workers=workers, besides=besides)
    result = _watched(steps, len(images))
    for image in result.failed:
        print(f"failed: {image.error}", file=sys.stderr)
    print(_summary(result, args.output))
    return FAILED_STATUS if result.failed else status


def _add_box_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("masks for the boxes of an object detector")
    group.add_argument(
        "--boxes", metavar="FILE|FOLDER", type=Path,
        help="COCO results or instances (.json), a table (.csv), a YOLO text (.txt), or a folder of them; the masks "
        "keep the detector's classes",
    )  # fmt: skip
    group.add_argument(
        "--classes", metavar="FILE", type=Path,
        help="names of the classes: a COCO file with 'categories' (and 'images', for the image ids of COCO results), "
        "YOLO's data.yaml, or a text with one name in a line",
    )  # fmt: skip
    group.add_argument("--min-score", metavar="X", type=float, help="leave out boxes of a lower score (default: 0)")


def _check_boxes(args: argparse.Namespace) -> None:
    if args.boxes is None and (args.classes is not None or args.min_score is not None):
        raise ValueError("--classes and --min-score go with --boxes FILE")


def _add_cluster_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("more than one process (needs the extra: napari-segany[distributed])")
    group.add_argument(
        "--dask", metavar="ADDRESS|local",
        help="hand the images to the dask cluster at this address, which sees the same files, or start one here",
    )  # fmt: skip
    group.add_argument("--workers", metavar="N", type=int, help="processes of --dask local (default: one per core)")


def _check_workers(args: argparse.Namespace) -> None:
    if args.workers is None:
        return
    if args.dask is None:
        raise ValueError("--workers is given without --dask local; give both")
    if args.dask != "local":
        raise ValueError("--workers is for --dask local; a cluster at an address has the workers that it has")
    if args.workers < 1:
        raise ValueError(f"the number of workers is {args.workers}; give at least 1")


def _workers(args: argparse.Namespace) -> Workers | None:
    if args.dask is None:
        return None
    try:
        from napari_segany.engine.batch.cluster import Cluster
    except ImportError:
        raise ValueError(
            'dask.distributed is not installed; install it with: pip install "napari-segany[distributed]"'
        ) from None
    return Cluster(workers=args.workers) if args.dask == "local" else Cluster(args.dask)


def _with_boxes(
    args: argparse.Namespace, images: Sequence[BatchImage]
) -> tuple[Sequence[BatchImage], dict[int, str]]:
    """Return the images with their boxes, and the names of the classes."""
    from napari_segany.engine.batch.detection_files import read_detections
    from napari_segany.engine.batch.detection_match import matched

    found = read_detections(args.boxes, args.classes)
    match = matched(images, found, args.min_score or 0.0)
    if match.unused:
        print(
            f"segany everything: warning: boxes are given for {len(match.unused)} images that are not among the "
            f"inputs, the first: {match.unused[0]}",
            file=sys.stderr,
        )
    return match.images, dict(found.classes)


def _watched(steps: Steps[BatchResult], total: int) -> BatchResult:
    """Run the batch with a bar and its remaining time on stderr; rarely refreshed where nobody watches."""
    from napari_segany.engine.batch.run import BatchProgress
    from napari_segany.engine.progress import drain

    interval = _REFRESH_SECONDS if sys.stderr.isatty() else _REFRESH_SECONDS_IN_A_LOG
    with tqdm(total=total, unit="image", mininterval=interval, maxinterval=interval, file=sys.stderr) as bar:

        def report(progress: Progress) -> None:
            if isinstance(progress, BatchProgress):
                # What was there already takes no time, and says nothing about that of the rest.
                bar.initial = progress.reused
            bar.set_description(_shown(progress), refresh=False)
            bar.update(progress.done - bar.n)

        try:
            return drain(steps, report)
        except KeyboardInterrupt:
            bar.write(f"{bar.n} of {total} images are complete; run the same command again to go on", sys.stderr)
            raise


def _shown(progress: Progress) -> str:
    stage = getattr(progress, "stage", None)
    within = f" {stage.done}/{stage.total}" if stage is not None and stage.total else ""
    return f"{progress.note}{within}"


def _summary(result: BatchResult, folder: Path) -> str:
    done, images = len(result.images) - len(result.failed), counted(len(result.images), "image")
    reused = f", {result.reused:,} of them complete before" if result.reused else ""
    failed = f"; {len(result.failed):,} failed, see {folder / 'report.csv'}" if result.failed else ""
    return f"{done:,} of {images}{reused}, {counted(result.objects, 'mask')} -> {folder}{failed}"


def _names(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    return tuple(dict.fromkeys(each for name in names for each in (OUTPUTS if name == "all" else [name])))


def _limits(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not two numbers separated by a comma, as in 0,4095") from None
    return low, high
