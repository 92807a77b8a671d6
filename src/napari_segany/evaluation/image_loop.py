"""One image after the other, for every protocol of whole images: read, measured, kept, gone on with.

Knows neither what is measured nor what is read of an image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.evaluation.score_file import Score


class Measurable(Protocol):
    """An image that can be measured: its place, and a digest of all that its score depends on."""

    @property
    def dataset(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    def content_digest(self) -> str: ...  # noqa: D102


Image = TypeVar("Image", bound=Measurable)
Content = TypeVar("Content")


@dataclass(frozen=True)
class ImageScores(Generic[Score]):
    """What was measured.

    Attributes
    ----------
    scores : tuple
        In the order of the images.
    skipped : tuple of str
        One sentence for each image that cannot be read.
    """

    scores: tuple[Score, ...]
    skipped: tuple[str, ...]


def measured_images(
    images: Sequence[Image],
    read: Callable[[Image], Content],
    measure: Callable[[Image, Content], Steps[Score]],
    *,
    known: Mapping[tuple[str, str], Score] | None = None,
    receive: Callable[[Score], None] | None = None,
) -> Steps[ImageScores[Score]]:
    """Measure images one after the other.

    Parameters
    ----------
    images : sequence
        The images.
    read : callable
        Reads one; an image for which it raises ValueError or OSError is skipped.
    measure : callable
        Makes the score of an image of what was read.
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
    scores: list[Score] = []
    skipped: list[str] = []
    for done, image in enumerate(images):
        here = Progress(done, len(images), f"{image.dataset}/{image.name}")
        yield here
        try:
            score = _unchanged(image, known or {})
            content = read(image) if score is None else None
        except (ValueError, OSError) as error:
            skipped.append(f"{here.note}: {error}")
            continue
        if score is None and content is not None:
            steps = measure(image, content)
            score = yield from relabelled(steps, lambda inner, here=here: _within(here, inner))  # type: ignore[misc]
        if score is not None:
            scores.append(score)
            if receive is not None:
                receive(score)
    yield Progress(len(images), len(images), "All images are measured")
    return ImageScores(tuple(scores), tuple(skipped))


def _unchanged(image: Measurable, known: Mapping[tuple[str, str], Score]) -> Score | None:
    """Return the score of an earlier run, if the files are still those that it is of."""
    score = known.get((image.dataset, image.name))
    return score if score is not None and score.content == image.content_digest() else None


def _within(outer: Progress, inner: Progress) -> Progress:
    return Progress(outer.done, outer.total, f"{outer.note}: {inner.note}")
