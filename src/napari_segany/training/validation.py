"""How good the model is on images kept from training, asked as a user would ask: one click, or a box."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_segany.engine.clip import ObjectEncoder
from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.text_ranking import eight_bits
from napari_segany.evaluation.metrics import intersection_over_union
from napari_segany.evaluation.points import center_point, prompt_box
from napari_segany.model import Sam
from napari_segany.training.annotated import AnnotatedImage, Layers
from napari_segany.training.words import describe_objects

SMALLEST = 10
"""Pixels that an object must have to be asked for."""


@dataclass(frozen=True)
class ValidationResult:
    """Means over images of the means over objects; NaN where there was nothing to measure.

    Attributes
    ----------
    click, oracle, box : float
        IoU of the highest-ranked mask after one click at the centre, of the best of the three, and with a box.
    error : float
        Mean of |predicted - true| IoU of the highest-ranked mask.
    text : float or None
        IoU of the mask that an object's picture gives, as words would; None for a run without words.
    """

    click: float
    oracle: float
    box: float
    error: float
    text: float | None = None

    @property
    def quality(self) -> float:
        """What tells the best step of a run: `text` where words are learned, else `click`."""
        return self.click if self.text is None else self.text


@dataclass(frozen=True)
class Milestones:
    """What was measured at the start of a run and at its best step.

    Attributes
    ----------
    before : ValidationResult or None
        Of the weights that the run began with.
    best : ValidationResult or None
        That of the highest quality.
    best_step : int
        Steps done then.
    """

    before: ValidationResult | None = None
    best: ValidationResult | None = None
    best_step: int = 0

    def after(self, step: int, result: ValidationResult) -> Milestones:
        """Return what holds once a step was measured; of equally good steps the first is the best."""
        before = result if step == 0 else self.before
        if np.isnan(result.quality) or (self.best is not None and result.quality <= self.best.quality):
            return replace(self, before=before)
        return Milestones(before, result, step)


def validate(
    sam: Sam,
    images: Sequence[AnnotatedImage],
    objects: int,
    seed: int,
    kept: MutableMapping[int, ImageEmbedding] | None = None,
    clip: ObjectEncoder | None = None,
) -> Steps[ValidationResult]:
    """Measure one click and a box on up to `objects` objects of every image.

    Parameters
    ----------
    sam : Sam
        The model.
    images : sequence of AnnotatedImage
        What to measure on.
    objects : int
        Objects of each image, chosen by chance.
    seed : int
        Of that choice.
    kept : mapping of int to ImageEmbedding, optional
        Embeddings by the number of their image, of an encoder that does not change between calls; filled here.
    clip : ObjectEncoder, optional
        What words are learned with, for a model that takes them.

    Returns
    -------
    ValidationResult
        The means.
    """
    predictor = Predictor(sam, device=str(sam.pixel_mean.device))
    rows: list[list[float]] = []
    for number, annotated in enumerate(images):
        yield Progress(number, len(images), "Measuring on images kept from training")
        image, layers = annotated.read()
        masks = some_objects(layers, objects, np.random.default_rng((seed, number)))
        if not len(masks):
            continue
        embedding = embedding_of(predictor, image, number, kept)
        clicks = np.array([[center_point(mask)] for mask in masks], float)
        answer = predictor.predict(embedding, points=clicks, labels=np.ones(clicks.shape[:2], int), multimask=True)
        iou = intersection_over_union(answer.masks, masks[:, None])
        boxes = np.array([prompt_box(mask) for mask in masks])
        boxed = predictor.predict(embedding, box=boxes, multimask=False)
        box_iou = intersection_over_union(boxed.masks[:, 0], masks)
        error = np.abs(answer.predicted_iou[:, 0] - iou[:, 0])
        row = [iou[:, 0].mean(), iou.max(axis=1).mean(), box_iou.mean(), error.mean()]
        if clip is not None:
            row.append(_text_iou(predictor, embedding, clip, image, masks, seed))
        rows.append(row)
    means = np.mean(rows, axis=0) if rows else np.full(4 if clip is None else 5, np.nan)
    return ValidationResult(*(float(mean) for mean in means))


def _text_iou(
    predictor: Predictor,
    embedding: ImageEmbedding,
    clip: ObjectEncoder,
    image: NDArray[Any],
    masks: NDArray[np.bool_],
    seed: int,
) -> float:
    """Return the mean IoU of the masks that pictures of the objects give, the same pictures each time."""
    seen = eight_bits(image, embedding.contrast_limits)
    text = describe_objects(clip, seen, masks, torch.Generator().manual_seed(seed))
    answer = predictor.predict(embedding, text=text.cpu().numpy(), multimask=False)
    return float(intersection_over_union(answer.masks[:, 0], masks).mean())


def some_objects(layers: Layers, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return up to `count` objects of at least `SMALLEST` pixels as (N, H, W), chosen by chance."""
    candidates: list[tuple[int, int]] = []
    for number, labels in enumerate(layers):
        areas = np.bincount(labels.ravel())
        areas[0] = 0
        candidates += [(number, int(label)) for label in np.flatnonzero(areas >= SMALLEST)]
    chosen = [candidates[index] for index in rng.permutation(len(candidates))[:count]]
    masks = [layers[number] == label for number, label in chosen]
    return np.stack(masks) if masks else np.zeros((0, *layers[0].shape), bool)


def embedding_of(
    predictor: Predictor, image: NDArray[Any], number: int, kept: MutableMapping[int, ImageEmbedding] | None
) -> ImageEmbedding:
    """Return the embedding of an image, the kept one where there is one."""
    if kept is not None and number in kept:
        # The decoder has learned since, which gives the model another name.
        return replace(kept[number], model_name=predictor.name)
    embedding = predictor.encode(image)
    if kept is not None:
        kept[number] = embedding
    return embedding
