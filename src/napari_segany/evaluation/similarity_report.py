"""From similarity scores to tables: mean average precision per data set, with 95 % intervals over images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from napari_segany.evaluation.metrics import dataset_interval
from napari_segany.evaluation.report import Heading, Row
from napari_segany.evaluation.similarity_scores import SimilarityScore

SIMILARITY_NOTE = (
    "Average precision with which the other objects are ranked before everything else, by resemblance to the chosen "
    "ones (alone, and with the size), by area alone and by predicted IoU; chance is that of a random ranking. "
    "Gain: image by image, resemblance less area. Found: objects that have a candidate. Means over images, "
    "each ± half of its 95 % bootstrap interval."
)


@dataclass(frozen=True)
class SimilarityColumn(Heading):
    """A column of the table.

    Attributes
    ----------
    value : callable
        An image's number; NaN where it was not measured.
    """

    value: Callable[[SimilarityScore], float]


_COLUMNS: tuple[SimilarityColumn, ...] = (
    SimilarityColumn("similar", "similar", lambda score: score.similar),
    SimilarityColumn("similar, size", "similar_size", lambda score: score.similar_size),
    SimilarityColumn("crops", "crops", lambda score: score.crops),
    SimilarityColumn("crops, size", "crops_size", lambda score: score.crops_size),
    SimilarityColumn("area", "area", lambda score: score.area),
    SimilarityColumn("predicted IoU", "predicted_iou", lambda score: score.predicted_iou),
    SimilarityColumn("chance", "chance", lambda score: score.chance),
    SimilarityColumn("gain", "gain", lambda score: score.similar - score.area),
    SimilarityColumn("gain, size", "gain_size", lambda score: score.similar_size - score.area),
    SimilarityColumn("found", "found", lambda score: score.relevant / score.objects if score.is_measured else np.nan),
)
_OF_CROPS = ("crops", "crops_size")


def columns(scores: Sequence[SimilarityScore]) -> list[SimilarityColumn]:
    """Return the columns: those of crops where they were measured."""
    has_crops = any(not np.isnan(score.crops) for score in scores)
    return [column for column in _COLUMNS if has_crops or column.key not in _OF_CROPS]


def dataset_rows(scores: Sequence[SimilarityScore], seed: int = 0) -> list[Row]:
    """Return a line per data set and, when there are several, the mean over data sets as the last line.

    Images in which there was nothing to rank are not counted.
    """
    rows = group_rows(scores, lambda score: score.dataset, seed)
    if len(rows) < 2:
        return rows
    datasets = [[score for score in scores if score.dataset == row.name] for row in rows]
    return [*rows, _row("mean over data sets", datasets, columns(scores), seed)]


def group_rows(
    scores: Sequence[SimilarityScore], group: Callable[[SimilarityScore], str], seed: int = 0
) -> list[Row]:
    """Return a line per group: means over its images, whatever data set they are from."""
    members: dict[str, list[SimilarityScore]] = {}
    for score in scores:
        members.setdefault(group(score), []).append(score)
    return [_row(name, [members[name]], columns(scores), seed) for name in sorted(members)]


def _row(name: str, sets: Sequence[Sequence[SimilarityScore]], shown: Sequence[SimilarityColumn], seed: int) -> Row:
    measured = [[score for score in scores if score.is_measured] for scores in sets]
    cells = {
        column.key: dataset_interval([[column.value(s) for s in own] for own in measured], seed) for column in shown
    }
    every = [score for scores in measured for score in scores]
    return Row(name, len(every), sum(score.objects for score in every), cells)
