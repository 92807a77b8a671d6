"""How well resemblance ranks each image's objects, as values and as a file that an interrupted run goes on with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_segany.evaluation.score_file import ScoreFile, ScoreTable, read_scores


@dataclass(frozen=True)
class SimilarityScore:
    """Average precisions of one image, each the mean over the draws of chosen objects; NaN where nothing was ranked.

    Attributes
    ----------
    dataset, image : str
        Where it is.
    content : str
        Digest of the image file and its label file.
    objects, masks : int
        Annotated objects and candidates.
    relevant : int
        Candidates that are an object, one for each object that has one.
    others : int
        Candidates that are no object; the rest are second masks of an object, and left out.
    similar, similar_size : float
        By resemblance, from the features of the whole image: without, and with, the size of the masks.
    crops, crops_size : float
        By resemblance, from crops around the masks; NaN where they were not asked for.
    area : float
        By area alone.
    predicted_iou : float
        By the model's own estimate, which does not know what was chosen.
    chance : float
        Share of relevant candidates among those that are ranked: what a random ranking gets.
    """

    dataset: str
    image: str
    content: str
    objects: int
    masks: int
    relevant: int
    others: int
    similar: float = math.nan
    similar_size: float = math.nan
    crops: float = math.nan
    crops_size: float = math.nan
    area: float = math.nan
    predicted_iou: float = math.nan
    chance: float = math.nan

    @property
    def is_measured(self) -> bool:
        """Whether there was something to rank."""
        return not math.isnan(self.area)


_TABLE = ScoreTable(SimilarityScore, {"recall_50": lambda score: (score.relevant, score.objects)})


class SimilarityScoreFile(ScoreFile[SimilarityScore]):
    """The scores of a folder; see `ScoreFile`."""

    def __init__(self, folder: Path, run: Mapping[str, object]) -> None:
        super().__init__(folder, run, _TABLE)


def read_similarity_scores(path: Path) -> list[SimilarityScore]:
    """Read what `SimilarityScoreFile` wrote; see `read_scores`."""
    return read_scores(path, _TABLE)
