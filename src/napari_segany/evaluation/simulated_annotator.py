"""A person at the data engine, simulated: clicks until each object is right, as a number. Knows no files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.evaluation.metrics import intersection_over_union
from napari_segany.evaluation.points import center_point, next_point


@dataclass(frozen=True)
class Patience:
    """When the annotator is content.

    Attributes
    ----------
    iou : float
        Of a mask that is right.
    clicks : int
        After so many the mask is painted by hand: it costs as many clicks.
    least_area : int
        Smaller objects, in pixels, are passed over.
    objects : int
        Objects of an image, at random where there are more.
    """

    iou: float = 0.9
    clicks: int = 8
    least_area: int = 30
    objects: int = 15


def clicks_needed(predictor: Predictor, embedding: Any, target: NDArray[np.bool_], patience: Patience) -> int:
    """Return the clicks until the mask of an object is right: first in its middle, then into the error.

    The first click is answered with three masks, of which the annotator takes the best; it is fed back with the next.

    Parameters
    ----------
    predictor : Predictor
        The model.
    embedding : ImageEmbedding
        The image.
    target : numpy.ndarray
        (H, W) bool, the object.
    patience : Patience
        When it is right.
    """
    points, labels = [center_point(target)], [1]
    logits: NDArray[np.float32] | None = None
    for count in range(1, patience.clicks + 1):
        answer = predictor.predict(embedding, points=points, labels=labels, mask=logits)
        iou = intersection_over_union(answer.masks, target)
        best = int(np.argmax(iou))
        if iou[best] >= patience.iou:
            return count
        click = next_point(target, answer.masks[best], points)
        if click is None:
            return count
        points.append(click[0])
        labels.append(int(click[1]))
        logits = answer.logits[best]
    return patience.clicks


def annotate_steps(
    predictor: Predictor, image: NDArray[Any], labels: NDArray[np.integer[Any]], patience: Patience, seed: int = 0
) -> Steps[dict[int, int]]:
    """Annotate an image whose truth is known.

    Parameters
    ----------
    predictor : Predictor
        The model.
    image : numpy.ndarray
        (H, W) or (H, W, C).
    labels : numpy.ndarray
        (H, W) integers, 0 background: the truth.
    patience : Patience
        When an object is right.
    seed : int
        Of the choice of objects.

    Returns
    -------
    dict of int to int
        Clicks by the number of the object.
    """
    numbers, areas = np.unique(labels[labels != 0], return_counts=True)
    numbers = np.random.default_rng(seed).permutation(numbers[areas >= patience.least_area])[: patience.objects]
    if not len(numbers):
        return {}
    embedding = yield from relabelled(predictor.encode_steps(image), lambda inner: inner)
    found: dict[int, int] = {}
    for done, number in enumerate(numbers):
        yield Progress(done, len(numbers), "Clicking on objects")
        found[int(number)] = clicks_needed(predictor, embedding, labels == number, patience)
    return found
