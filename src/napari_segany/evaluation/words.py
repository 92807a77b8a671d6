"""Whether words find what they name: each object of an image asked for by its name, and by the names of the others.

The wrong words are the baseline: a model that answers with any object, or with the most conspicuous one, gives the
same to both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.predictor import Predictor
from napari_segany.evaluation.metrics import Interval, intersection_over_union, mean_interval


class Words(Protocol):
    """What turns words into embeddings, as `Clip` does."""

    def words(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (N, D) embeddings of N texts."""


@dataclass(frozen=True)
class WordScore:
    """How well words find the objects of one image; means over its objects.

    Attributes
    ----------
    objects : int
        How many there are.
    right : float
        IoU of each object with the mask that its own name gives.
    wrong : float
        IoU of each object with the masks that the names of the others give.
    found : float
        Share of names whose mask shares more with their own object than with any other.
    """

    objects: int
    right: float
    wrong: float
    found: float


@dataclass(frozen=True)
class WordSummary:
    """Means over images, each with its 95 % bootstrap interval.

    Attributes
    ----------
    right, wrong, found : Interval
        Of the scores.
    gain : Interval
        Right minus wrong, image by image.
    chance : float
        What `found` would be of names that mean nothing.
    """

    right: Interval
    wrong: Interval
    gain: Interval
    found: Interval
    chance: float


def word_score(
    predictor: Predictor,
    clip: Words,
    image: NDArray[Any],
    masks: NDArray[np.bool_],
    names: Sequence[str],
    points: NDArray[np.float64] | None = None,
) -> WordScore:
    """Ask for every object of an image by every name.

    Parameters
    ----------
    predictor : Predictor
        With a model that takes words.
    clip : Words
        The CLIP that it was trained with.
    image : numpy.ndarray
        (H, W) or (H, W, 3).
    masks : numpy.ndarray
        (N, H, W) bool, two objects or more.
    names : sequence of str
        Of the N objects.
    points : numpy.ndarray, optional
        (N, 2) a point (row, col) on each object, which goes with its name.

    Raises
    ------
    ValueError
        For less than two objects, or another number of names.
    """
    if len(masks) < 2 or len(masks) != len(names):
        raise ValueError(f"there are {len(masks)} objects and {len(names)} names; give two or more, a name for each")
    clicks = None if points is None else points[:, None]
    embedding = predictor.encode(image)
    answers = predictor.predict(embedding, points=clicks, text=clip.words(names), multimask=False).masks[:, 0]
    overlaps = intersection_over_union(answers[:, None], masks[None])  # (names, objects)
    own = np.eye(len(masks), dtype=bool)
    others = np.where(own, -1.0, overlaps).max(axis=1)
    return WordScore(
        objects=len(masks),
        right=float(overlaps[own].mean()),
        wrong=float(overlaps[~own].mean()),
        found=float((overlaps[own] > others).mean()),
    )


def summarise_words(scores: Sequence[WordScore], seed: int = 0) -> WordSummary:
    """Return means over images; `seed` is that of the intervals."""
    columns = {name: [getattr(score, name) for score in scores] for name in ("right", "wrong", "found")}
    gains = np.subtract(columns["right"], columns["wrong"])
    return WordSummary(
        right=mean_interval(columns["right"], seed),
        wrong=mean_interval(columns["wrong"], seed),
        gain=mean_interval(gains, seed),
        found=mean_interval(columns["found"], seed),
        chance=float(np.mean([1 / score.objects for score in scores])),
    )
