"""`segany evaluate boxes`: the boxes of a detector as masks, judged by COCO's mask AP. Imports torch late."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segany.cli.measuring import asked_of, check_measured, keep_results, measure_images

if TYPE_CHECKING:
    from napari_segany.engine.progress import Steps
    from napari_segany.evaluation.boxes import BoxImage, BoxScore
    from napari_segany.evaluation.image_loop import ImageScores
    from napari_segany.evaluation.mask_ap import Annotation

HELP = "instance segmentation from boxes: mask AP of a detector's boxes, or of those of the objects, by size"

MASKS_FOLDER = "masks"
Row = tuple[list[int], dict[str, float]]
_FIELDS = {"category_id", "score", "segmentation"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--data", metavar="FOLDER", type=Path, required=True,
        help="a folder with images/ and labels/, a folder of such folders, or a COCO or LVIS file",
    )  # fmt: skip
    parser.add_argument("--images", metavar="FOLDER", type=Path, help="where the images of the COCO or LVIS file are")
    parser.add_argument(
        "--boxes", metavar="FILE", type=Path,
        help="a detector's boxes: COCO results, [{image_id, category_id, bbox, score}, ...]; image_id is the number "
        "in the COCO file, or the file name without suffix (default: the boxes of the objects themselves)",
    )  # fmt: skip
    parser.add_argument("--model", metavar="NAME|PATH", default="light", help="see `segany models` (default: light)")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu (default: auto)")
    parser.add_argument("--datasets", metavar="A,B", type=lambda text: text.split(","), help="these data sets only")
    parser.add_argument("--images-per-dataset", metavar="N", type=int, help="the first N images of each data set")
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path,
        help="write the table and the masks here; a second run goes on where the first ended",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Measure and print the table; an interruption prints that of what was measured so far."""
    from napari_segany.evaluation.boxes import BoxScoreFile, box_masks
    from napari_segany.evaluation.mask_ap import PycocotoolsMissingError, check_pycocotools

    try:
        check_pycocotools()
    except PycocotoolsMissingError as error:
        raise ValueError(str(error)) from None
    images = _images(args)

    from napari_segany.engine.predictor import Predictor

    predictor = Predictor(args.model, device=args.device)
    asked = {"protocol": "boxes", "boxes": "detector" if args.boxes else "objects", **asked_of(predictor)}
    results = MaskFiles(args.output)
    scores: list[BoxScore] = []

    def steps(
        *, known: Mapping[tuple[str, str], BoxScore] | None, receive: Callable[[BoxScore], None]
    ) -> Steps[ImageScores[BoxScore]]:
        whole = results.whole(images, known or {})
        return box_masks(images, predictor, results.write, known=whole, receive=receive)

    try:
        measure_images(steps, partial(BoxScoreFile, run=asked), args.output, scores)
    finally:
        if scores:
            _report(args, scores, images, results.read)
    check_measured(scores, len(images), args.data)
    return 0


class MaskFiles:
    """The masks of each image, as COCO's results: in a folder, or in memory where there is none."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = None if folder is None else folder / MASKS_FOLDER
        self._kept: dict[tuple[str, str], list[Annotation]] = {}

    def write(self, image: BoxImage, masks: list[Annotation]) -> None:
        """Keep the masks of an image."""
        from napari_segany.formats.atomic import replacing

        if self._folder is None:
            self._kept[image.dataset, image.name] = masks
            return
        path = self._path(image)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps([{"image_id": image.name, **one} for one in masks]), encoding="utf-8")

    def read(self, image: BoxImage) -> list[Annotation]:
        """Return the masks of an image; ValueError or OSError where its file is missing or damaged."""
        from napari_segany.formats.json_fields import read_json_list

        if self._folder is None:
            return self._kept[image.dataset, image.name]
        return read_json_list(self._path(image), "COCO result")

    def whole(
        self, images: Sequence[BoxImage], known: Mapping[tuple[str, str], BoxScore]
    ) -> dict[tuple[str, str], BoxScore]:
        """Return the scores whose masks are there, all of them: the other images are to be asked again."""
        found = {}
        for image in images:
            score = known.get((image.dataset, image.name))
            if score is None:
                continue
            try:
                masks = self.read(image)
            except (ValueError, OSError):
                continue
            if len(masks) == score.boxes and all(one.keys() >= _FIELDS for one in masks):
                found[image.dataset, image.name] = score
        return found

    def _path(self, image: BoxImage) -> Path:
        return Path(self._folder or "", image.dataset, f"{image.name}.json")


def _images(args: argparse.Namespace) -> Sequence[BoxImage]:
    from napari_segany.evaluation.boxes import CocoBoxes, LabelBoxes, read_detections
    from napari_segany.evaluation.data import find_samples
    from napari_segany.evaluation.objects import coco_images

    count = args.images_per_dataset
    if count is not None and count < 1:
        raise ValueError(f"--images-per-dataset is {count}; it must be 1 or more")
    found = None if args.boxes is None else read_detections(args.boxes)
    images: Sequence[BoxImage]
    if args.data.is_file():
        if args.datasets:
            raise ValueError("--datasets is for folders of data sets; a COCO or LVIS file is one data set")
        all_of_file = coco_images(args.data, args.images)[0]
        images = [CocoBoxes(one, None if found is None else found.get(one.name, [])) for one in all_of_file[:count]]
    else:
        if args.images is not None:
            raise ValueError(f"--images is for a COCO or LVIS file, and {args.data} is none")
        samples = find_samples(args.data, args.datasets, count)
        images = [LabelBoxes(one, None if found is None else found.get(one.name, [])) for one in samples]
    if found is not None and not any(image.name in found for image in images):
        raise ValueError(f"{args.boxes} has no box of any of the {len(images)} images of {args.data}; see --boxes")
    return images


def _report(
    args: argparse.Namespace,
    scores: Sequence[BoxScore],
    images: Sequence[BoxImage],
    read: Callable[[BoxImage], list[Annotation]],
) -> None:
    from napari_segany.evaluation.boxes import judged_note
    from napari_segany.evaluation.object_plots import plot_mask_ap

    measured = {(score.dataset, score.image) for score in scores}
    done = [image for image in images if (image.dataset, image.name) in measured]
    names = sorted({image.dataset for image in done})
    rows = {name: _row([one for one in done if one.dataset == name], read) for name in names}
    text = f"{_table(rows)}\n\n{judged_note(done)}"
    print(text)
    precision = {name: values for name, (_, values) in rows.items()}
    keep_results(
        args, "Instance segmentation from boxes", {"summary.md": text}, "images.csv",
        lambda folder: plot_mask_ap(precision, folder / "mask_ap.png"),
    )  # fmt: skip


def _row(images: Sequence[BoxImage], read: Callable[[BoxImage], list[Annotation]]) -> Row:
    """Return how many images, objects and boxes there are, and the mask AP."""
    from napari_segany.evaluation.mask_ap import mask_ap

    truths = {image.name: image.truth() for image in images}
    results = {image.name: read(image) for image in images}
    counts = [len(images), sum(len(one.annotations) for one in truths.values()), sum(map(len, results.values()))]
    return counts, mask_ap(truths, results)


def _table(rows: Mapping[str, Row]) -> str:
    """Return a Markdown table with a line for each data set."""
    from napari_segany.evaluation.mask_ap import NUMBERS

    lines = [["data set", "images", "objects", "boxes", *NUMBERS], ["---", *["---:"] * (3 + len(NUMBERS))]]
    for name, (counts, precision) in rows.items():
        cells = [f"{value:.3f}" if value == value else "-" for value in precision.values()]
        lines.append([name, *map(str, counts), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
