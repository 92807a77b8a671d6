"""From image scores to tables: precision, recall and average recall per data set, with 95 % intervals.

A number of a set of images is a ratio of sums (all found objects by all objects), as COCO has it; its interval comes
from resampling images, because the objects of one image resemble each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from napari_segany.evaluation.image_scores import ImageScore
from napari_segany.evaluation.metrics import Counts, ratio_interval
from napari_segany.evaluation.report import Heading, Row

EVERYTHING_NOTE = (
    "Precision: masks that are an object, by all masks. Recall: objects that a mask finds, by all objects; both at "
    "the IoU given. AR: recall averaged over IoU 0.5 to 0.95 with the 100 or 1000 best masks of each image. "
    "Each ± half of its 95 % bootstrap interval over images."
)


@dataclass(frozen=True)
class Ratio(Heading):
    """A column of the table.

    Attributes
    ----------
    parts, wholes : callable
        An image's numerator and denominator.
    """

    parts: Callable[[ImageScore], int]
    wholes: Callable[[ImageScore], int]


RATIOS: tuple[Ratio, ...] = (
    Ratio("precision 0.5", "precision_50", lambda score: score.matched_50, lambda score: score.masks),
    Ratio("recall 0.5", "recall_50", lambda score: score.matched_50, lambda score: score.objects),
    Ratio("precision 0.75", "precision_75", lambda score: score.matched_75, lambda score: score.masks),
    Ratio("recall 0.75", "recall_75", lambda score: score.matched_75, lambda score: score.objects),
    Ratio("AR 100", "ar_100", lambda score: score.recalled_100, lambda score: 10 * score.objects),
    Ratio("AR 1000", "ar_1000", lambda score: score.recalled_1000, lambda score: 10 * score.objects),
    Ratio("masks per image", "masks_per_image", lambda score: score.masks, lambda score: 1),
)


def dataset_rows(scores: Sequence[ImageScore], seed: int = 0) -> list[Row]:
    """Return a line per data set and, when there are several, the mean over data sets as the last line."""
    rows = group_rows(scores, lambda score: score.dataset, seed)
    if len(rows) < 2:
        return rows
    datasets = [[score for score in scores if score.dataset == row.name] for row in rows]
    return [*rows, _row("mean over data sets", datasets, seed)]


def group_rows(scores: Sequence[ImageScore], group: Callable[[ImageScore], str], seed: int = 0) -> list[Row]:
    """Return a line per group: ratios over its images, whatever data set they are from."""
    members: dict[str, list[ImageScore]] = {}
    for score in scores:
        members.setdefault(group(score), []).append(score)
    return [_row(name, [members[name]], seed) for name in sorted(members)]


def _row(name: str, sets: Sequence[Sequence[ImageScore]], seed: int) -> Row:
    cells = {ratio.key: ratio_interval([_counts(ratio, scores) for scores in sets], seed) for ratio in RATIOS}
    every = [score for scores in sets for score in scores]
    return Row(name, len(every), sum(score.objects for score in every), cells)


def _counts(ratio: Ratio, scores: Sequence[ImageScore]) -> Counts:
    return np.array([[ratio.parts(score), ratio.wholes(score)] for score in scores], np.int64).reshape(-1, 2)
