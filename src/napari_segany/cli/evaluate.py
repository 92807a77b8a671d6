"""`segany evaluate`: a model on annotated images, by clicks or without. Imports torch only when it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from napari_segany.cli.automatic_options import add_automatic_options
from napari_segany.cli.evaluate_everything import run_everything
from napari_segany.cli.evaluate_similar import add_similar_options, refuse_options_of_similar, run_similar
from napari_segany.cli.measuring import keep_results, told_tables
from napari_segany.cli.watched import watched

if TYPE_CHECKING:
    from napari_segany.evaluation.groups import Grouping
    from napari_segany.evaluation.plan import Plan, SinglePointProtocol
    from napari_segany.evaluation.scores import ObjectScore

NAME = "evaluate"
HELP = (
    "Measure a model on annotated images: IoU after 1, 2, 3, 5 and 9 points, with a box, and its calibration; "
    "precision and recall of segmenting everything; or how well finding similar objects works."
)
EXAMPLE = "segany evaluate --data annotated/ -o results/light"
POINTS, EVERYTHING, SIMILAR = "points", "everything", "similar"

_HELPS = {
    POINTS: "points and boxes of each object (what happens without a protocol, too)",
    EVERYTHING: "precision and recall of segmenting everything",
    SIMILAR: "how well a few chosen objects bring back the others",
}
_OTHERS = ("edges", "proposals", "boxes")
"""Protocols with options of their own, each in `evaluate_NAME.py`."""

_DEFAULTS = {
    "points": (1, 2, 3, 5, 9),
    "point_choice": "center",
    "objects_per_image": None,
    "no_box": False,
    "baseline": False,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: those of the three older protocols also without a protocol, with --protocol."""
    parser.set_defaults(run_protocol=_run)
    _add_options(parser)
    protocols = parser.add_subparsers(title="protocols", metavar="PROTOCOL")
    for name, text in _HELPS.items():
        protocol = protocols.add_parser(name, help=text, description=text)
        _add_options(protocol)
        protocol.set_defaults(protocol=name)
    for name in _OTHERS:
        module = import_module(f"napari_segany.cli.evaluate_{name}")
        protocol = protocols.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(protocol)
        protocol.set_defaults(run_protocol=module.run)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", metavar="FOLDER", type=Path,
        help="a folder with images/ and labels/ (files pair up by name; labels: 0 background, 1..n objects), "
        "or a folder of such folders, with an index.json if there is one",
    )  # fmt: skip
    parser.add_argument(
        "--model", metavar="NAME|PATH",
        help="see `segany models`, or a checkpoint file (default: light; none for --baseline alone)",
    )  # fmt: skip
    parser.add_argument(
        "--protocol", choices=(POINTS, EVERYTHING, SIMILAR), default=POINTS,
        help="what is asked: points and boxes of each object, everything in the image, or what is similar to a few "
        "chosen objects (default: points)",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu (default: auto)")
    parser.add_argument("--datasets", metavar="A,B", type=_names, help="these data sets only")
    parser.add_argument("--images-per-dataset", metavar="N", type=int, help="the first N images of each data set")
    parser.add_argument("--objects-per-image", metavar="N", type=int, help="N objects of each image, at random")
    parser.add_argument(
        "--points", metavar="N,N", type=_counts, default=_DEFAULTS["points"],
        help="numbers of points after which the IoU is taken (default: 1,2,3,5,9)",
    )  # fmt: skip
    parser.add_argument(
        "--point-choice", choices=("center", "random"), default=_DEFAULTS["point_choice"],
        help="first point: the object's deepest pixel, or any of its pixels (default: center)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn at random (default: 0)")
    parser.add_argument("--no-box", action="store_true", help="do not prompt with boxes")
    parser.add_argument("--baseline", action="store_true", help="Otsu and watershed in the same table")
    parser.add_argument(
        "--groups", metavar="COLUMN",
        help="a second table by group: a value of index.json, size, at_border, parts, or a column of --group-table "
        "(for everything and similar: a value of index.json, by default domain, or a column)",
    )  # fmt: skip
    parser.add_argument(
        "--group-table", metavar="CSV", type=Path,
        help="table with the columns image, COLUMN, and where needed dataset and object_id",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path,
        help="write objects.csv (line by line), summary.csv, summary.md, groups.csv and plots here; for everything "
        "and similar images.csv, and a second run goes on where the first one ended",
    )  # fmt: skip
    add_similar_options(parser)
    add_automatic_options(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print the tables; an interruption prints those of what was measured so far."""
    return cast(int, args.run_protocol(args))


def _run(args: argparse.Namespace) -> int:
    if args.data is None:
        raise ValueError("--data FOLDER is missing: give the annotated images, after the protocol's name")
    if args.protocol == SIMILAR:
        return run_similar(args, _DEFAULTS.__getitem__)
    refuse_options_of_similar(args)
    if args.protocol == EVERYTHING:
        return run_everything(args, _DEFAULTS.__getitem__)

    from napari_segany.evaluation.data import find_samples
    from napari_segany.evaluation.groups import grouping
    from napari_segany.evaluation.plan import SinglePointProtocol, plan

    protocol = SinglePointProtocol(
        points=args.points,
        point_choice=args.point_choice,
        seed=args.seed,
        objects_per_image=args.objects_per_image,
        boxes=not args.no_box,
    )
    if args.group_table is not None and args.groups is None:
        raise ValueError("--group-table is given without --groups COLUMN; name the column that holds the groups")
    samples = find_samples(args.data, args.datasets, args.images_per_dataset)
    group = None if args.groups is None else grouping(args.groups, samples, args.group_table)
    if args.output is not None:
        args.output.mkdir(parents=True, exist_ok=True)
    planned = watched(plan(samples, protocol), "image")
    for reason in planned.skipped:
        print(f"skipped: {reason}", file=sys.stderr)
    if not planned.tasks:
        raise ValueError(f"none of the {len(samples)} images of {args.data} can be measured; see the reasons above")

    scores: list[ObjectScore] = []
    try:
        _measure(args, protocol, planned, scores)
    except KeyboardInterrupt:
        print("interrupted: the tables hold what was measured so far", file=sys.stderr)
        raise
    finally:
        if scores:
            _report(args, scores, group)
    return 0


def _measure(
    args: argparse.Namespace, protocol: SinglePointProtocol, planned: Plan, scores: list[ObjectScore]
) -> None:
    """Run the protocol; `scores` and objects.csv grow with every batch."""
    from napari_segany.evaluation.scores import ScoreWriter
    from napari_segany.evaluation.single_point import single_point

    model = args.model or (None if args.baseline else "light")
    predictor = None
    if model is not None:
        from napari_segany.engine.predictor import Predictor

        predictor = Predictor(model, device=args.device)
    with ExitStack() as stack:
        writer = None
        if args.output is not None:
            names = protocol.value_names(model=predictor is not None, baseline=args.baseline)
            writer = stack.enter_context(ScoreWriter(args.output / "objects.csv", names))

        def receive(batch: Sequence[ObjectScore]) -> None:
            scores.extend(batch)
            if writer is not None:
                writer.write(batch)

        steps = single_point(planned.tasks, protocol, predictor, baseline=args.baseline, receive=receive)
        watched(steps, "object")


def _report(args: argparse.Namespace, scores: Sequence[ObjectScore], group: Grouping | None) -> None:
    """Print the tables and, with --output, write them with the plots."""
    from napari_segany.evaluation import report

    rows = report.dataset_rows(scores, args.seed)
    result = report.predicted_calibration(scores)
    remark = "" if result is None else report.calibration_sentence(result)
    groups = None if group is None else (args.groups, report.group_rows(scores, group, args.seed))
    texts = told_tables(rows, report.columns(scores), report.TEXT_NOTE, groups, remark)

    def plot(folder: Path) -> None:
        from napari_segany.evaluation.plots import plot_calibration, plot_iou

        if result is not None:
            plot_iou(rows, folder / "iou.png")
            plot_calibration(result, folder / "calibration.png")

    keep_results(args, "Points and boxes", texts, "objects.csv", plot)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _counts(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not whole numbers separated by commas, as in 1,2,3") from None
