"""`segany evaluate edges`: edges of a model, of Sobel and of Canny against people's. Imports torch late."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segany.cli.measuring import asked_of, check_measured, keep_results, measure_images

if TYPE_CHECKING:
    from napari_segany.evaluation.edge_scores import EdgeScore
    from napari_segany.evaluation.edges import Detector

HELP = "edges of a model, of Sobel and of Canny against the boundaries that people drew (BSDS500: ODS, OIS, AP, R50)"
DETECTORS = ("model", "sobel", "canny")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--data", metavar="FOLDER", type=Path, required=True,
        help="a folder with images/ and groundTruth/ (BSDS500's .mat) or gt/ (.npz)",
    )  # fmt: skip
    parser.add_argument("--model", metavar="NAME|PATH", default="light", help="see `segany models` (default: light)")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu (default: auto)")
    parser.add_argument(
        "--detectors", metavar="A,B", default=DETECTORS, type=_detectors,
        help=f"what is compared (default: {','.join(DETECTORS)})",
    )  # fmt: skip
    parser.add_argument("--images", metavar="N", type=int, help="the first N images")
    parser.add_argument("--thresholds", metavar="N", type=int, default=99, help="from 0 to 1 (default: 99)")
    parser.add_argument(
        "--tolerance", metavar="X", type=float, default=0.0075,
        help="greatest distance of a pair of pixels, by the image's diagonal (default: 0.0075)",
    )  # fmt: skip
    parser.add_argument("--points-per-side", metavar="N", type=int, default=16, help="of the model (default: 16)")
    parser.add_argument("--box-nms-thresh", metavar="X", type=float, default=0.7, help="of the model (default: 0.7)")
    parser.add_argument("--seed", type=int, default=0, help="of the intervals (default: 0)")
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path,
        help="write tables, the curve and the counts of each image here; a second run goes on where the first ended",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Measure and print the table; an interruption prints that of what was measured so far."""
    from napari_segany.evaluation.edge_data import find_edge_images
    from napari_segany.evaluation.edge_scores import EdgeScoreFile
    from napari_segany.evaluation.edges import EdgeProtocol, edges

    protocol = EdgeProtocol(args.thresholds, args.tolerance)
    samples = find_edge_images(args.data, args.images)
    scores: dict[str, list[EdgeScore]] = {}
    try:
        for name in args.detectors:
            title, asked, detector = _detector(name, args)
            scores[title] = []
            file_of = partial(EdgeScoreFile, run={**asdict(protocol), "protocol": "edges", **asked})
            folder = None if args.output is None else args.output / title
            measure_images(partial(edges, samples, detector, protocol), file_of, folder, scores[title])
    finally:
        if any(scores.values()):
            _report(args, scores)
    check_measured([score for own in scores.values() for score in own], len(samples), args.data)
    return 0


def _detector(name: str, args: argparse.Namespace) -> tuple[str, dict[str, object], Detector]:
    """Return a title, what is to be remembered of a run, and the detector."""
    from napari_segany.evaluation.edges import canny_detector, model_detector, sobel_detector

    if name == "sobel":
        return name, {"detector": name}, sobel_detector
    if name == "canny":
        from napari_segany.engine.edge_filters import CANNY_SIGMA

        return name, {"detector": name, "sigma": CANNY_SIGMA}, canny_detector
    from napari_segany.engine.edges import edge_settings
    from napari_segany.engine.predictor import Predictor

    settings = edge_settings(args.points_per_side, args.box_nms_thresh)
    predictor = Predictor(args.model, device=args.device)
    return predictor.name, asked_of(predictor, settings), model_detector(predictor, settings)


def _report(args: argparse.Namespace, scores: Mapping[str, Sequence[EdgeScore]]) -> None:
    from napari_segany.evaluation import edge_report as report
    from napari_segany.evaluation.report import to_csv, to_markdown, to_text

    rows = report.edge_rows(scores, args.seed)
    print(to_text(rows, report.HEADINGS, "detector"), report.EDGE_NOTE, sep="\n\n")
    if args.output is None:
        return
    table = to_markdown(rows, report.HEADINGS, "detector")
    note = f"Published: Kirillov et al. 2023 (arXiv:2304.02643), table 3. {report.EDGE_NOTE}"
    text = f"{table}\n{report.published_markdown()}\n\n{note}\n"
    texts = {"summary.md": text, "summary.csv": to_csv(rows, report.HEADINGS, "detector")}
    keep_results(
        args, "Edge detection", texts, "a folder for each detector",
        lambda folder: report.plot_edges(scores, folder / "precision_recall.png"),
    )  # fmt: skip


def _detectors(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    wrong = [name for name in names if name not in DETECTORS]
    if wrong or not names:
        raise argparse.ArgumentTypeError(f"{text!r} is not made of {', '.join(DETECTORS)}")
    return tuple(dict.fromkeys(names))
