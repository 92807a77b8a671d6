"""`segany dataset`: what is in data sets of masks. Imports what is slow when it runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from napari_segany.cli.recorded import record_command
from napari_segany.cli.watched import watched

NAME = "dataset"
HELP = "Look at data sets of masks: what they are like, and which of them a model finds alike."
EXAMPLE = "segany dataset stats annotated/"
_STATS = "how many masks, how large, how concave, and where in the image (figures 5 and 6 of the SAM paper)"
_NEAREST = "a picture of masks and of those in other images that a model finds most alike (figure 17)"
_RATINGS = "what people's ratings of masks say: means, and how two models compare"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    stats = actions.add_parser("stats", help=_STATS, description=_STATS)
    stats.add_argument(
        "places", metavar="DIR", type=Path, nargs="+",
        help="folders with images/ and labels/, COCO or LVIS files, folders of SA-1B's JSON files, or folders of "
        "such folders; several data sets are compared",
    )  # fmt: skip
    stats.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help="write the table, images.csv, masks.csv and the plots here"
    )
    stats.set_defaults(action=_stats)
    nearest = actions.add_parser("nearest", help=_NEAREST, description=_NEAREST)
    nearest.add_argument(
        "folder", metavar="DIR", type=Path, help="a folder with images/ and labels/, or of such folders"
    )
    nearest.add_argument("--model", metavar="NAME|PATH", default="light", help="see `segany models` (default: light)")
    nearest.add_argument("--device", default="auto", help="auto, cuda, mps or cpu (default: auto)")
    nearest.add_argument("--datasets", metavar="A,B", type=lambda text: text.split(","), help="these data sets only")
    nearest.add_argument("--images-per-dataset", metavar="N", type=int, help="the first N images of each data set")
    nearest.add_argument("--masks-per-image", metavar="N", type=int, default=5, help="at random (default: 5)")
    nearest.add_argument("--queries", metavar="N", type=int, default=6, help="rows of the picture (default: 6)")
    nearest.add_argument("--neighbours", metavar="N", type=int, default=8, help="masks beside each (default: 8)")
    nearest.add_argument("--seed", type=int, default=0, help="of all that is drawn at random (default: 0)")
    nearest.add_argument(
        "-o", "--output", metavar="DIR", type=Path, required=True, help="nearest.png is written here"
    )
    nearest.set_defaults(action=_nearest)
    ratings = actions.add_parser("ratings", help=_RATINGS, description=_RATINGS)
    ratings.add_argument("table", metavar="CSV", type=Path, help="the ratings that the dock Review masks wrote")
    ratings.add_argument("-o", "--output", metavar="DIR", type=Path, help="write the table and the histogram here")
    ratings.set_defaults(action=_ratings)


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    return int(args.action(args))


def _stats(args: argparse.Namespace) -> int:
    from napari_segany.evaluation import dataset_report as report
    from napari_segany.evaluation.dataset_statistics import statistics_steps
    from napari_segany.evaluation.mask_sources import find_all_masks
    from napari_segany.evaluation.plots import MatplotlibMissingError

    images = find_all_masks(args.places)
    if args.output is not None:
        args.output.mkdir(parents=True, exist_ok=True)
    statistics, skipped = watched(statistics_steps(images), "image")
    for reason in skipped:
        print(f"skipped: {reason}", file=sys.stderr)
    if not statistics:
        raise ValueError(f"none of the {len(images)} images can be read; see the reasons above")
    table = report.statistics_table(statistics)
    print(table, report.STATISTICS_NOTE, sep="\n\n")
    if args.output is None:
        return 0
    (args.output / "summary.md").write_text(f"{table}\n\n{report.STATISTICS_NOTE}\n", encoding="utf-8")
    report.write_statistics(statistics, args.output)
    record_command(args, args.output, "Data set statistics")
    try:
        report.plot_statistics(statistics, args.output / "statistics.png")
        report.plot_centers(statistics, args.output / "centers.png")
    except MatplotlibMissingError as error:
        print(error, file=sys.stderr)
    return 0


def _nearest(args: argparse.Namespace) -> int:
    from napari_segany.engine.predictor import Predictor
    from napari_segany.evaluation import latent
    from napari_segany.evaluation.data import find_samples
    from napari_segany.evaluation.plots import MatplotlibMissingError, check_matplotlib

    try:
        check_matplotlib()
    except MatplotlibMissingError as error:
        raise ValueError(str(error)) from None
    if args.queries < 1 or args.neighbours < 1:
        raise ValueError("--queries and --neighbours are whole numbers of at least 1")
    samples = find_samples(args.folder, args.datasets, args.images_per_dataset)
    predictor = Predictor(args.model, device=args.device)
    masks, skipped = watched(latent.latent_masks(samples, predictor, args.masks_per_image, args.seed), "image")
    for reason in skipped:
        print(f"skipped: {reason}", file=sys.stderr)
    if len({(mask.dataset, mask.image) for mask in masks}) < 2:
        raise ValueError(f"{args.folder} has objects in less than two images; there is nothing to compare")
    found, chance = latent.same_dataset_share(masks, args.neighbours)
    text = (
        f"Of the {args.neighbours} nearest masks of other images, {100 * found:.0f} % are of the same data set "
        f"({100 * chance:.0f} % by chance); {len(masks)} masks of {len(samples)} images."
    )
    print(text)
    args.output.mkdir(parents=True, exist_ok=True)
    queries = latent.queries_of(masks, args.queries, args.seed)
    latent.plot_neighbours(masks, queries, args.neighbours, args.output / "nearest.png")
    (args.output / "summary.md").write_text(text + "\n", encoding="utf-8")
    record_command(args, args.output, "Masks that are near in latent space")
    return 0


def _ratings(args: argparse.Namespace) -> int:
    from napari_segany.evaluation import review
    from napari_segany.evaluation.plots import MatplotlibMissingError

    rows = review.read_ratings(args.table)
    if not rows:
        raise ValueError(f"{args.table} has no ratings yet")
    text = review.review_text(rows)
    print(text)
    if args.output is None:
        return 0
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "summary.md").write_text(text + "\n", encoding="utf-8")
    record_command(args, args.output, "Quality review")
    try:
        review.plot_ratings(rows, args.output / "ratings.png")
    except MatplotlibMissingError as error:
        print(error, file=sys.stderr)
    return 0
