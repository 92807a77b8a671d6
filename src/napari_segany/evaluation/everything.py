"""The protocol for "segment everything": how many of an image's objects are found, and how many masks are objects.

Masks and objects are paired as in COCO's evaluation (see `matching`); average recall is that of object proposals, as
the SAM paper measures it (Kirillov et al. 2023, arXiv:2304.02643, section 7.3). Every generator of masks serves that
runs as `engine.automatic.AutomaticMaskGenerator` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.evaluation.data import Sample
from napari_segany.evaluation.image_scores import ImageScore
from napari_segany.evaluation.matching import matches, overlaps, ranked, recalled
from napari_segany.evaluation.score_file import content_digest, unchanged
from napari_segany.formats.record import MaskRecord


class MaskGenerator(Protocol):
    """What the protocol asks of a model."""

    def run(self, image: ArrayLike) -> Steps[list[MaskRecord]]:
        """Segment everything in an image, (H, W) or (H, W, C)."""


@dataclass(frozen=True)
class EverythingScores:
    """What was measured.

    Attributes
    ----------
    scores : tuple of ImageScore
        In the order of the samples.
    skipped : tuple of str
        One sentence for each image that cannot be measured.
    """

    scores: tuple[ImageScore, ...]
    skipped: tuple[str, ...]


def everything(
    samples: Sequence[Sample],
    generator: MaskGenerator,
    *,
    known: Mapping[tuple[str, str], ImageScore] | None = None,
    receive: Callable[[ImageScore], None] | None = None,
) -> Steps[EverythingScores]:
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
    EverythingScores
        Images that cannot be read are among its `skipped`.
    """
    scores: list[ImageScore] = []
    skipped: list[str] = []
    for done, sample in enumerate(samples):
        here = Progress(done, len(samples), f"{sample.dataset}/{sample.name}")
        yield here
        try:
            score = unchanged(sample, known or {})
            image, labels = sample.read() if score is None else (None, None)
        except (ValueError, OSError) as error:
            skipped.append(f"{here.note}: {error}")
            continue
        if image is not None and labels is not None:
            records = yield from _masks(generator, image, here)
            score = image_score(sample, content_digest(sample), records, labels)
        if score is not None:
            scores.append(score)
            if receive is not None:
                receive(score)
    yield Progress(len(samples), len(samples), "All images are measured")
    return EverythingScores(tuple(scores), tuple(skipped))


def _masks(generator: MaskGenerator, image: NDArray[Any], here: Progress) -> Steps[list[MaskRecord]]:
    """Segment everything in one image; the progress stays that of the images, the note tells what is done."""
    steps = generator.run(image)
    return (yield from relabelled(steps, lambda inner: Progress(here.done, here.total, f"{here.note}: {inner.note}")))


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
