"""`segany propagate`: objects through a stack, from prompts on some slices. Imports torch only when it runs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segany.cli.counted import counted
from napari_segany.cli.outputs import check_no_input_is_replaced
from napari_segany.cli.plane_option import add_plane_option
from napari_segany.cli.precision_option import add_precision_option
from napari_segany.cli.prepared_limits import prepared_limits
from napari_segany.cli.watched import watched

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_segany.engine.propagation_settings import PropagationSettings
    from napari_segany.engine.propagation_values import Propagation, PropagationEnd, SlicePrompt
    from napari_segany.formats.plane_choice import PlaneChoice

NAME = "propagate"
HELP = (
    "Carry objects through a stack (z or time) from prompts on some of its slices. Slices, rows and columns count "
    "from 0. A prompt is of object 1, or of another one whose number is put before it: 3:12,120,80."
)
EXAMPLE = "segany propagate stack.tif --point 5,120,80 -o labels.tif"

_TIFF = (".tif", ".tiff")
_CSV = (".csv",)
_MEMORY = 1024**3


@dataclass(frozen=True)
class Position:
    """Numbers that belong to an object on a slice.

    Attributes
    ----------
    object_id, slice_index : int
        Whose, and where.
    values : tuple of float
        A point (row, col), or a box (row_min, col_min, row_max, col_max).
    """

    object_id: int
    slice_index: int
    values: tuple[float, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "stack", metavar="STACK", type=Path,
        help="TIFF or .npy: (slices, rows, columns), colours last; or a zarr or OME-Zarr",
    )  # fmt: skip
    add_plane_option(
        parser,
        "where in a file with more axes the stack lies: c=1, or t=0,c=1, from 0, on all axes but the one to go "
        "along. Three or four channels are colours unless one is chosen",
    )
    parser.add_argument(
        "--point", metavar="[ID:]S,R,C", type=_position(2), action="append", default=[],
        help="a point on the object (slice,row,column); several, on one slice or on more, belong together",
    )  # fmt: skip
    parser.add_argument(
        "--background", metavar="[ID:]S,R,C", type=_position(2), action="append", default=[],
        help="a point that is not on the object; alone on a slice it says that the object does not reach it",
    )  # fmt: skip
    parser.add_argument(
        "--box", metavar="[ID:]S,R0,C0,R1,C1", type=_position(4), action="append", default=[],
        help="a box around the object on a slice",
    )  # fmt: skip
    _add_settings(parser)
    parser.add_argument(
        "--model", metavar="NAME|PATH", default="light",
        help="see `segany models`, or a checkpoint file (default: light)",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu (default: auto)")
    add_precision_option(parser)
    parser.add_argument(
        "--contrast-limits", metavar="LO,HI", type=_limits,
        help="intensities that become black and white on all slices (default: 8-bit images as they are, others from "
        "the percentiles of the whole stack)",
    )  # fmt: skip
    parser.add_argument(
        "--embeddings", metavar="FOLDER", type=Path,
        help="a folder made by `segany embed`; a slice in it is not encoded again, and the stack is seen with "
        "the contrast limits that it was prepared with unless others are given",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, action="append", required=True,
        help=".tif: label stack; .csv: tracks (track_id, t, y, x, area, predicted_iou; parent, 0 for none). May be "
        "given several times",
    )  # fmt: skip


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--direction", choices=("both", "forwards", "backwards"), default="both",
        help="where to go from each prompt (default: both)",
    )  # fmt: skip
    parser.add_argument(
        "--between", choices=("meet", "best"), default="meet",
        help="between two prompted slices: half of the way from each, or all of it from both and on each slice the "
        "mask of higher predicted IoU (default: meet)",
    )  # fmt: skip
    parser.add_argument(
        "--min-overlap", metavar="IOU", type=float,
        help="an object stops where it overlaps less with the slice before (default: 0.5)",
    )  # fmt: skip
    parser.add_argument(
        "--min-predicted-iou", metavar="IOU", type=float,
        help="an object stops where the predicted IoU is lower (default: 0.5)",
    )  # fmt: skip
    parser.add_argument(
        "--min-predicted-share", metavar="PART", type=float,
        help="an object stops where the predicted IoU is less than this part of its highest so far (default: 0.8)",
    )  # fmt: skip
    parser.add_argument(
        "--time", action="store_true",
        help="the slices are time points: objects may divide; the parts get numbers of their own",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Propagate, write the outputs and print what became of the objects."""
    if not (args.point or args.background or args.box):
        raise ValueError("there is no prompt; give at least one --point S,R,C or --box S,R0,C0,R1,C1")
    _check_outputs(args.output)
    check_no_input_is_replaced(args.output, (args.stack,))
    if args.embeddings is not None and not args.embeddings.is_dir():
        raise ValueError(f"there is no folder {args.embeddings}; give one that `segany embed` made")

    from napari_segany.engine.propagation_embeddings import StackEmbeddings, check_stack
    from napari_segany.engine.propagation_plan import first_plan

    stack = _stack(args.stack, args.plane)
    shape = check_stack(stack)
    settings = _settings(args)
    prompts = _prompts(args.point, args.background, args.box, shape)
    if all(prompt.is_stop for prompt in prompts):
        raise ValueError("there are background points alone, so there is no object; give it a --point or a --box")
    first_plan(prompts, shape, settings)  # refuses prompts that do not fit before the model is loaded

    from napari_segany.engine.cache_places import CachePlaces
    from napari_segany.engine.predictor import Predictor
    from napari_segany.engine.propagation import propagate_steps

    cache = CachePlaces(limit=0, prepared=args.embeddings).open()
    predictor = Predictor(args.model, device=args.device, cache=cache, precision=args.precision)
    limits = args.contrast_limits
    if args.embeddings is not None:
        limits, _ = prepared_limits(NAME, predictor, stack, limits, args.stack.name, is_stack=True)
    embeddings = StackEmbeddings(predictor, stack, limits, _MEMORY)
    found = watched(propagate_steps(predictor, embeddings, prompts, shape[0], settings), "mask")
    for path in args.output:
        _write(path, found, args.stack)
    print(_summary(args.stack, found, args.output))
    return 0


def _stack(path: Path, plane: PlaneChoice | None) -> NDArray[np.generic]:
    """Read the stack, or the part of a file with more axes that is chosen."""
    from napari_segany.formats.image_file import read_array
    from napari_segany.formats.lazy_files import is_zarr, open_axes

    if plane is None and not is_zarr(path):
        return read_array(path)
    try:
        return open_axes(path).stack(plane)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None


def _settings(args: argparse.Namespace) -> PropagationSettings:
    from napari_segany.engine.propagation_settings import PropagationSettings

    given = {name: getattr(args, name) for name in ("min_overlap", "min_predicted_iou", "min_predicted_share")}
    return PropagationSettings(
        direction=args.direction,
        between=args.between,
        divisions=args.time,
        **{name: value for name, value in given.items() if value is not None},
    )


def _prompts(
    points: Sequence[Position],
    background: Sequence[Position],
    boxes: Sequence[Position],
    shape: tuple[int, int, int],
) -> list[SlicePrompt]:
    """Return one prompt for each object and slice that anything was said of."""
    from napari_segany.engine.prompts import BACKGROUND, FOREGROUND, Prompt
    from napari_segany.engine.propagation_values import SlicePrompt

    places = dict.fromkeys((one.object_id, one.slice_index) for one in (*points, *background, *boxes))
    prompts = []
    for place in places:
        own = [
            [one.values for one in given if (one.object_id, one.slice_index) == place]
            for given in (points, background, boxes)
        ]
        if len(own[2]) > 1:
            raise ValueError(f"object {place[0]} has {len(own[2])} boxes on slice {place[1]}; give one")
        prompt = Prompt.checked(
            own[0] + own[1] or None,
            [FOREGROUND] * len(own[0]) + [BACKGROUND] * len(own[1]) or None,
            own[2][0] if own[2] else None,
            image_shape=shape[1:],
        )
        prompts.append(SlicePrompt(*place, prompt))
    return prompts


def _check_outputs(paths: Sequence[Path]) -> None:
    """Refuse before the work what could not be written after it."""
    for path in paths:
        if path.suffix.lower() not in (*_TIFF, *_CSV):
            raise ValueError(f"the output {path} has an unknown ending; allowed are .tif, .tiff and .csv")
        if not path.parent.is_dir():
            raise ValueError(f"the folder of the output {path} does not exist; make it first")
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise ValueError(f"the output {path} cannot be written; choose another file or folder")


def _write(path: Path, found: Propagation, source: Path) -> None:
    from napari_segany.engine.propagation_tracks import track_table, tracks_of
    from napari_segany.formats.labels import write_label_tiff
    from napari_segany.formats.pixel_size import read_pixel_size
    from napari_segany.formats.table import write_table

    if path.suffix.lower() in _CSV:
        write_table(path, track_table(tracks_of(found)))
    else:
        write_label_tiff(path, found.labels(), pixel_size=read_pixel_size(source))


def _summary(source: Path, found: Propagation, outputs: Sequence[Path]) -> str:
    reached = sum(len(masks) for masks in found.slices.values())
    first = (
        f"{source.name}: {counted(len(found.object_ids), 'object')}, {counted(reached, 'mask')} on "
        f"{len(found.slices)} of {counted(found.shape[0], 'slice')} -> {', '.join(str(path) for path in outputs)}"
    )
    divided = [
        f"object {one.parent} divided into {one.children[0]} and {one.children[1]} on slice {one.slice_index}"
        for one in found.divisions
    ]
    stopped = [_sentence(end) for end in found.ends if end.reason != "divided"]
    return "\n".join([first, *divided, *stopped])


def _sentence(end: PropagationEnd) -> str:
    from napari_segany.engine.propagation_values import REASONS

    where = "is not found on" if end.step == 0 else "changes at" if end.reason == "seam" else "stops before"
    way = "" if end.reason == "seam" else {1: ", forwards", -1: ", backwards", 0: ""}[end.step]
    return f"object {end.object_id} {where} slice {end.slice_index}{way}: {REASONS[end.reason]}"


def _position(count: int) -> Callable[[str], Position]:
    """Return what reads `[ID:]S,` and `count` numbers."""
    form = {2: "[ID:]S,R,C, as in 12,120,80 or 3:12,120,80", 4: "[ID:]S,R0,C0,R1,C1, as in 12,100,60,140,110"}[count]

    def read(text: str) -> Position:
        name, _, rest = text.rpartition(":")
        try:
            object_id = int(name) if name else 1
            place, *values = rest.split(",")
            position = Position(object_id, int(place), tuple(float(value) for value in values))
        except ValueError:
            position = Position(1, 0, ())
        if len(position.values) != count:
            raise argparse.ArgumentTypeError(f"{text!r} is not {form}")
        return position

    return read


def _limits(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not two numbers separated by a comma, as in 0,4095") from None
    return low, high
