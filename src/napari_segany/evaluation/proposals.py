"""The protocol for object proposals: how many objects are among the best 10, 100 and 1000 masks of an image.

Kirillov et al. 2023 (arXiv:2304.02643), section 7.3 and appendix D.3: 64 x 64 points, NMS at 0.9, masks ranked by the
mean of predicted IoU and stability score. Average recall is COCO's (Lin et al. 2014,
doi:10.1007/978-3-319-10602-1_48): over IoU 0.5 to 0.95, and by the area of objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.progress import Steps
from napari_segany.evaluation.everything import MaskGenerator
from napari_segany.evaluation.image_loop import ImageScores, Measurable, measured_images
from napari_segany.evaluation.matching import recalled
from napari_segany.evaluation.objects import KnownObjects, ObjectImage
from napari_segany.evaluation.score_file import ScoreFile, ScoreTable
from napari_segany.formats.record import MaskRecord

BUDGETS = (10, 100, 1000)
"""Numbers of masks."""

SIZES: Mapping[str, tuple[float, float]] = {
    "all": (0, np.inf),
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, np.inf),
}
"""Areas in pixels, both ends included, as COCO has them: an object on a border counts twice."""

PUBLISHED_NOTE = (
    "Published, SAM ViT-H, LVIS v1 (Kirillov et al. 2023, arXiv:2304.02643, table 4): AR@1000 0.593; small 0.455, "
    "medium 0.816, large 0.869; frequent 0.591, common 0.639, rare 0.658. With a single mask for each point 0.549."
)


@dataclass(frozen=True)
class ProposalScore:
    """Counts of one image.

    Attributes
    ----------
    dataset, image : str
        Where it is.
    content : str
        Digest of its files.
    masks : int
        Proposals.
    objects : tuple of int
        (4 + G,) objects of each of `SIZES`, and of each of G groups of categories.
    recalled : tuple of int
        (12 + 3G,) objects found, summed over ten thresholds: for each of these with each of `BUDGETS`.
    """

    dataset: str
    image: str
    content: str
    masks: int
    objects: tuple[int, ...]
    recalled: tuple[int, ...]


_TABLE: ScoreTable[ProposalScore] = ScoreTable(ProposalScore, {})


class ProposalScoreFile(ScoreFile[ProposalScore]):
    """The scores of a folder; see `ScoreFile`."""

    def __init__(self, folder: Path, run: Mapping[str, object]) -> None:
        super().__init__(folder, run, _TABLE)


def proposal_settings(points_per_side: int = 64, box_nms_thresh: float = 0.9) -> AutomaticSettings:
    """Return what is asked for proposals: every mask counts, the best ones first."""
    return AutomaticSettings(
        points_per_side=points_per_side,
        pred_iou_thresh=0.0,
        stability_score_thresh=0.0,
        box_nms_thresh=box_nms_thresh,
        max_mask_area_fraction=None,
        ranking="mean",
    )


def by_mean_score(records: Sequence[MaskRecord], count: int = BUDGETS[-1]) -> list[MaskRecord]:
    """Return the best masks by the mean of predicted IoU and stability score, at most `count`."""
    ranked = sorted(records, key=lambda one: -((one.predicted_iou or 0.0) + (one.stability_score or 0.0)))
    return ranked[:count]


def proposals(
    images: Sequence[ObjectImage],
    generator: MaskGenerator,
    groups: Sequence[str] = (),
    *,
    known: Mapping[tuple[str, str], ProposalScore] | None = None,
    receive: Callable[[ProposalScore], None] | None = None,
) -> Steps[ImageScores[ProposalScore]]:
    """Propose masks for annotated images and count the objects among them.

    Parameters
    ----------
    images : sequence of ObjectImage
        The images.
    generator : MaskGenerator
        The model with its settings; see `proposal_settings`.
    groups : sequence of str
        Groups of categories that are counted by themselves.
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

    def measure(image: ObjectImage, content: tuple[NDArray[Any], KnownObjects]) -> Steps[ProposalScore]:
        pixels, objects = content
        records = yield from generator.run(pixels)
        return proposal_score(image, records, objects, groups)

    def read(image: ObjectImage) -> tuple[NDArray[Any], KnownObjects]:
        return image.read_objects()

    return (yield from measured_images(images, read, measure, known=known, receive=receive))


def proposal_score(
    image: Measurable, records: Sequence[MaskRecord], objects: KnownObjects, groups: Sequence[str] = ()
) -> ProposalScore:
    """Compare the masks of an image with its objects; `groups` are groups of their categories."""
    ranked = by_mean_score(records)
    iou, areas = objects.overlaps(ranked), objects.areas
    # A mask prefers an object of those in question to all others, so these alone tell the recall.
    members = [(areas >= low) & (areas <= high) for low, high in SIZES.values()]
    members += [np.array([own == group for own in objects.groups], bool) for group in groups]
    return ProposalScore(
        image.dataset,
        image.name,
        image.content_digest(),
        len(ranked),
        tuple(int(own.sum()) for own in members),
        tuple(recalled(iou[:, own], budget) for own in members for budget in BUDGETS),
    )


def average_recall(scores: Sequence[ProposalScore], groups: Sequence[str] = ()) -> dict[str, float]:
    """Return the average recall of a set of images by "AR@N size" or "AR@N group"; NaN where there are no objects."""
    names = (*SIZES, *groups)
    objects = np.array([score.objects for score in scores]).reshape(-1, len(names)).sum(axis=0)
    counts = np.array([score.recalled for score in scores]).reshape(-1, len(names), len(BUDGETS)).sum(axis=0)
    return {
        f"AR@{budget} {name}": float(counts[row, column] / (10 * objects[row])) if objects[row] else float("nan")
        for column, budget in enumerate(BUDGETS)
        for row, name in enumerate(names)
    }
