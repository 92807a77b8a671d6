"""Let a simulated annotator use the data engine, round by round, and plot the clicks that an object takes.

    python scripts/clicks_per_round.py bench/fluorescence_dsb2018 clicks

In each round some images are annotated with the present model, which is then taught all that was annotated so far;
the better weights go on. Every round's model is also measured on images that are never annotated: those rounds differ
in nothing but the model. Writes rounds.csv and clicks_per_round.png into the folder. The masks that a person would
end with are taken from the truth.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_segany.engine.data_engine.folder import DataEngine
from napari_segany.engine.data_engine.masks import EngineMask, Origin
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import drain
from napari_segany.evaluation.data import Sample, find_samples
from napari_segany.evaluation.metrics import mean_interval
from napari_segany.evaluation.plots import new_figure
from napari_segany.evaluation.simulated_annotator import Patience, annotate_steps
from napari_segany.formats.record import MaskRecord
from napari_segany.training.engine_rounds import retrain_steps, retraining_config


def main() -> None:
    """Play all rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--init", default="light")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--images", type=int, default=3, help="annotated in each round")
    parser.add_argument("--measured", type=int, default=6, help="never annotated")
    parser.add_argument("--steps", type=int, default=120, help="of training in each round")
    parser.add_argument("--iou", type=float, default=0.8, help="of a mask that is right")
    parser.add_argument("--trainable", default="decoder", choices=("decoder", "all"))
    parser.add_argument("--rate", type=float, help="learning rate")
    args = parser.parse_args()
    patience = Patience(args.iou)
    samples = find_samples(args.data)
    order = np.random.default_rng(0).permutation(len(samples))
    measured = [samples[number] for number in order[: args.measured]]
    queue = [samples[number] for number in order[args.measured :]]
    engine = _engine([*queue], args.output)
    init: str | Path = args.init
    rows: list[dict[str, object]] = []
    for number in range(args.rounds + 1):
        predictor = Predictor(init, device="cpu")
        known = _clicks(predictor, measured, patience)
        batch = queue[: args.images]
        queue = queue[args.images :]
        annotated = [count for sample in batch for count in _annotate(engine, predictor, sample, patience)]
        rows.append({"round": number, **_numbers("measured", known), **_numbers("annotated", annotated)})
        print(rows[-1], file=sys.stderr)
        if number == args.rounds:
            break
        config = retraining_config(init, args.steps)
        if args.trainable == "all":
            config = replace(config, trainable="all", variants=0)
        if args.rate is not None:
            config = replace(config, learning_rate=args.rate)
        run = args.output / f"round_{number}"
        found = drain(retrain_steps(engine, run, init, config=config, device="cpu"))
        print(f"before {found.before.click:.3f}, after {found.after.click:.3f}", file=sys.stderr)
        init = init if found.weights is None else found.weights
    with (args.output / "rounds.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    _plot(rows, args.output / "clicks_per_round.png")


def _engine(samples: list[Sample], output: Path) -> DataEngine:
    folder = output / "images"
    folder.mkdir(parents=True, exist_ok=True)
    for sample in samples:
        shutil.copy(sample.image_path, folder / sample.image_path.name)
    return DataEngine(folder, output / "work")


def _clicks(predictor: Predictor, samples: list[Sample], patience: Patience) -> list[int]:
    return [
        count for sample in samples for count in drain(annotate_steps(predictor, *sample.read(), patience)).values()
    ]


def _annotate(engine: DataEngine, predictor: Predictor, sample: Sample, patience: Patience) -> list[int]:
    """Annotate an image: the clicks are the model's, the masks are what a person ends with."""
    image, labels = sample.read()
    begun = time.perf_counter()
    clicks = drain(annotate_steps(predictor, image, labels, patience))
    seconds = (time.perf_counter() - begun) / max(len(clicks), 1)
    masks = [
        EngineMask(MaskRecord.from_mask(labels == number), Origin("assisted", seconds, count, predictor.name))
        for number, count in clicks.items()
    ]
    engine.add(sample.name, masks)
    engine.finish(sample.name)
    return list(clicks.values())


def _numbers(name: str, clicks: list[int]) -> dict[str, object]:
    cell = mean_interval(clicks)
    return {f"{name}_objects": len(clicks), name: cell.mean, f"{name}_low": cell.low, f"{name}_high": cell.high}


def _plot(rows: list[dict[str, object]], path: Path) -> None:
    figure = new_figure(5.5, 3.6)
    axes = figure.subplots()
    rounds = [row["round"] for row in rows]
    texts = {"measured": "images that are never annotated", "annotated": "images annotated in the round"}
    for shift, (name, text) in enumerate(texts.items()):
        means = np.array([row[name] for row in rows], float)
        ends = np.array([[row[f"{name}_low"], row[f"{name}_high"]] for row in rows], float).T
        places = np.array(rounds, float) + 0.05 * shift
        axes.errorbar(places, means, np.abs(ends - means), marker="os"[shift], capsize=3, label=text)
    axes.set(xlabel="rounds of training before", ylabel="clicks per object (bars: 95 % interval)", xticks=rounds)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
