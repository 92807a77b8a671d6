"""How well objects are carried through drawn stacks whose truth is known: IoU and identity errors per kind of object.

The stacks are drawn here (`evaluation.propagation_stack`): objects move, grow, divide, vanish and touch. The oracle
answers from the truth instead of the pixels, so that its lines are what propagation costs by itself.

    python benchmarks/propagation.py                                       # oracle and light, two stacks of 24 slices
    python benchmarks/propagation.py light vit_b --places first ends --between meet best
    python benchmarks/propagation.py oracle --stacks 1 --slices 8 --cells 2
    python benchmarks/propagation.py light --annotated FOLDER --places middle    # image.tif and labels.tif, (Z, H, W)
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import sys
from pathlib import Path

from tqdm import tqdm

from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Progress, Steps, drain
from napari_segany.engine.propagation_embeddings import StackEmbeddings
from napari_segany.engine.propagation_settings import BETWEEN, PropagationSettings
from napari_segany.evaluation.propagation import StackOutcome, measure_steps, prompts_for
from napari_segany.evaluation.propagation_annotated import annotated_stack
from napari_segany.evaluation.propagation_oracle import Oracle
from napari_segany.evaluation.propagation_report import PROPAGATION_NOTE, propagation_table
from napari_segany.evaluation.propagation_stack import DrawnStack, draw_stack
from napari_segany.formats.atomic import replacing
from napari_segany.formats.image_file import read_array

ORACLE = "oracle"


def main() -> None:
    arguments = parsed()
    stacks, what = stacks_to_measure(arguments)
    outcomes: dict[str, list[StackOutcome]] = {}
    for name in arguments.models:
        predictor = None if name == ORACLE else Predictor(name, device=arguments.device)
        for stack in stacks:
            # One memory of embeddings for all settings: the encoder is what takes time.
            embeddings = None if predictor is None else StackEmbeddings(predictor, stack.image, memory=16 * 1024**3)
            for places, between in itertools.product(arguments.places, arguments.between):
                settings = PropagationSettings(
                    between=between,
                    divisions=not arguments.annotated or arguments.time,
                    min_overlap=arguments.min_overlap,
                    min_predicted_iou=arguments.min_predicted_iou,
                )
                line = f"{name}, {arguments.form} on {places}{f', {between}' if places == 'ends' else ''}"
                if places != "ends" and between != arguments.between[0]:
                    continue  # there is nothing between
                steps = measured(predictor, embeddings, stack, arguments.form, places, settings)
                outcomes.setdefault(line, []).append(watched(steps, line))
    print(f"\n{what}\n")
    print(propagation_table(outcomes))
    print(f"\n{PROPAGATION_NOTE}")
    if arguments.output is not None:
        values = {line: [dataclasses.asdict(outcome) for outcome in of_line] for line, of_line in outcomes.items()}
        with replacing(arguments.output) as temporary:
            temporary.write_text(json.dumps(values, indent=1), encoding="utf-8")


def stacks_to_measure(arguments: argparse.Namespace) -> tuple[list[DrawnStack], str]:
    """Return the stacks, and what they are in words."""
    if arguments.annotated:
        found = [
            annotated_stack(read_array(folder / "image.tif"), read_array(folder / "labels.tif"), kind=folder.name)
            for folder in arguments.annotated
        ]
        return found, f"{len(found)} annotated stacks; objects on 3 slices, of 30 pixels on one of them, at least"
    seeds = range(arguments.seed, arguments.seed + arguments.stacks)
    stacks = [draw_stack(seed, slices=arguments.slices, cells=arguments.cells) for seed in seeds]
    scenes = f"{arguments.cells} x {arguments.cells} scenes"
    return stacks, f"{arguments.stacks} stacks of {arguments.slices} slices, {scenes}, seeds from {arguments.seed}"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=[ORACLE, "light"], help="names, checkpoint files, or oracle")
    parser.add_argument("--stacks", type=int, default=2, help="how many are drawn")
    parser.add_argument("--seed", type=int, default=100, help="of the first stack; the limits were chosen on 0 and 1")
    parser.add_argument("--slices", type=int, default=24)
    parser.add_argument("--cells", type=int, default=4, help="scenes along each side, 64 pixels each")
    parser.add_argument(
        "--annotated", type=Path, nargs="+", metavar="FOLDER", help="image.tif and labels.tif instead"
    )
    parser.add_argument("--time", action="store_true", help="of annotated stacks: objects may divide")
    parser.add_argument("--form", choices=("point", "box"), default="point")
    parser.add_argument("--places", nargs="+", choices=("first", "middle", "ends"), default=["first", "ends"])
    parser.add_argument("--between", nargs="+", choices=BETWEEN, default=["meet"])
    parser.add_argument("--min-overlap", type=float, default=PropagationSettings.min_overlap)
    parser.add_argument("--min-predicted-iou", type=float, default=PropagationSettings.min_predicted_iou)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path, help="also write every outcome to this JSON file")
    return parser.parse_args()


def measured(
    predictor: Predictor | None,
    embeddings: StackEmbeddings | None,
    stack: DrawnStack,
    form: str,
    places: str,
    settings: PropagationSettings,
) -> Steps[StackOutcome]:
    """Return the work of one stack; without a model the oracle answers."""
    prompts = prompts_for(stack, form, places)
    if predictor is None or embeddings is None:
        oracle = Oracle(stack.labels, stack.parents)
        return measure_steps(oracle, oracle.embeddings, stack, prompts, settings)
    return measure_steps(predictor, embeddings, stack, prompts, settings)


def watched(steps: Steps[StackOutcome], line: str) -> StackOutcome:
    """Run work with a bar on stderr."""
    with tqdm(desc=line, file=sys.stderr, mininterval=5) as bar:

        def report(progress: Progress) -> None:
            bar.total = progress.total
            bar.update(progress.done - bar.n)

        return drain(steps, report)


if __name__ == "__main__":
    main()
