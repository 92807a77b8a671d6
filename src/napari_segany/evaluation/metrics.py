"""Numbers of an evaluation: IoU, bootstrap intervals, calibration. Arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

BOOTSTRAP_REPEATS = 2000

Counts = NDArray[np.int64]
"""(n, 2) numerators and denominators, one row for each image."""


@dataclass(frozen=True)
class Interval:
    """A mean and the interval that holds it with the given probability.

    Attributes
    ----------
    mean, low, high : float
        NaN where there was nothing to average.
    """

    mean: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the distance between the ends."""
        return (self.high - self.low) / 2


@dataclass(frozen=True, eq=False)
class Calibration:
    """How well predicted IoU tells true IoU (expected calibration error, Guo et al. 2017, arXiv:1706.04599).

    Attributes
    ----------
    error : float
        Mean over bins of |mean predicted - mean true|, weighted by how many masks a bin holds.
    absolute_error : float
        Mean over masks of |predicted - true|; never less than `error`, where over- and underestimates cancel.
    edges : numpy.ndarray
        (K + 1,) edges of the bins of predicted IoU.
    predicted, true : numpy.ndarray
        (K,) means within each bin, NaN where it is empty: the reliability curve.
    counts : numpy.ndarray
        (K,) masks in each bin.
    """

    error: float
    absolute_error: float
    edges: NDArray[np.float64]
    predicted: NDArray[np.float64]
    true: NDArray[np.float64]
    counts: NDArray[np.intp]


def intersection_over_union(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union of masks.

    Parameters
    ----------
    first, second : array-like
        (..., H, W) bool; the leading axes broadcast.

    Returns
    -------
    numpy.ndarray
        (...) float64 in 0 to 1. Two empty masks are equal: 1.
    """
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    intersection = _areas(a & b)
    union = np.asarray(_areas(a) + _areas(b) - intersection)
    return np.where(union > 0, intersection / np.maximum(union, 1), 1.0)


def _areas(masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many pixels each of (..., H, W) masks has."""
    # Mask by mask: numpy counts one ten times as fast as many along axes.
    leading = masks.shape[:-2]
    flat = np.ascontiguousarray(masks).reshape(-1, masks.shape[-2] * masks.shape[-1])
    return np.array([np.count_nonzero(one) for one in flat], np.int64).reshape(leading)


def mutual_iou(masks: ArrayLike) -> float:
    """Mean IoU over all pairs of an object's candidate masks; low where the candidates truly differ.

    Parameters
    ----------
    masks : array-like
        (N, H, W) bool, N of 2 or more.
    """
    stack = np.asarray(masks, bool)
    if len(stack) < 2:
        raise ValueError(f"{len(stack)} mask given; two or more are needed to compare them")
    first, second = np.triu_indices(len(stack), k=1)
    return float(intersection_over_union(stack[first], stack[second]).mean())


def bootstrap_means(
    values: ArrayLike, rng: np.random.Generator, repeats: int = BOOTSTRAP_REPEATS
) -> NDArray[np.float64]:
    """Means of `repeats` samples drawn from `values` with replacement, each as large as `values`.

    Returns
    -------
    numpy.ndarray
        (repeats,) float64.
    """
    array = np.asarray(values, float)
    # One repeat at a time: all indices at once would take gigabytes for a data set of a million objects.
    return np.array([array[rng.integers(len(array), size=len(array))].mean() for _ in range(repeats)])


def mean_interval(values: ArrayLike, seed: int = 0, level: float = 0.95) -> Interval:
    """Mean with its percentile bootstrap interval (Efron and Tibshirani 1993, section 13.3).

    Parameters
    ----------
    values : array-like
        (n,) one number per object; NaN means not measured and is left out.
    seed : int
        Seed of the resampling.
    level : float
        Probability that the interval is to hold the mean.
    """
    return dataset_interval([values], seed, level)


def dataset_interval(datasets: Sequence[ArrayLike], seed: int = 0, level: float = 0.95) -> Interval:
    """Mean over data sets of their means over objects, with its two-stage bootstrap interval.

    Each repeat draws data sets with replacement and, within each drawn one, objects with replacement, so that the
    interval tells both how few data sets and how few objects there are.

    Parameters
    ----------
    datasets : sequence of array-like
        One (n,) array per data set; NaN means not measured; data sets with nothing measured are left out.
    seed : int
        Seed of the resampling.
    level : float
        Probability that the interval is to hold the mean.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie between 0 and 1")
    arrays = [np.asarray(values, float) for values in datasets]
    measured = [array[~np.isnan(array)] for array in arrays]
    measured = [array for array in measured if array.size]
    if not measured:
        return Interval(np.nan, np.nan, np.nan)
    rng = np.random.default_rng(seed)
    within = np.stack([bootstrap_means(array, rng) for array in measured])  # (data sets, repeats)
    drawn = rng.integers(len(within), size=within.shape)
    # A data set that is drawn twice must bring two draws of its objects: hence a random column, not the same one.
    repeats = within[drawn, rng.integers(within.shape[1], size=within.shape)].mean(axis=0)
    low, high = np.quantile(repeats, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(np.mean([array.mean() for array in measured])), float(low), float(high))


def ratio_interval(sets: Sequence[Counts], seed: int = 0, level: float = 0.95) -> Interval:
    """Mean over sets of images of a ratio of sums, with its bootstrap interval over images.

    Each repeat draws sets with replacement and, within each drawn one, images with replacement. Images in which there
    is nothing to divide by count all the same, with their numerator 0.

    Parameters
    ----------
    sets : sequence of numpy.ndarray
        (n, 2) numerators and denominators of the images of each set; sets whose denominators are all 0 are left out.
    seed : int
        Seed of the resampling.
    level : float
        Probability that the interval is to hold the mean.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie between 0 and 1")
    measured = [counts for counts in sets if counts[:, 1].sum() > 0]
    if not measured:
        return Interval(np.nan, np.nan, np.nan)
    rng = np.random.default_rng(seed)
    within = np.stack([_ratio_repeats(counts, rng) for counts in measured])  # (sets, repeats)
    drawn = rng.integers(len(within), size=within.shape)
    # A set that is drawn twice must bring two draws of its images: hence a random column, not the same one.
    repeats = within[drawn, rng.integers(within.shape[1], size=within.shape)].mean(axis=0)
    low, high = np.quantile(repeats, [(1 - level) / 2, (1 + level) / 2])
    mean = np.mean([counts[:, 0].sum() / counts[:, 1].sum() for counts in measured])
    return Interval(float(mean), float(low), float(high))


def _ratio_repeats(counts: Counts, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the ratio of resampled images, (repeats,); a repeat of nothing to divide by is drawn from the others."""
    # How often each image is drawn: the same as drawing them, without an array of repeats times images of indices.
    weights = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=BOOTSTRAP_REPEATS)
    parts, wholes = (weights @ counts).T
    ratios = parts[wholes > 0] / wholes[wholes > 0]
    return ratios if len(ratios) == BOOTSTRAP_REPEATS else rng.choice(ratios, BOOTSTRAP_REPEATS)


def calibration(predicted: ArrayLike, true: ArrayLike, bins: int = 10) -> Calibration:
    """Compare predicted IoU with true IoU in bins of equal width.

    Parameters
    ----------
    predicted, true : array-like
        (n,) predicted and true IoU. The model may predict less than 0 or more than 1; such values count in the outer
        bins, unclipped.
    bins : int
        Number of bins from 0 to 1.

    Raises
    ------
    ValueError
        If the lengths differ or there is nothing to compare.
    """
    guess, truth = np.asarray(predicted, float), np.asarray(true, float)
    if guess.shape != truth.shape or guess.ndim != 1 or not guess.size:
        raise ValueError(
            f"predicted IoU has shape {guess.shape} and true IoU {truth.shape}; both must be (n,) with n of 1 or more"
        )
    edges = np.linspace(0, 1, bins + 1)
    index = np.clip(np.searchsorted(edges, guess, side="right") - 1, 0, bins - 1)
    counts = np.bincount(index, minlength=bins)
    filled = np.maximum(counts, 1)
    mean_guess = np.where(counts > 0, np.bincount(index, guess, bins) / filled, np.nan)
    mean_truth = np.where(counts > 0, np.bincount(index, truth, bins) / filled, np.nan)
    error = float(np.nansum(counts * np.abs(mean_guess - mean_truth)) / guess.size)
    return Calibration(error, float(np.abs(guess - truth).mean()), edges, mean_guess, mean_truth, counts)
