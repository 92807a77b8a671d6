"""The work of finding similar objects as a generator of progress: candidates, their vectors, a ranking.

A session asks it, and its replay asks it again. Torch is imported when the work runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_segany.engine.automatic_presets import default_preset
from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.progress import Progress, Steps
from napari_segany.formats.record import MaskRecord

if TYPE_CHECKING:
    from napari_segany.engine.embedding import ImageEmbedding
    from napari_segany.engine.mask_embedding import MaskEmbeddings
    from napari_segany.engine.similar_selection import SeparateMasks


@dataclass(frozen=True, eq=False)
class DescribedCandidates:
    """The masks of a plane that may be similar, as vectors."""

    records: tuple[MaskRecord, ...]
    embeddings: MaskEmbeddings


@dataclass(frozen=True, eq=False)
class SimilarQuestion:
    """What is looked for, and where.

    Attributes
    ----------
    chosen : tuple of MaskRecord
        Masks that others shall resemble.
    taken : numpy.ndarray
        (H, W) bool, pixels of accepted objects: masks there are not offered.
    least_iou : float
        Predicted IoU from which on a mask is offered; masks without one always are.
    predictor, embedding
        The model, and what it made of the plane.
    read : callable
        Returns the image of the plane.
    candidates : callable, optional
        Returns the masks that there are; without it the model is asked for everything in the image.
    settings : AutomaticSettings, optional
        What the model is asked for everything with; by default `loose_settings`.
    described : DescribedCandidates, optional
        The candidates of an earlier question about the same plane; then nothing else is read or asked.
    """

    chosen: tuple[MaskRecord, ...]
    taken: NDArray[np.bool_]
    least_iou: float
    predictor: Any
    embedding: ImageEmbedding
    read: Callable[[], ArrayLike]
    candidates: Callable[[], Sequence[MaskRecord]] | None = None
    settings: AutomaticSettings | None = None
    described: DescribedCandidates | None = None


@dataclass(frozen=True, eq=False)
class SimilarAnswer:
    """All candidates that do not overlap, most similar first, and the vectors, for the next question."""

    question: SimilarQuestion
    described: DescribedCandidates
    found: SeparateMasks


def loose_settings(model: str) -> AutomaticSettings:
    """Return settings for candidates: low thresholds, for here the choice tells objects from the rest."""
    return default_preset(model).settings.replaced(pred_iou_thresh=0.3, stability_score_thresh=0.5)


def similar_steps(question: SimilarQuestion) -> Steps[SimilarAnswer]:
    """Rank the candidates of a plane by how much they resemble the chosen masks.

    Raises
    ------
    ValueError
        If there are no candidates.
    """
    from napari_segany.engine.mask_embedding import MaskEmbeddings, embed_masks
    from napari_segany.engine.similar_selection import separate
    from napari_segany.engine.similarity import SIZE_WEIGHT, rank_by_similarity

    described = question.described or (yield from _described(question))
    chosen = yield from embed_masks(question.embedding, question.chosen)
    yield Progress(0, 0, "Comparing the masks")
    all_masks = MaskEmbeddings(
        np.concatenate([chosen.vectors, described.embeddings.vectors]),
        np.concatenate([chosen.areas, described.embeddings.areas]),
        chosen.view,
        chosen.model_name,
    )
    ranking = rank_by_similarity(all_masks, range(len(chosen)), size_weight=SIZE_WEIGHT)
    similarity = ranking.similarity[len(chosen) :].copy()
    scores = np.array([np.inf if one.predicted_iou is None else one.predicted_iou for one in described.records])
    similarity[scores < question.least_iou] = -np.inf
    return SimilarAnswer(question, described, separate(described.records, similarity, question.taken))


def _described(question: SimilarQuestion) -> Steps[DescribedCandidates]:
    from napari_segany.engine.automatic import AutomaticMaskGenerator
    from napari_segany.engine.mask_embedding import embed_masks

    yield Progress(0, 0, "Reading the masks")
    if question.candidates is not None:
        records = tuple(question.candidates())
    else:
        settings = question.settings or loose_settings(question.predictor.name)
        generator = AutomaticMaskGenerator(question.predictor, settings)
        embedding = question.embedding
        limits = embedding.contrast_limits
        image = np.asarray(question.read())
        records = tuple((yield from generator.run(image, contrast_limits=limits, embedding=embedding)))
    records = tuple(record for record in records if record.area)
    if not records:
        raise ValueError("there are no masks to compare with; run Segment everything with lower thresholds")
    return DescribedCandidates(records, (yield from embed_masks(question.embedding, records)))
