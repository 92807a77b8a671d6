"""`segany segment`: one object of an image file by points, a box, words, or one for each line of a CSV file.

Imports torch only when it runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from napari_segany.cli.clip_option import add_download_option, load_clip
from napari_segany.cli.counted import counted
from napari_segany.cli.everything_geo import read_bands
from napari_segany.cli.outputs import check_no_input_is_replaced
from napari_segany.cli.precision_option import add_precision_option
from napari_segany.cli.prepared_limits import prepared_limits
from napari_segany.cli.segment_geo import (
    VECTORS,
    check_on_data,
    check_on_map,
    lines_on_data,
    on_data,
    prompts_on,
    raster_view,
    write_on_map,
)
from napari_segany.cli.watched import watched

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_segany.engine.predictor import Predictor
    from napari_segany.engine.progress import Steps
    from napari_segany.engine.prompted_image import PromptedImage
    from napari_segany.engine.prompts import Prompt
    from napari_segany.formats.geo_pyramid import RasterView
    from napari_segany.formats.prompt_table import PromptTable
    from napari_segany.formats.record import MaskRecord

Result = TypeVar("Result")

NAME = "segment"
HELP = (
    "Segment one object of an image by points, a box and words, or one object for each line of a CSV file. "
    "Positions are rows and columns, in pixels, from 0."
)
EXAMPLE = "segany segment image.tif --point 120,80 -o mask.tif"

_TIFF = (".tif", ".tiff")
_JSON = (".json",)
_PNG = (".png",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("image", metavar="IMAGE", type=Path, help="TIFF, PNG, JPEG, .npy, zarr, ...")
    parser.add_argument(
        "--point", metavar="R,C", type=_numbers(2), action="append", default=[],
        help="a point on the object (row,column); may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--background", metavar="R,C", type=_numbers(2), action="append", default=[],
        help="a point that is not on the object; may be given several times",
    )  # fmt: skip
    parser.add_argument("--box", metavar="R0,C0,R1,C1", type=_numbers(4), help="a box around the object")
    parser.add_argument(
        "--text", metavar="WORDS",
        help="what the object is, for a model that was trained with words; points and a box may go with it",
    )  # fmt: skip
    parser.add_argument(
        "--text-model", metavar="FOLDER|NAME", help="the CLIP that the model was trained with (default: as it says)"
    )
    add_download_option(parser)
    parser.add_argument(
        "--csv", metavar="FILE", type=Path,
        help="one object for each line: row,col or row_min,col_min,row_max,col_max, or a file that napari saved; of "
        "a raster with a place on Earth also .geojson, .gpkg or .shp, in any reference system",
    )  # fmt: skip
    parser.add_argument(
        "--model",
        metavar="NAME|PATH",
        default="light",
        help="see `segany models`, or a checkpoint file (default: light)",
    )
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu (default: auto)")
    add_precision_option(parser)
    parser.add_argument(
        "--contrast-limits", metavar="LO,HI", type=_numbers(2),
        help="intensities that become black and white (default: 8-bit images as they are, others from percentiles)",
    )  # fmt: skip
    parser.add_argument(
        "--embeddings", metavar="FOLDER", type=Path,
        help="a folder made by `segany embed`; an image that is in it is not encoded again, and is seen with the "
        "contrast limits that it was prepared with unless others are given",
    )  # fmt: skip
    parser.add_argument(
        "--bands", metavar="PRESET|N|N,N,N", type=read_bands,
        help="of a raster with a place on Earth: true-colour, false-colour, ndvi, or bands by their numbers from 1",
    )  # fmt: skip
    parser.add_argument("--slice", metavar="N", type=int, help="which plane of a stack, from 0")
    number = parser.add_mutually_exclusive_group()
    number.add_argument("--multimask", action="store_true", help="three masks, whatever the prompt")
    number.add_argument("--single", action="store_true", help="one mask, whatever the prompt")
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, action="append", required=True,
        help=".tif: label image of the best mask, or of all objects of a CSV file; .png: the best mask, 0 and 255; "
        ".json: all masks with their scores as run lengths; .gpkg, .geojson, .shp: features, of a raster with a "
        "place on Earth. May be given several times",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Segment, write the outputs and print one line."""
    points = [*args.point, *args.background]
    labels = [1] * len(args.point) + [0] * len(args.background)
    if args.csv is not None:
        _check_csv(args)
    elif not points and args.box is None and args.text is None:
        raise ValueError("the prompt is empty; give --point R,C, --box R0,C0,R1,C1, --text WORDS or --csv FILE")
    if (args.text_model is not None or args.text_download) and args.text is None:
        raise ValueError("--text-model and --text-download go with --text WORDS")
    _check_outputs(args.output)
    check_no_input_is_replaced(args.output, (args.image, args.csv))
    if args.slice is not None and args.bands is not None:
        raise ValueError("--slice is for stacks and --bands for rasters with a place on Earth; give one of them")
    if args.embeddings is not None and not args.embeddings.is_dir():
        raise ValueError(f"there is no folder {args.embeddings}; give one that `segany embed` made")

    from napari_segany.engine.prompts import Prompt

    image = _image(args)
    view = image.view
    check_on_map(args.output, args.image, view)
    on_map = prompts_on(args.csv, view) if args.csv is not None and args.csv.suffix.lower() in VECTORS else None
    if args.csv is not None and on_map is None:
        prompt = lines_on_data(_prompts_of(args.csv, image.shape), args.csv, view)
    elif points or args.box is not None:
        prompt = Prompt.checked(points or None, labels or None, args.box, image_shape=image.shape)
        check_on_data(prompt, view)

    from napari_segany.engine.cache_places import CachePlaces
    from napari_segany.engine.encoding import encoding_steps
    from napari_segany.engine.predictor import Predictor
    from napari_segany.engine.prompted_answers import answer_steps, each_steps, feature_steps

    cache = CachePlaces(limit=0, prepared=args.embeddings).open()
    predictor = Predictor(args.model, device=args.device, cache=cache, precision=args.precision)
    if args.text is not None:
        text = _embedded(args, predictor)
        prompt = Prompt.checked(points or None, labels or None, args.box, text=text, image_shape=image.shape)
    limits, prepared = prepared_limits(NAME, predictor, image.pixels, image.contrast_limits, args.image.name)
    embedding = _done(encoding_steps(predictor, image.pixels, limits, prepared))
    if args.csv is not None:
        if on_map is None:
            steps = each_steps(predictor, embedding, prompt)
        else:
            steps = feature_steps(predictor, embedding, on_map)
        return _one_each(args, on_data(watched(steps, "prompt"), view), image.shape, view)
    multimask = True if args.multimask else False if args.single else None
    records = on_data(_done(answer_steps(predictor, embedding, prompt, multimask)), view)
    for path in args.output:
        _write(path, records, args.image, view)
    print(_summary(args.image, records, args.output))
    return 0


def _image(args: argparse.Namespace) -> PromptedImage:
    """Read the image, or open a large one; words need it as a whole."""
    from napari_segany.engine.prompted_image import file_to_prompt, raster_to_prompt
    from napari_segany.engine.tiling import is_large

    files = args.output if args.csv is None else (*args.output, args.csv)
    with_vectors = any(path.suffix.lower() in VECTORS for path in files)
    view = None if args.slice is not None else raster_view(args.image, args.bands, with_vectors=with_vectors)
    limits, as_whole = args.contrast_limits, args.text is not None
    if view is None:
        image = file_to_prompt(args.image, args.slice, limits, as_whole=as_whole)
    else:
        image = raster_to_prompt(view, limits, as_whole=as_whole)
    if as_whole and is_large(image.shape):
        print(
            f"segany segment: {args.image.name} is large and seen as a whole, reduced, for words are not asked "
            "window by window; small objects need points or a box without --text",
            file=sys.stderr,
        )
    return image


def _embedded(args: argparse.Namespace, predictor: Predictor) -> NDArray[np.float32]:
    """Return the embedding of the words by the CLIP that the model was trained with."""
    from napari_segany.engine.loaded_model import text_model_of
    from napari_segany.engine.prompts import check_words

    width = predictor.sam.config.text_embed_dim
    check_words(predictor.name, width, width or 0)
    model = args.text_model or text_model_of(args.model)
    if model is None:
        raise ValueError(f"{args.model} does not say with which CLIP it was trained; give it as --text-model")
    embedding: NDArray[np.float32] = load_clip(model, download=args.text_download).words([args.text])[0]
    return embedding


def _check_csv(args: argparse.Namespace) -> None:
    """Refuse what does not go together with a file of prompts."""
    others = {"--point": args.point, "--background": args.background, "--box": args.box is not None}
    others |= {"--text": args.text is not None, "--multimask": args.multimask, "--single": args.single}
    given = [name for name, is_given in others.items() if is_given]
    if given:
        raise ValueError(
            f"--csv gives an object for each line and does not go together with {given[0]}; leave one out"
        )
    if any(path.suffix.lower() in _PNG for path in args.output):
        raise ValueError("a .png holds one mask; write the objects of a CSV file to .tif or .json")


def _prompts_of(path: Path, shape: tuple[int, int]) -> Prompt:
    """Return all lines of a file as a batch of prompts."""
    from napari_segany.engine.prompts import Prompt
    from napari_segany.formats.prompt_table import read_prompt_table

    table = read_prompt_table(path)
    if table.ndim != 2:
        raise ValueError(
            f"{path.name} has {table.ndim} coordinates for each object, and the image two axes; give two"
        )
    points, boxes = table.points, table.boxes
    try:
        return Prompt.checked(
            None if points is None else points[:, None],
            box=None if boxes is None else boxes.reshape(-1, 4),
            image_shape=shape,
        )
    except ValueError:
        _check_each(path, table, shape)
        raise


def _check_each(path: Path, table: PromptTable, shape: tuple[int, int]) -> None:
    """Refuse the first object of a file that cannot be asked, by its number."""
    from napari_segany.engine.prompts import Prompt

    for index in range(len(table)):
        points = None if table.points is None else table.points[index : index + 1]
        box = None if table.boxes is None else table.boxes[index].reshape(4)
        try:
            Prompt.checked(points, box=box, image_shape=shape)
        except ValueError as error:
            raise ValueError(f"object {index + 1} of {path.name}: {error}") from error


def _one_each(
    args: argparse.Namespace, records: Sequence[MaskRecord], shape: tuple[int, int], view: RasterView | None
) -> int:
    """Write the outputs of all prompts of a file and print one line."""
    from napari_segany.formats.labels import to_labels
    from napari_segany.formats.record import write_records

    for path in args.output:
        if path.suffix.lower() in _JSON:
            write_records(path, records)
        elif path.suffix.lower() in VECTORS:
            write_on_map(path, records, view)
        else:
            _write_labels(path, to_labels(records, shape), args.image, view)
    found = counted(sum(record.area > 0 for record in records), "object")
    print(
        f"{args.image.name}: {found} of {counted(len(records), 'line')} of {args.csv.name} -> "
        f"{', '.join(str(path) for path in args.output)}"
    )
    return 0


def _done(steps: Steps[Result]) -> Result:
    """Run the work on one embedding; a person at a terminal sees the progress."""
    from tqdm import tqdm

    from napari_segany.engine.progress import Progress, drain

    with tqdm(desc="image embedding", unit="block", leave=False, disable=None, file=sys.stderr) as bar:

        def report(progress: Progress) -> None:
            bar.total = progress.total or None
            bar.update(progress.done - bar.n)

        return drain(steps, report)


def _check_outputs(paths: Sequence[Path]) -> None:
    """Refuse before the work what could not be written after it."""
    for path in paths:
        if path.suffix.lower() not in (*_TIFF, *_JSON, *_PNG, *VECTORS):
            raise ValueError(
                f"the output {path} has an unknown ending; allowed are .tif, .tiff, .json, .png, {', '.join(VECTORS)}"
            )
        if not path.parent.is_dir():
            raise ValueError(f"the folder of the output {path} does not exist; make it first")
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise ValueError(f"the output {path} cannot be written; choose another file or folder")


def _write_labels(path: Path, labels: NDArray[np.integer[Any]], image: Path, view: RasterView | None) -> None:
    """Write a label image: of a raster on its grid, of others with their pixel size."""
    if view is None:
        from napari_segany.formats.labels import write_label_tiff
        from napari_segany.formats.pixel_size import read_pixel_size

        write_label_tiff(path, labels, pixel_size=read_pixel_size(image))
    else:
        from napari_segany.formats.geo_labels import write_label_geotiff

        write_label_geotiff(path, labels, view.raster.grid)


def _write(path: Path, records: Sequence[MaskRecord], image: Path, view: RasterView | None) -> None:
    from napari_segany.formats.labels import to_labels, write_mask_png
    from napari_segany.formats.record import write_records

    best = records[0]
    if path.suffix.lower() in _JSON:
        write_records(path, records)
    elif path.suffix.lower() in _PNG:
        write_mask_png(path, best.mask)
    elif path.suffix.lower() in VECTORS:
        write_on_map(path, [best], view)
    else:
        _write_labels(path, to_labels([best], best.rle.size), image, view)


def _summary(image: Path, records: Sequence[MaskRecord], outputs: Sequence[Path]) -> str:
    best = records[0]
    others = ", ".join(f"{record.predicted_iou:.3f}" for record in records[1:])
    return (
        f"{image.name}: {best.area} pixels, predicted IoU {best.predicted_iou:.3f}, "
        f"stability {best.stability_score:.3f}{f' (others: {others})' if others else ''} -> "
        f"{', '.join(str(path) for path in outputs)}"
    )


def _numbers(count: int) -> Callable[[str], tuple[float, ...]]:
    """Return what reads `count` numbers that are separated by commas."""

    def read(text: str) -> tuple[float, ...]:
        try:
            values = tuple(float(part) for part in text.split(","))
        except ValueError:
            values = ()
        if len(values) != count:
            raise argparse.ArgumentTypeError(f"{text!r} is not {count} numbers separated by commas, without spaces")
        return values

    return read
