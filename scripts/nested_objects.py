"""Measure ambiguity: how often the three masks of a click differ where objects lie within objects, on drawn scenes.

    python scripts/nested_objects.py --model light

draws scenes of cells with nuclei and of leaves with parts, clicks at the centre of each object within another
one, and prints how often the three masks have a mean mutual IoU below 0.7, and the IoU of the best of the three with
the inner and with the outer object: a model that knows both has both.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.predictor import Predictor
from napari_segany.evaluation.metrics import bootstrap_means, intersection_over_union, mutual_iou
from napari_segany.evaluation.points import center_point
from napari_segany.training.scene import Scene
from napari_segany.training.synthetic import RECIPES

KINDS = ("stained_cells", "dead_leaves", "neurites")
SIDE = 512
LEAST_AREA = 80
WITHIN = 0.9
"""Part of the inner object that lies in the outer one."""
DIFFERENT = 0.7

Mask = NDArray[np.bool_]


def main() -> None:
    """Draw, click, and print a line for each kind of scene."""
    parser = argparse.ArgumentParser(description="Ambiguity on drawn scenes.")
    parser.add_argument("--model", default="light")
    parser.add_argument("--scenes", type=int, default=10, help="of each kind")
    parser.add_argument("--objects", type=int, default=12, help="pairs of each scene")
    args = parser.parse_args()
    predictor = Predictor(args.model)
    for kind in KINDS:
        rows = np.array(list(measured(predictor, kind, args.scenes, args.objects)))
        if not len(rows):
            print(f"{kind}: nothing lies within anything")
            continue
        told = []
        for name, values in zip(("differ", "inner", "outer"), rows.T, strict=True):
            low, high = np.quantile(bootstrap_means(values, np.random.default_rng(0)), (0.025, 0.975))
            told.append(f"{name} {values.mean():.2f} ({low:.2f} to {high:.2f})")
        print(f"{kind}: {len(rows)} pairs, {', '.join(told)}")


def measured(predictor: Predictor, kind: str, scenes: int, most: int) -> Iterator[tuple[float, float, float]]:
    """Return, of every pair, whether the masks differ, and the best IoU with the inner and the outer object."""
    for number in range(scenes):
        rng = np.random.default_rng((17, number))
        scene = RECIPES[kind][0](SIDE, rng)
        embedding = predictor.encode(np.asarray(scene.image).astype(np.uint8))
        for inner, outer in list(pairs(scene))[:most]:
            masks = predictor.predict(embedding, points=[center_point(inner)], labels=[1], multimask=True).masks
            best = (float(intersection_over_union(masks, truth[None]).max()) for truth in (inner, outer))
            yield (float(mutual_iou(masks) < DIFFERENT), *best)


def pairs(scene: Scene) -> Iterator[tuple[Mask, Mask]]:
    """Return all objects that lie within one of another layer, each with that one."""
    for number, layer in enumerate(scene.layers):
        for other in (*scene.layers[:number], *scene.layers[number + 1 :]):
            for label in np.unique(layer)[1:]:
                inner = layer == label
                around = np.bincount(other[inner])
                around[:1] = 0
                outside = int(around.argmax()) if around.any() else 0
                outer = other == outside
                if not outside or inner.sum() < LEAST_AREA or outer.sum() < 1.5 * inner.sum():
                    continue
                if around[outside] >= WITHIN * inner.sum():
                    yield inner, outer


if __name__ == "__main__":
    main()
