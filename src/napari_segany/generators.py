"""Driving work that is a generator: it yields how far it is and returns its result. Knows no other module of ours.

`engine/progress.py` says what is yielded above `model`, and hands these functions on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import TypeVar

Item = TypeVar("Item")
Label = TypeVar("Label")
Result = TypeVar("Result")


def drain(steps: Generator[Item, None, Result], report: Callable[[Item], object] | None = None) -> Result:
    """Run a generator to its end and return its result.

    Parameters
    ----------
    steps : generator
        The work.
    report : callable, optional
        Receives everything that is yielded; an exception it raises closes the work and goes on to the caller.
    """
    results: list[Result] = []
    with closing(_into(results, steps)) as running:
        for item in running:
            if report is not None:
                report(item)
    return results[0]


def relabelled(
    steps: Generator[Item, None, Result], label: Callable[[Item], Label]
) -> Generator[Label, None, Result]:
    """Run work within other work: every step reports what `label` makes of it, and the result is handed on.

    Parameters
    ----------
    steps : generator
        The inner work; closing the outer one closes it.
    label : callable
        Makes what the outer work yields from what the inner work yields.
    """
    results: list[Result] = []
    with closing(_into(results, steps)) as running:
        for item in running:
            yield label(item)
    return results[0]


def _into(results: list[Result], steps: Generator[Item, None, Result]) -> Generator[Item, None, None]:
    """Run work and append what it returns, which a `for` loop does not give."""
    results.append((yield from steps))
