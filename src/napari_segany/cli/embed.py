"""`segany embed`: image embeddings in advance, for another computer perhaps. Imports torch only when it runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from errno import ENOENT
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segany.cli.counted import counted
from napari_segany.cli.everything_geo import tell_lost_places
from napari_segany.cli.plane_option import add_plane_option, refuse_rasters
from napari_segany.cli.precision_option import add_precision_option
from napari_segany.cli.watched import watched

if TYPE_CHECKING:
    from napari_segany.engine.cache_precompute import EmbedResult

NAME = "embed"
HELP = (
    "Compute the image embeddings of files, folders and stacks in advance, into a folder that can be carried to a "
    "computer without a GPU; run it again to go on."
)
EXAMPLE = "segany embed images/"

FAILED_STATUS = 1
"""Some images could not be read or encoded; a line for each says why."""

_SUFFIX = ".embeddings"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "inputs", metavar="INPUT", nargs="+",
        help="folders of images, image files (stacks go slice by slice), or patterns such as 'plate*/*.tif'",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", metavar="OUTDIR", type=Path,
        help=f"the folder to make or to add to (default for a single folder: FOLDER{_SUFFIX} beside it)",
    )  # fmt: skip
    add_plane_option(
        parser,
        "planes of stacks by the names of their axes: c=1, or z=3,c=0, from 0; all that the choice leaves open. "
        "Three or four channels are colours unless one is chosen",
    )
    parser.add_argument("--recursive", action="store_true", help="take the images of folders within folders too")
    parser.add_argument(
        "--model", metavar="NAME|PATH", default="light",
        help="see `segany models`, or a checkpoint file (default: light)",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu (default: auto)")
    add_precision_option(parser)
    parser.add_argument(
        "--contrast-limits", metavar="LO,HI|layer|stack|percentiles", type=_mapping, default="layer",
        help="intensities that become black and white; an embedding is found only where these are the same "
        "(layer, the default: those that a new napari layer has, where one holds a channel of an OME-Zarr; stack: "
        "those of one layer of all channels; percentiles: those of `segany everything`)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Compute what is missing, print one line, and one for each image that failed."""
    folder = _folder(args.inputs, args.output)

    from napari_segany.engine.batch.inputs import find_images
    from napari_segany.engine.batch.sources import BatchImage, FileSource
    from napari_segany.engine.batch.zarr_inputs import split_zarr

    files, zarrs = split_zarr(args.inputs, (folder,), recursive=args.recursive)
    images = find_images(files, recursive=args.recursive, skip=(folder, *zarrs)) if files else ()
    tell_lost_places(NAME, images)
    if args.plane is not None:
        refuse_rasters(images)
    images += tuple(BatchImage(FileSource(path.absolute(), str(path)), path.name, path.name) for path in zarrs)

    from napari_segany.engine.cache_precompute import embed_steps
    from napari_segany.engine.predictor import Predictor

    predictor = Predictor(args.model, device=args.device, precision=args.precision)
    result = watched(embed_steps(images, folder, predictor, args.contrast_limits, args.plane), "slice")
    for sentence in result.failed:
        print(f"failed: {sentence}", file=sys.stderr)
    print(_summary(result, folder, predictor.precision))
    return FAILED_STATUS if result.failed else 0


def _folder(inputs: Sequence[str], output: Path | None) -> Path:
    """Return where to write."""
    if output is None:
        if len(inputs) == 1 and not Path(inputs[0]).exists() and not has_magic(inputs[0]):
            raise FileNotFoundError(ENOENT, os.strerror(ENOENT), inputs[0])
        if len(inputs) > 1 or not Path(inputs[0]).is_dir():
            raise ValueError("the inputs are not a single folder; say with -o OUTDIR where the embeddings shall go")
        source = Path(inputs[0]).absolute()
        output = source.with_name(f"{source.name}{_SUFFIX}")
    return output.expanduser().absolute()


def _summary(result: EmbedResult, folder: Path, precision: str) -> str:
    from napari_segany.engine.cache_disk import DiskCache
    from napari_segany.engine.precision_names import FLOAT32

    states = [f"{result.count('reused')} there before", f"{result.count('repaired')} damaged and computed again"]
    told = "".join(f", {text}" for text in states if not text.startswith("0 "))
    computed = "" if precision == FLOAT32 else f" (computed in {precision})"
    failed = f"; {counted(len(result.failed), 'image')} failed" if result.failed else ""
    embeddings = counted(len(result.planes), "embedding")
    return (
        f"{embeddings}{computed}{told}, {DiskCache(folder).nbytes / 1e6:.1f} MB, relative error "
        f"of half precision at most {result.relative_error:.1e} -> {folder}{failed}"
    )


def _mapping(text: str) -> str | tuple[float, float]:
    if text in ("layer", "stack", "percentiles"):
        return text
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither 'layer' nor 'stack' nor 'percentiles' nor two numbers separated by a comma, as in "
            "0,4095"
        ) from None
    return low, high
