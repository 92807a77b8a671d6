"""Make the pictures of the model card: what `light` gets wrong, and what it gets right, on images that may be shown.

    segany evaluate --data FOLDER --output RESULTS
    python scripts/make_failures.py FOLDER RESULTS

FOLDER is a collection of data sets with ground truth, RESULTS what `segany evaluate` wrote about it. From each of
the `SHOWN` data sets come the objects at fixed ranks of IoU, so that nobody chooses them: the picture of failures
shows the fifth, tenth, 15th and 20th of a hundred, the other picture the 50th, 60th, 70th and 80th. Written to
docs/images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from napari_segany.engine.predictor import Predictor
from napari_segany.evaluation.data import find_samples
from napari_segany.evaluation.scores import ObjectScore, points_key, read_scores
from napari_segany.training.pictures import Answer, write_picture

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
SHOWN = ("fluorescence_dsb2018", "histology_dsb2018", "cytology_dsb2018", "phase_usiigaci")
"""Data sets whose licence allows a picture: CC0 1.0 (2018 Data Science Bowl) and MIT (Usiigaci)."""

PICTURES = {"light_failures.png": (0.05, 0.10, 0.15, 0.20), "light_usual.png": (0.50, 0.60, 0.70, 0.80)}


def main() -> None:
    """Read the results, ask the model again for the chosen objects, and draw them."""
    parser = argparse.ArgumentParser(description="Pictures of the model card.")
    parser.add_argument("data", type=Path, help="folder of data sets with images and labels")
    parser.add_argument("results", type=Path, help="what `segany evaluate --output` wrote")
    parser.add_argument("--model", default="light")
    args = parser.parse_args()
    scores = read_scores(args.results / "objects.csv")
    predictor = Predictor(args.model)
    for name, ranks in PICTURES.items():
        chosen = [score for dataset in SHOWN for score in at_ranks(scores, dataset, ranks)]
        write_picture([answer(predictor, args.data, score) for score in chosen], FOLDER / name)
        print(FOLDER.name, name)


def at_ranks(scores: list[ObjectScore], dataset: str, ranks: tuple[float, ...]) -> list[ObjectScore]:
    """Return the objects of a data set at these ranks of IoU after one click, 0 for the lowest."""
    own = sorted((s for s in scores if s.dataset == dataset), key=lambda s: s.values[points_key(1)])
    return [own[min(int(rank * len(own)), len(own) - 1)] for rank in ranks] if own else []


def answer(predictor: Predictor, data: Path, score: ObjectScore) -> Answer:
    """Ask the model for one object by the click that was measured."""
    sample = next(s for s in find_samples(data) if (s.dataset, s.name) == (score.dataset, score.image))
    image, labels = sample.read()
    click = (score.row, score.col)
    prediction = predictor.predict(predictor.encode(image), points=[click], labels=[1], multimask=True)
    return Answer(np.asarray(image), labels == score.object_id, prediction.masks[0], click)


if __name__ == "__main__":
    main()
