"""`segany dataset`: what is in data sets of masks. Imports what is slow when it runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from napari_segany.cli.recorded import record_command
from napari_segany.cli.watched import watched

NAME = "dataset"
HELP = "Look at data sets of masks: how many, how large, how concave, and where in the image."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    stats = actions.add_parser("stats", help=HELP, description=HELP)
    stats.add_argument(
        "places", metavar="DIR", type=Path, nargs="+",
        help="folders with images/ and labels/, COCO or LVIS files, folders of SA-1B's JSON files, or folders of "
        "such folders; several data sets are compared",
    )  # fmt: skip
    stats.add_argument(
        "--output", metavar="DIR", type=Path, help="write the table, images.csv, masks.csv and the plots here"
    )
    stats.set_defaults(action=_stats)


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    return int(args.action(args))


def _stats(args: argparse.Namespace) -> int:
    from napari_segany.evaluation import dataset_report as report
    from napari_segany.evaluation.dataset_statistics import statistics_steps
    from napari_segany.evaluation.mask_sources import find_masks
    from napari_segany.evaluation.plots import MatplotlibMissingError

    images = [image for place in args.places for image in find_masks(place)]
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
