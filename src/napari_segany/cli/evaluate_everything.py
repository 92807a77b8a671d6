"""`segany evaluate --protocol everything`: how many of the objects are found without a prompt. Imports torch late."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from napari_segany.cli.automatic_options import automatic_settings
from napari_segany.cli.measuring import asked_of, check_measured, keep_results, measure_images, told_tables

if TYPE_CHECKING:
    from napari_segany.evaluation.data import Sample
    from napari_segany.evaluation.image_scores import ImageScore
    from napari_segany.evaluation.score_file import Scored

DOMAIN = "domain"
"""Value of index.json that groups the images where no other one is asked for."""

_OF_POINTS = ("objects_per_image", "baseline", "no_box", "point_choice", "points")


def run_everything(args: argparse.Namespace, defaults: Callable[[str], object]) -> int:
    """Measure and print the tables; an interruption prints those of what was measured so far.

    Parameters
    ----------
    args : argparse.Namespace
        The arguments of `segany evaluate`.
    defaults : callable
        Returns the default of an argument, so that those of the other protocol are refused where they are given.
    """
    refuse_options_of_points(args, defaults)
    settings = automatic_settings(args)

    from napari_segany.evaluation.data import find_samples

    samples = find_samples(args.data, args.datasets, args.images_per_dataset)
    column, group = image_groups(args, samples)

    from napari_segany.engine.automatic import AutomaticMaskGenerator
    from napari_segany.engine.predictor import Predictor
    from napari_segany.evaluation.everything import everything
    from napari_segany.evaluation.image_scores import ImageScoreFile

    predictor = Predictor(args.model or "light", device=args.device)
    generator = AutomaticMaskGenerator(predictor, settings)
    asked = {"protocol": "everything", **asked_of(predictor, settings)}
    scores: list[ImageScore] = []
    try:
        measure_images(
            partial(everything, samples, generator), partial(ImageScoreFile, run=asked), args.output, scores
        )
    finally:
        if scores:
            _report(args, scores, column, group)
    check_measured(scores, len(samples), args.data)
    return 0


def refuse_options_of_points(args: argparse.Namespace, defaults: Callable[[str], object]) -> None:
    """Refuse options that mean nothing to a protocol of whole images.

    Raises
    ------
    ValueError
        For an option of the protocol of points, or a table of groups without a column.
    """
    others = [name for name in _OF_POINTS if getattr(args, name) != defaults(name)]
    if others:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in others)
        raise ValueError(f"{names} is of the protocol 'points'; leave it out with --protocol {args.protocol}")
    if args.group_table is not None and args.groups is None:
        raise ValueError("--group-table is given without --groups COLUMN; name the column that holds the groups")


def image_groups(
    args: argparse.Namespace, samples: Sequence[Sample]
) -> tuple[str | None, Callable[[Scored], str] | None]:
    """Return the name of the groups and what tells an image's group; nothing where there are none.

    Raises
    ------
    ValueError
        For a column that does not exist, or that tells objects apart.
    """
    from napari_segany.evaluation.groups import OWN_GROUPS, image_grouping

    has_domains = any(DOMAIN in sample.metadata for sample in samples)
    column = args.groups or (DOMAIN if has_domains else None)
    if column is None:
        return None, None
    if column in OWN_GROUPS and args.group_table is None:
        raise ValueError(
            f"--groups {column} tells objects apart; with --protocol {args.protocol}, groups are of images"
        )
    return column, image_grouping(column, samples, args.group_table)


def _report(
    args: argparse.Namespace,
    scores: Sequence[ImageScore],
    column: str | None,
    group: Callable[[ImageScore], str] | None,
) -> None:
    """Print the tables and, with --output, write them."""
    from napari_segany.evaluation import everything_report as report

    rows = report.dataset_rows(scores, args.seed)
    groups = None
    if column is not None and group is not None:
        groups = column, report.group_rows(scores, group, args.seed)
    texts = told_tables(rows, report.RATIOS, report.EVERYTHING_NOTE, groups)
    keep_results(args, "Segment everything", texts, "images.csv")
