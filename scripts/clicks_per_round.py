"""Let a simulated annotator use the data engine, round by round, and plot the clicks that an object takes.

    python scripts/clicks_per_round.py bench/fluorescence_dsb2018 clicks

In each round some images are annotated with the present model, which is then taught all that was annotated so far;
the better weights go on. Every round's model is also measured on images that are never annotated: those rounds
differ in nothing but the model. With `--orders` all of it is played again with the images in other orders, each from
the first weights, and the clicks of a round are those of all orders. The masks that a person would end with are taken
from the truth.

Writes clicks.csv (a row for each object; orders that are in it are not played again), rounds.csv and
clicks_per_round.png into the folder.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import time
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Clicks:
    """Clicks of objects in one round of one order; `kind` is "measured" or "annotated"."""

    order: int
    round: int
    kind: str
    clicks: tuple[int, ...]


def main() -> None:
    """Play all orders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--init", default="light")
    parser.add_argument("--orders", type=int, default=1, help="of the images, each played from the first weights")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--images", type=int, default=3, help="annotated in each round")
    parser.add_argument("--measured", type=int, default=6, help="never annotated")
    parser.add_argument("--objects", type=int, default=15, help="at most, of an image")
    parser.add_argument("--steps", type=int, default=120, help="of training in each round")
    parser.add_argument("--iou", type=float, default=0.8, help="of a mask that is right")
    parser.add_argument("--trainable", default="decoder", choices=("decoder", "all"))
    parser.add_argument("--rate", type=float, help="learning rate")
    args = parser.parse_args()
    table = args.output / "clicks.csv"
    found = _read(table)
    for order in range(args.orders):
        if any(one.order == order for one in found):
            continue
        found += _play(args, order)
        _write(found, table)
    rows = [
        {"round": number, **_numbers("measured", found, number), **_numbers("annotated", found, number)}
        for number in range(args.rounds + 1)
    ]
    with (args.output / "rounds.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    _plot(rows, args.output / "clicks_per_round.png")


def _play(args: argparse.Namespace, order: int) -> list[Clicks]:
    """Play the rounds of one order of the images."""
    patience = Patience(args.iou, objects=args.objects)
    samples = find_samples(args.data)
    places = np.random.default_rng(order).permutation(len(samples))
    measured = [samples[place] for place in places[: args.measured]]
    queue = [samples[place] for place in places[args.measured :]]
    output = args.output / f"order_{order}"
    shutil.rmtree(output, ignore_errors=True)  # an order that was interrupted is played from its beginning
    engine = _engine([*queue], output)
    init: str | Path = args.init
    found: list[Clicks] = []
    for number in range(args.rounds + 1):
        predictor = Predictor(init, device="cpu")
        known = _clicks(predictor, measured, patience)
        batch = queue[: args.images]
        queue = queue[args.images :]
        annotated = [count for sample in batch for count in _annotate(engine, predictor, sample, patience)]
        found.append(Clicks(order, number, "measured", tuple(known)))
        found.append(Clicks(order, number, "annotated", tuple(annotated)))
        print(f"order {order}, round {number}: {np.mean(known):.2f} of {len(known)}", file=sys.stderr)
        if number == args.rounds:
            break
        config = retraining_config(init, args.steps)
        if args.trainable == "all":
            config = replace(config, trainable="all", variants=0)
        if args.rate is not None:
            config = replace(config, learning_rate=args.rate)
        taught = drain(retrain_steps(engine, output / f"round_{number}", init, config=config, device="cpu"))
        print(f"before {taught.before.click:.3f}, after {taught.after.click:.3f}", file=sys.stderr)
        init = init if taught.weights is None else taught.weights
    return found


def _read(path: Path) -> list[Clicks]:
    """Return what was played before."""
    if not path.exists():
        return []
    rows: dict[tuple[int, int, str], list[int]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows.setdefault((int(row["order"]), int(row["round"]), row["kind"]), []).append(int(row["clicks"]))
    return [Clicks(*key, tuple(clicks)) for key, clicks in rows.items()]


def _write(found: list[Clicks], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("order", "round", "kind", "clicks"))
        writer.writerows((one.order, one.round, one.kind, clicks) for one in found for clicks in one.clicks)


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


def _numbers(name: str, found: list[Clicks], number: int) -> dict[str, object]:
    clicks = [count for one in found if (one.kind, one.round) == (name, number) for count in one.clicks]
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
