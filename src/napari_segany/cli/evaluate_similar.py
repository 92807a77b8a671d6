"""`segany evaluate --protocol similar`: how well chosen objects bring back the others. Imports torch late."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from napari_segany.cli.automatic_options import automatic_settings
from napari_segany.cli.evaluate_everything import image_groups, refuse_options_of_points
from napari_segany.cli.measuring import asked_of, keep_results, measure_images, told_tables

if TYPE_CHECKING:
    from napari_segany.evaluation.data import Sample
    from napari_segany.evaluation.score_file import Scored
    from napari_segany.evaluation.similarity_scores import SimilarityScore

_OPTIONS: Mapping[str, object] = {"chosen": None, "draws": None, "crops": False}

_LOOSE: Mapping[str, float] = {"pred_iou_thresh": 0.3, "stability_score_thresh": 0.5}
"""Where none are given: who chooses tells objects from the rest, and high thresholds would lose objects before."""


def add_similar_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this protocol."""
    group = parser.add_argument_group("with --protocol similar")
    group.add_argument("--chosen", metavar="N", type=int, help="objects that are chosen at a time (default: 3)")
    group.add_argument("--draws", metavar="N", type=int, help="random choices in each image (default: 20)")
    group.add_argument(
        "--crops", action="store_true",
        help="describe the masks by crops around them too, as the SAM paper does (the encoder runs twice a mask)",
    )  # fmt: skip


def refuse_options_of_similar(args: argparse.Namespace) -> None:
    """Refuse the options of this protocol where another one runs.

    Raises
    ------
    ValueError
        For an option that is given.
    """
    given = [f"--{name}" for name, default in _OPTIONS.items() if getattr(args, name) != default]
    if given:
        raise ValueError(f"{', '.join(given)} is of the protocol 'similar'; add --protocol similar or leave it out")


def run_similar(args: argparse.Namespace, defaults: Callable[[str], object]) -> int:
    """Measure and print the tables; an interruption prints those of what was measured so far.

    Parameters
    ----------
    args : argparse.Namespace
        The arguments of `segany evaluate`.
    defaults : callable
        Returns the default of an argument, so that those of the protocol of points are refused where they are given.
    """
    refuse_options_of_points(args, defaults)
    loose = {name: value for name, value in _LOOSE.items() if getattr(args, name) is None}
    settings = automatic_settings(argparse.Namespace(**{**vars(args), **loose}))

    from napari_segany.evaluation.data import find_samples
    from napari_segany.evaluation.similarity import SimilarityProtocol, describer, similarity
    from napari_segany.evaluation.similarity_scores import SimilarityScoreFile

    numbers = {name: getattr(args, name) for name in ("chosen", "draws") if getattr(args, name) is not None}
    protocol = SimilarityProtocol(seed=args.seed, **numbers)
    samples = find_samples(args.data, args.datasets, args.images_per_dataset)
    column, group = image_groups(args, samples)

    from napari_segany.engine.automatic import AutomaticMaskGenerator
    from napari_segany.engine.predictor import Predictor

    predictor = Predictor(args.model or "light", device=args.device)
    generator, describe = AutomaticMaskGenerator(predictor, settings), describer(predictor, crops=args.crops)
    asked = {"protocol": "similar", **asdict(protocol), "crops": args.crops, **asked_of(predictor, settings)}
    scores: list[SimilarityScore] = []
    try:
        steps = partial(similarity, samples, generator, describe, protocol)
        measure_images(steps, partial(SimilarityScoreFile, run=asked), args.output, scores)
        _tell_idle(scores, protocol.chosen)
    finally:
        if any(score.is_measured for score in scores):
            _report(args, scores, column, group)
    if not any(score.is_measured for score in scores):
        raise ValueError(_nothing_measured(args, scores, samples, protocol.chosen))
    return 0


def _tell_idle(scores: Sequence[SimilarityScore], chosen: int) -> None:
    idle = sum(not score.is_measured for score in scores)
    if idle:
        print(f"{idle} of {len(scores)} images {_too_few(chosen)}, and do not count", file=sys.stderr)


def _too_few(chosen: int) -> str:
    return f"have no more than {chosen} objects with a candidate, or no other candidates"


def _nothing_measured(
    args: argparse.Namespace, scores: Sequence[SimilarityScore], samples: Sequence[Sample], chosen: int
) -> str:
    if not scores:
        return f"none of the {len(samples)} images of {args.data} can be measured; see the reasons above"
    return (
        f"all {len(scores)} images of {args.data} {_too_few(chosen)}: there is nothing to rank; lower --chosen, "
        "--pred-iou-thresh or --stability-score-thresh, or raise --points-per-side"
    )


def _report(
    args: argparse.Namespace,
    scores: Sequence[SimilarityScore],
    column: str | None,
    group: Callable[[Scored], str] | None,
) -> None:
    """Print the tables and, with --output, write them."""
    from napari_segany.evaluation import similarity_report as report

    rows = report.dataset_rows(scores, args.seed)
    groups = None
    if column is not None and group is not None:
        groups = column, report.group_rows(scores, group, args.seed)
    texts = told_tables(rows, report.columns(scores), report.SIMILARITY_NOTE, groups)
    keep_results(args, "Find similar objects", texts, "images.csv")
