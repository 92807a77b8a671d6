"""`segany evaluate proposals`: how many objects are among the best masks of an image. Imports torch late."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segany.cli.measuring import asked_of, check_measured, keep_results, measure_images

if TYPE_CHECKING:
    from napari_segany.evaluation.objects import ObjectImage
    from napari_segany.evaluation.proposals import ProposalScore

HELP = "object proposals: average recall with the 10, 100 and 1000 best masks, by size of the objects"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--data", metavar="FOLDER", type=Path, required=True,
        help="a folder with images/ and labels/, a folder of such folders, or a COCO or LVIS file",
    )  # fmt: skip
    parser.add_argument("--images", metavar="FOLDER", type=Path, help="where the images of the COCO or LVIS file are")
    parser.add_argument(
        "--category-groups", metavar="VALUE",
        help="the value of a category that groups objects: frequency (LVIS; the default there), supercategory, name",
    )  # fmt: skip
    parser.add_argument(
        "--single-mask", action="store_true", help="one mask for each point instead of three (the paper's ablation)"
    )
    parser.add_argument("--model", metavar="NAME|PATH", default="light", help="see `segany models` (default: light)")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu (default: auto)")
    parser.add_argument("--datasets", metavar="A,B", type=lambda text: text.split(","), help="these data sets only")
    parser.add_argument("--images-per-dataset", metavar="N", type=int, help="the first N images of each data set")
    parser.add_argument("--points-per-side", metavar="N", type=int, default=64, help="default: 64")
    parser.add_argument("--box-nms-thresh", metavar="X", type=float, default=0.9, help="default: 0.9")
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path,
        help="write the table and the counts of each image here; a second run goes on where the first ended",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Measure and print the table; an interruption prints that of what was measured so far."""
    from napari_segany.engine.automatic import AutomaticMaskGenerator
    from napari_segany.engine.predictor import Predictor
    from napari_segany.evaluation.proposals import ProposalScoreFile, proposal_settings, proposals

    settings = proposal_settings(args.points_per_side, args.box_nms_thresh)
    images, groups = _images(args)
    predictor = Predictor(args.model, device=args.device)
    generator = AutomaticMaskGenerator(predictor, settings, single_mask=args.single_mask)
    asked = {"protocol": "proposals", **asked_of(predictor, settings)}
    asked |= {"single_mask": args.single_mask, "groups": groups}
    scores: list[ProposalScore] = []
    try:
        file_of = partial(ProposalScoreFile, run=asked)
        measure_images(partial(proposals, images, generator, groups), file_of, args.output, scores)
    finally:
        if scores:
            _report(args, scores, groups)
    check_measured(scores, len(images), args.data)
    return 0


def _images(args: argparse.Namespace) -> tuple[Sequence[ObjectImage], tuple[str, ...]]:
    """Return the images, and the groups of categories that are counted by themselves."""
    from napari_segany.evaluation.data import find_samples
    from napari_segany.evaluation.objects import LabelImage, coco_images

    count = args.images_per_dataset
    if count is not None and count < 1:
        raise ValueError(f"--images-per-dataset is {count}; it must be 1 or more")
    if not args.data.is_file():
        given = [name for name in ("images", "category_groups") if getattr(args, name) is not None]
        if given:
            raise ValueError(f"--{given[0].replace('_', '-')} is for a COCO or LVIS file, and {args.data} is none")
        return [LabelImage(sample) for sample in find_samples(args.data, args.datasets, count)], ()
    if args.datasets:
        raise ValueError("--datasets is for folders of data sets; a COCO or LVIS file is one data set")
    by = args.category_groups
    images, index = coco_images(args.data, args.images, by or "frequency")
    is_lvis = any("frequency" in category for category in index.categories.values())
    return images[:count], index.groups(by or "frequency") if by or is_lvis else ()


def _report(args: argparse.Namespace, scores: Sequence[ProposalScore], groups: Sequence[str]) -> None:
    from napari_segany.evaluation.object_plots import plot_recall
    from napari_segany.evaluation.proposals import PUBLISHED_NOTE, average_recall

    names = sorted({score.dataset for score in scores})
    sets = {name: [score for score in scores if score.dataset == name] for name in names}
    if len(names) > 1:
        sets["all images"] = list(scores)
    recall = {name: average_recall(own, groups) for name, own in sets.items()}
    text = f"{_table(sets, recall)}\n\n{PUBLISHED_NOTE}"
    print(text)
    keep_results(
        args, "Object proposals", {"summary.md": text}, "images.csv",
        lambda folder: plot_recall(recall, folder / "average_recall.png"),
    )  # fmt: skip


def _table(sets: Mapping[str, Sequence[ProposalScore]], recall: Mapping[str, Mapping[str, float]]) -> str:
    """Return a Markdown table with a line for each set of images."""
    columns = list(next(iter(recall.values())))
    lines = [["data set", "images", "objects", *columns], ["---", *["---:"] * (2 + len(columns))]]
    for name, own in sets.items():
        cells = [f"{value:.3f}" if value == value else "-" for value in recall[name].values()]
        lines.append([name, str(len(own)), str(sum(score.objects[0] for score in own)), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
