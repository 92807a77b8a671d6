"""`segany train`: from annotated images to weights. Imports torch only when it runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

NAME = "train"
HELP = "Train or fine-tune a model on images and label images, and on drawn scenes."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--config", metavar="FILE", type=Path, help="TOML or JSON with the knobs of TrainingConfig")
    parser.add_argument(
        "--data", metavar="FOLDER", type=Path,
        help="a folder with images/ and labels/, or a folder of such folders; not needed for drawn scenes alone",
    )  # fmt: skip
    parser.add_argument("--output", metavar="DIR", type=Path, required=True, help="where the run writes")
    parser.add_argument("--init", metavar="CHECKPOINT", type=Path, help="weights to start from")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --output")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu (default: auto)")
    parser.add_argument("--provenance", default="", help="data, licences and attribution, stored with the weights")


def run(args: argparse.Namespace) -> int:
    """Train, with a progress bar."""
    from napari_segany.engine.progress import drain
    from napari_segany.evaluation.data import find_samples
    from napari_segany.training.config import TrainingConfig, read_config
    from napari_segany.training.trainer import train

    config = read_config(args.config) if args.config else TrainingConfig()
    samples = find_samples(args.data) if args.data else []
    steps = train(
        config,
        samples,
        args.output,
        init=args.init,
        resume=args.resume,
        device=args.device,
        provenance=args.provenance,
    )
    with tqdm(total=config.steps, unit="step", disable=None) as bar:
        result = drain(steps, lambda progress: _show(bar, progress.done, progress.total, progress.note, config.steps))
    if result.skipped:
        print(f"left out {len(result.skipped)} images, the first: {result.skipped[0]}", file=sys.stderr)
    print(result.weights)
    if result.validation is not None:
        print(f"one click {result.validation.click:.3f}, box {result.validation.box:.3f} (IoU on images kept apart)")
    return 0


def _show(bar: tqdm, done: int, total: int, note: str, steps: int) -> None:
    # Looking through the images and measuring count in units of their own.
    if total == steps:
        bar.n = done
    bar.set_description_str(note, refresh=False)
    bar.refresh()
