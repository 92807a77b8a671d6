"""How well edges agree with people's, as counts of each image and as the numbers of the BSDS500 benchmark.

Arbelaez et al. 2011 (doi:10.1109/TPAMI.2010.161): ODS and OIS are the best F-measures with one threshold for all
images and with one for each image, AP is the area under the curve of precision over recall, R50 the recall at 50 %
precision. Knows no images and no models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.evaluation.metrics import Interval
from napari_segany.evaluation.score_file import ScoreFile, ScoreTable, read_scores

REPEATS = 1000
_BETWEEN = np.linspace(0, 1, 101)[:, None]  # steps from one threshold to the next, as the benchmark interpolates
_RECALLS = np.linspace(0, 1, 101)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class EdgeScore:
    """Counts of one image, T thresholds.

    Attributes
    ----------
    dataset, image : str
        Where it is.
    content : str
        Digest of its files.
    annotators, truth : int
        How many people drew boundaries, and the pixels of all of them.
    edges, correct, found : tuple of int
        (T,) pixels of the edges; those paired with a pixel of at least one person; pixels of people that are paired.
    """

    dataset: str
    image: str
    content: str
    annotators: int
    truth: int
    edges: tuple[int, ...]
    correct: tuple[int, ...]
    found: tuple[int, ...]


_TABLE: ScoreTable[EdgeScore] = ScoreTable(EdgeScore, {})


class EdgeScoreFile(ScoreFile[EdgeScore]):
    """The scores of a folder; see `ScoreFile`."""

    def __init__(self, folder: Path, run: dict[str, object]) -> None:
        super().__init__(folder, run, _TABLE)


def read_edge_scores(path: Path) -> list[EdgeScore]:
    """Read what `EdgeScoreFile` wrote; see `read_scores`."""
    return read_scores(path, _TABLE)


@dataclass(frozen=True, eq=False)
class EdgeMeasures:
    """The benchmark's numbers of a set of images.

    Attributes
    ----------
    ods, ois, ap, r50 : float
        0 to 1.
    threshold : float
        That of ODS.
    precision, recall : numpy.ndarray
        (T,) the curve, by rising threshold.
    """

    ods: float
    ois: float
    ap: float
    r50: float
    threshold: float
    precision: Floats
    recall: Floats


def levels(count: int) -> Floats:
    """Return (count,) thresholds that part 0 to 1 evenly, both ends left out, as the benchmark has them."""
    return np.linspace(1 / (count + 1), 1 - 1 / (count + 1), count)


def measure_edges(scores: Sequence[EdgeScore]) -> EdgeMeasures:
    """Compute the benchmark's numbers.

    Raises
    ------
    ValueError
        Without scores, or for scores of different numbers of thresholds.
    """
    counts = _counts(scores)
    return _measures(counts.sum(axis=0), counts[np.arange(len(counts)), _best_levels(counts)].sum(axis=0))


def edge_intervals(scores: Sequence[EdgeScore], seed: int = 0) -> dict[str, Interval]:
    """Return ods, ois, ap and r50 with their 95 % bootstrap intervals over images."""
    counts = _counts(scores)
    best = counts[np.arange(len(counts)), _best_levels(counts)]
    here = _measures(counts.sum(axis=0), best.sum(axis=0))
    share = np.full(len(counts), 1 / len(counts))
    drawn = np.random.default_rng(seed).multinomial(len(counts), share, size=REPEATS)
    repeats = [_measures(np.tensordot(weights, counts, axes=1), weights @ best) for weights in drawn]
    return {name: _interval(name, here, repeats) for name in ("ods", "ois", "ap", "r50")}


def _interval(name: str, here: EdgeMeasures, repeats: Sequence[EdgeMeasures]) -> Interval:
    low, high = np.quantile([getattr(repeat, name) for repeat in repeats], (0.025, 0.975))
    return Interval(float(getattr(here, name)), float(low), float(high))


def _counts(scores: Sequence[EdgeScore]) -> NDArray[np.int64]:
    """Return (images, T, 4): edges, correct, found, truth."""
    if not scores:
        raise ValueError("there are no scores of images to measure")
    if len({len(score.edges) for score in scores}) > 1:
        raise ValueError("the scores are of different numbers of thresholds; measure all images with the same")
    return np.array(
        [
            np.stack([score.edges, score.correct, score.found, np.full(len(score.edges), score.truth)], axis=-1)
            for score in scores
        ],
        np.int64,
    )


def _curve(counts: NDArray[Any]) -> tuple[Floats, Floats]:
    """Return precision and recall of (..., 4) counts; 0 where there is nothing to divide by."""
    edges, correct, found, truth = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    return correct / np.maximum(edges, 1), found / np.maximum(truth, 1)


def _f_measure(precision: Floats, recall: Floats) -> Floats:
    total = precision + recall
    result: Floats = 2 * precision * recall / np.where(total > 0, total, 1)
    return result


def _best_levels(counts: NDArray[np.int64]) -> NDArray[np.intp]:
    return _f_measure(*_curve(counts)).argmax(axis=1)


def _measures(total: NDArray[Any], at_best: NDArray[Any]) -> EdgeMeasures:
    """From (T, 4) sums over images, and (4,) sums at the best threshold of each image."""
    precision, recall = _curve(total)
    ods, threshold = _best_between(precision, recall)
    ois = float(_f_measure(*_curve(at_best)))
    return EdgeMeasures(
        ods, ois, _area(precision, recall), _recall_at_half(precision, recall), threshold, precision, recall
    )


def _best_between(precision: Floats, recall: Floats) -> tuple[float, float]:
    """Return the best F-measure on the lines between the points of the curve, and its threshold."""
    thresholds = levels(len(precision))
    if len(precision) == 1:
        return float(_f_measure(precision, recall)[0]), float(thresholds[0])

    def between(values: Floats) -> Floats:
        return values[:-1] * (1 - _BETWEEN) + values[1:] * _BETWEEN  # (steps, T - 1)

    f = _f_measure(between(precision), between(recall))
    best = np.unravel_index(int(f.argmax()), f.shape)
    return float(f[best]), float(between(thresholds)[best])


def _area(precision: Floats, recall: Floats) -> float:
    """Return the area under the curve where it is known; recalls that no threshold reaches count nothing."""
    known, first = np.unique(recall, return_index=True)
    if len(known) < 2:
        return 0.0
    heights = np.interp(_RECALLS, known, precision[first], left=0.0, right=0.0)
    return float(heights.sum() * 0.01)


def _recall_at_half(precision: Floats, recall: Floats) -> float:
    """Return the highest recall on the curve with a precision of at least 0.5; 0 where there is none."""
    reached = [0.0, *recall[precision >= 0.5].tolist()]
    for low, high in zip(range(len(precision) - 1), range(1, len(precision)), strict=True):
        rise = precision[high] - precision[low]
        if (precision[low] < 0.5) != (precision[high] < 0.5):
            share = (0.5 - precision[low]) / rise
            reached.append(float(recall[low] + share * (recall[high] - recall[low])))
    return max(reached)
