"""How good the model is on images kept from training, asked as a user would ask: one click, or a box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Progress, Steps
from napari_segany.evaluation.data import Sample
from napari_segany.evaluation.metrics import intersection_over_union
from napari_segany.evaluation.points import bounding_box, center_point
from napari_segany.model.sam import Sam


@dataclass(frozen=True)
class ValidationResult:
    """Means over images of the means over objects; NaN where there was nothing to measure.

    Attributes
    ----------
    click, oracle, box : float
        IoU of the highest-ranked mask after one click at the centre, of the best of the three, and with a box.
    error : float
        Mean of |predicted - true| IoU of the highest-ranked mask.
    """

    click: float
    oracle: float
    box: float
    error: float


def validate(sam: Sam, samples: Sequence[Sample], objects: int, seed: int) -> Steps[ValidationResult]:
    """Measure one click and a box on up to `objects` objects of every image.

    Returns
    -------
    ValidationResult
        The means.
    """
    predictor = Predictor(sam, device=str(sam.pixel_mean.device))
    rows: list[tuple[float, float, float, float]] = []
    for number, sample in enumerate(samples):
        yield Progress(number, len(samples), "Measuring on images kept from training")
        image, labels = sample.read()
        rng = np.random.default_rng((seed, number))
        masks = _some_objects(labels, objects, rng)
        if not len(masks):
            continue
        embedding = predictor.encode(image)
        clicks = np.array([[center_point(mask)] for mask in masks], float)
        answer = predictor.predict(embedding, points=clicks, labels=np.ones(clicks.shape[:2], int), multimask=True)
        iou = intersection_over_union(answer.masks, masks[:, None])
        boxes = np.array([bounding_box(mask) for mask in masks], float)
        boxed = predictor.predict(embedding, box=boxes, multimask=False)
        box_iou = intersection_over_union(boxed.masks[:, 0], masks)
        error = np.abs(answer.predicted_iou[:, 0] - iou[:, 0])
        rows.append((iou[:, 0].mean(), iou.max(axis=1).mean(), box_iou.mean(), error.mean()))
    means = np.mean(rows, axis=0) if rows else np.full(4, np.nan)
    return ValidationResult(*(float(mean) for mean in means))


def _some_objects(labels: NDArray[np.integer], count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return up to `count` objects of at least 10 pixels as (N, H, W)."""
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    numbers = rng.permutation(np.flatnonzero(areas >= 10))[:count]
    return labels == numbers[:, None, None]
