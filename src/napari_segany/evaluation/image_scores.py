"""What "segment everything" found in each image, as values and as a file that an interrupted run goes on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_segany.evaluation.score_file import ScoreFile, ScoreTable, read_scores


@dataclass(frozen=True)
class ImageScore:
    """Counts of one image, from which precision, recall and average recall of any set of images follow.

    Attributes
    ----------
    dataset, image : str
        Where it is.
    content : str
        Digest of the image file and its label file.
    objects, masks : int
        Annotated objects and predicted masks.
    matched_50, matched_75 : int
        Pairs of a mask and an object of its own, at IoU 0.5 and 0.75.
    recalled_100, recalled_1000 : int
        Objects found by the 100 and 1000 best masks, summed over the ten thresholds 0.5 to 0.95.
    """

    dataset: str
    image: str
    content: str
    objects: int
    masks: int
    matched_50: int
    matched_75: int
    recalled_100: int
    recalled_1000: int


_TABLE = ScoreTable(
    ImageScore,
    {
        "precision_50": lambda score: (score.matched_50, score.masks),
        "recall_50": lambda score: (score.matched_50, score.objects),
        "precision_75": lambda score: (score.matched_75, score.masks),
        "recall_75": lambda score: (score.matched_75, score.objects),
        "ar_100": lambda score: (score.recalled_100, 10 * score.objects),
        "ar_1000": lambda score: (score.recalled_1000, 10 * score.objects),
    },
)


class ImageScoreFile(ScoreFile[ImageScore]):
    """The scores of a folder; see `ScoreFile`."""

    def __init__(self, folder: Path, run: Mapping[str, object]) -> None:
        super().__init__(folder, run, _TABLE)


def read_image_scores(path: Path) -> list[ImageScore]:
    """Read what `ImageScoreFile` wrote; see `read_scores`."""
    return read_scores(path, _TABLE)
