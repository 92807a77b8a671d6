"""The protocol for "segment everything": how many of an image's objects are found, and how many masks are objects.

Masks and objects are paired as in COCO's evaluation (see `matching`); average recall is that of object proposals, as
the SAM paper measures it (Kirillov et al. 2023, arXiv:2304.02643, section 7.3). Every generator of masks serves that
runs as `engine.automatic.AutomaticMaskGenerator` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_segany.engine.progress import Steps
from napari_segany.evaluation.data import Sample
from napari_segany.evaluation.image_loop import ImageScores, measured_images
from napari_segany.evaluation.image_scores import ImageScore
from napari_segany.evaluation.matching import matches, overlaps, ranked, recalled
from napari_segany.formats.record import MaskRecord


class MaskGenerator(Protocol):
    """What the protocol asks of a model."""

    def run(self, image: ArrayLike) -> Steps[list[MaskRecord]]:
        """Segment everything in an image, (H, W) or (H, W, C)."""


def everything(
    samples: Sequence[Sample],
    generator: MaskGenerator,
    *,
    known: Mapping[tuple[str, str], ImageScore] | None = None,
    receive: Callable[[ImageScore], None] | None = None,
) -> Steps[ImageScores[ImageScore]]:
    """Segment everything in annotated images and count what was found.

    Parameters
    ----------
    samples : sequence of Sample
        The images.
    generator : MaskGenerator
        The model with its settings.
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

    def measure(sample: Sample, content: tuple[NDArray[Any], NDArray[np.integer[Any]]]) -> Steps[ImageScore]:
        image, labels = content
        records = yield from generator.run(image)
        return image_score(sample, sample.content_digest(), records, labels)

    return (yield from measured_images(samples, Sample.read, measure, known=known, receive=receive))


def image_score(
    sample: Sample, content: str, records: Sequence[MaskRecord], labels: NDArray[np.integer[Any]]
) -> ImageScore:
    """Compare the masks of an image with its (H, W) labels, 0 background."""
    iou = overlaps(ranked(records), labels)
    return ImageScore(
        dataset=sample.dataset,
        image=sample.name,
        content=content,
        objects=iou.shape[1],
        masks=len(records),
        matched_50=matches(iou, 0.5),
        matched_75=matches(iou, 0.75),
        recalled_100=recalled(iou, 100),
        recalled_1000=recalled(iou, 1000),
    )
