"""Two ways to the same result, measured in turn: medians, ratios with intervals, and how far the results differ."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

Work = Callable[[], Sequence[Tensor]]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    name : str
        What was measured.
    plain, ours : float
        Median seconds.
    ratio : float
        Median of the ratios of neighbouring measurements.
    interval : tuple of float
        Its 95 % bootstrap interval; the smallest and the largest ratio for fewer than five rounds.
    difference : float or None
        Largest difference of the results over their largest value.
    """

    name: str
    plain: float
    ours: float
    ratio: float
    interval: tuple[float, float]
    difference: float | None

    def __str__(self) -> str:
        difference = "" if self.difference is None else f"{self.difference:.1e}"
        low, high = self.interval
        return (
            f"| {self.name} | {duration(self.plain)} | {duration(self.ours)} | {self.ratio:.1f}x "
            f"({low:.1f} to {high:.1f}) | {difference} |"
        )


HEAD = (
    "| what | published order | here | ratio (95 % interval) | largest relative difference |\n|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Stopwatch:
    """How often, and by which clock.

    Attributes
    ----------
    rounds : int
        Measurements of each work, after one that only warms up.
    clock : callable
        `time.perf_counter`, or on a busy machine `time.process_time`, with one thread.
    """

    rounds: int = 5
    clock: Callable[[], float] = time.perf_counter

    def seconds(self, work: Work, repeat: int) -> float:
        """Return the mean seconds of some calls."""
        start = self.clock()
        for _ in range(repeat):
            work()
        return (self.clock() - start) / repeat


def compare(name: str, plain: Work, ours: Work, watch: Stopwatch, *, repeat: int = 1, same: bool = True) -> Row:
    """Measure two works in turn, so that the load of the machine falls on both.

    Parameters
    ----------
    name : str
        What is measured.
    plain, ours : callable
        The works; their results are compared where they are the same.
    watch : Stopwatch
        Measures.
    repeat : int
        Calls of the quicker one for each call of the other; their mean counts.
    same : bool
        Whether the results are meant to be equal.
    """
    expected, found = plain(), ours()
    difference = max(relative(a, b) for a, b in zip(found, expected, strict=True)) if same else None
    del expected, found
    pairs = [(watch.seconds(plain, 1), watch.seconds(ours, repeat)) for _ in range(watch.rounds)]
    ratios = [first / second for first, second in pairs]
    first, second = (statistics.median(column) for column in zip(*pairs, strict=True))
    return Row(name, first, second, statistics.median(ratios), interval(ratios), difference)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the median, or the range of fewer than five values."""
    if len(values) < 5:
        return min(values), max(values)
    draws = np.random.default_rng(0).choice(values, (10_000, len(values)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    return float(low), float(high)


def relative(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference over the largest value."""
    return float((found.float() - expected.float()).abs().max() / expected.float().abs().max())


def duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.1f} ms"
