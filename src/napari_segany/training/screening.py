"""Which annotated images can be trained on, and a sentence for each that cannot. Knows no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_segany.engine.progress import Progress, Steps
from napari_segany.evaluation.data import Sample


@dataclass(frozen=True)
class Screening:
    """What a data set is good for.

    Attributes
    ----------
    samples : tuple of Sample
        Those with a readable image and at least one object.
    skipped : tuple of str
        Why each of the others is left out.
    """

    samples: tuple[Sample, ...]
    skipped: tuple[str, ...]


def screen(samples: Sequence[Sample]) -> Steps[Screening]:
    """Read every image and label image once.

    Returns
    -------
    Screening
        What can be used.

    Raises
    ------
    ValueError
        If there are samples and none can be used; it gives the first reason.
    """
    usable: list[Sample] = []
    skipped: list[str] = []
    for number, sample in enumerate(samples):
        yield Progress(number, len(samples), "Looking through the images")
        try:
            _, labels = sample.read()
        except (ValueError, OSError) as error:
            skipped.append(f"{sample.dataset}/{sample.name}: {error}")
            continue
        if labels.any():
            usable.append(sample)
        else:
            skipped.append(f"{sample.dataset}/{sample.name}: the label image has no objects (all of it is 0)")
    if samples and not usable:
        raise ValueError(f"none of the {len(samples)} images can be trained on; the first: {skipped[0]}")
    return Screening(tuple(usable), tuple(skipped))
