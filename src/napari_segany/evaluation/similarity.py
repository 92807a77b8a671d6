"""The protocol for "find similar": how well a few chosen objects bring back the others of their image.

The candidates are the masks of segmenting everything, as a user has them: objects, their parts, groups, and whatever
else. Rankings are compared by average precision with those by area alone and by predicted IoU. docs/similar.md argues
for what counts as found.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.mask_embedding import MaskEmbeddings, embed_mask_crops, embed_masks
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Steps
from napari_segany.engine.similarity import SIZE_WEIGHT, rank_by_similarity
from napari_segany.evaluation.data import Sample
from napari_segany.evaluation.everything import MaskGenerator
from napari_segany.evaluation.image_loop import ImageScores, measured_images
from napari_segany.evaluation.matching import overlaps
from napari_segany.evaluation.ranking import average_precision
from napari_segany.evaluation.similarity_scores import SimilarityScore
from napari_segany.formats.record import MaskRecord

LEAST_IOU = 0.5
"""With an object, of a candidate that is this object."""

Flags = NDArray[np.bool_]
Descriptions = Mapping[str, MaskEmbeddings]
"""Mask embeddings by the score that they are for: "similar", "crops"."""

Describe = Callable[[NDArray[Any], Sequence[MaskRecord]], Steps[Descriptions]]


@dataclass(frozen=True)
class SimilarityProtocol:
    """How objects are chosen.

    Attributes
    ----------
    chosen : int
        Objects that are chosen at a time.
    draws : int
        Choices per image, at random, over which its average precisions are averaged.
    seed : int
        Of the choices; those of an image depend on it and on the image's name alone.

    Raises
    ------
    ValueError
        For a value out of its range.
    """

    chosen: int = 3
    draws: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        for name, least in (("chosen", 1), ("draws", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; give a whole number of at least {least}")


def describer(predictor: Predictor, *, crops: bool = False) -> Describe:
    """Return what describes the candidates of an image, from crops around them too where they are asked for."""

    def describe(image: NDArray[Any], records: Sequence[MaskRecord]) -> Steps[Descriptions]:
        embedding = yield from predictor.encode_steps(image)
        found = {"similar": (yield from embed_masks(embedding, records))}
        if crops:
            limits = embedding.contrast_limits
            found["crops"] = yield from embed_mask_crops(predictor, image, records, contrast_limits=limits)
        return found

    return describe


def similarity(
    samples: Sequence[Sample],
    generator: MaskGenerator,
    describe: Describe,
    protocol: SimilarityProtocol,
    *,
    known: Mapping[tuple[str, str], SimilarityScore] | None = None,
    receive: Callable[[SimilarityScore], None] | None = None,
) -> Steps[ImageScores[SimilarityScore]]:
    """Segment everything in annotated images, choose objects, and measure how well the others are ranked.

    Parameters
    ----------
    samples : sequence of Sample
        The images; the objects of each are taken to be of one kind.
    generator : MaskGenerator
        Makes the candidates.
    describe : callable
        Makes their embeddings; see `describer`.
    protocol : SimilarityProtocol
        How objects are chosen.
    known : Mapping, optional
        Scores of an earlier run by data set and image; they are taken over where the files are still the same.
    receive : callable, optional
        Gets every score at once, new or taken over, so that an interruption loses nothing.

    Yields
    ------
    Progress
        In images; the note tells the image and what is done with it.

    Returns
    -------
    ImageScores
        Images that cannot be read are among its `skipped`.
    """

    def measure(sample: Sample, content: tuple[NDArray[Any], NDArray[np.integer[Any]]]) -> Steps[SimilarityScore]:
        return (yield from _measured(sample, *content, generator, describe, protocol))

    return (yield from measured_images(samples, Sample.read, measure, known=known, receive=receive))


def relevance(iou: NDArray[np.float64]) -> tuple[Flags, Flags]:
    """Tell which candidates are an object, and which are none.

    Of the candidates that overlap an object by `LEAST_IOU` the best one is the object. Its second masks are neither:
    nobody misses them, and nobody minds them.

    Parameters
    ----------
    iou : numpy.ndarray
        (M, N) of M candidates with N objects.

    Returns
    -------
    relevant, others : numpy.ndarray
        (M,) bool each, never both true.
    """
    relevant = np.zeros(len(iou), bool)
    if iou.size == 0:
        return relevant, ~relevant
    found = iou.max(axis=0) >= LEAST_IOU
    relevant[iou.argmax(axis=0)[found]] = True
    return relevant, iou.max(axis=1) < LEAST_IOU


def image_score(
    sample: Sample,
    content: str,
    iou: NDArray[np.float64],
    predicted_iou: NDArray[np.float64],
    descriptions: Descriptions,
    protocol: SimilarityProtocol,
) -> SimilarityScore:
    """Rank the candidates of an image by every description, by area and by predicted IoU, once for each draw.

    Parameters
    ----------
    sample : Sample
        The image.
    content : str
        Digest of its files.
    iou : numpy.ndarray
        (M, N) of its M candidates with its N objects.
    predicted_iou : numpy.ndarray
        (M,).
    descriptions : mapping of str to MaskEmbeddings
        Each of M masks; none where `enough` says that there is nothing to rank.
    protocol : SimilarityProtocol
        How objects are chosen.
    """
    relevant, others = relevance(iou)
    counts = (iou.shape[1], len(iou), int(relevant.sum()), int(others.sum()))
    score = SimilarityScore(sample.dataset, sample.name, content, *counts)
    if not enough(relevant, others, protocol):
        return score
    rng = np.random.default_rng([protocol.seed, zlib.crc32(f"{sample.dataset}/{sample.name}".encode())])
    draws: list[dict[str, float]] = []
    for _ in range(protocol.draws):
        chosen = rng.choice(np.flatnonzero(relevant), protocol.chosen, replace=False)
        ranked = relevant | others
        ranked[chosen] = False
        rankings = {**_by_resemblance(descriptions, chosen), "predicted_iou": predicted_iou}
        draws.append({name: average_precision(relevant[ranked], by[ranked]) for name, by in rankings.items()})
        draws[-1]["chance"] = float(relevant[ranked].mean())
    means: dict[str, Any] = {name: float(np.mean([draw[name] for draw in draws])) for name in draws[0]}
    return replace(score, **means)


def enough(relevant: Flags, others: Flags, protocol: SimilarityProtocol) -> bool:
    """Tell whether an object is left to be found besides the chosen ones, and something to mistake for it."""
    return int(relevant.sum()) > protocol.chosen and bool(others.any())


def by_area(areas: NDArray[np.integer[Any]], chosen: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Rank masks by area alone: by the ratio of their areas (M,) to the geometric mean of the chosen ones'.

    On the data that the embeddings were chosen with, the mean ranks better than the nearest chosen area.
    """
    logarithms = np.log(np.maximum(areas, 1))
    return -np.abs(logarithms - logarithms[chosen].mean())


def _by_resemblance(
    descriptions: Descriptions, chosen: NDArray[np.integer[Any]]
) -> dict[str, NDArray[np.floating[Any]]]:
    """Return the rankings by each description, with and without size, and the one by area that they compete with."""
    rankings: dict[str, NDArray[np.floating[Any]]] = {}
    for name, embeddings in descriptions.items():
        rankings[name] = rank_by_similarity(embeddings, chosen.tolist()).similarity
        with_size = rank_by_similarity(embeddings, chosen.tolist(), size_weight=SIZE_WEIGHT)
        rankings[f"{name}_size"] = with_size.similarity
        rankings["area"] = by_area(embeddings.areas, chosen)
    return rankings


def _measured(
    sample: Sample,
    image: NDArray[Any],
    labels: NDArray[np.integer[Any]],
    generator: MaskGenerator,
    describe: Describe,
    protocol: SimilarityProtocol,
) -> Steps[SimilarityScore]:
    found = yield from generator.run(image)
    records = [record for record in found if record.area]
    iou = overlaps(records, labels)
    predicted = np.array([-np.inf if one.predicted_iou is None else one.predicted_iou for one in records])
    descriptions: Descriptions = {}
    if enough(*relevance(iou), protocol):
        descriptions = yield from describe(image, records)
    return image_score(sample, sample.content_digest(), iou, predicted, descriptions, protocol)
