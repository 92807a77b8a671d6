"""How long work reports itself: a generator of `Progress` that returns its result."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Progress:
    """One step of long work.

    Attributes
    ----------
    done : int
        Units finished, 0 to `total`.
    total : int
        Units in all; 0 while it is not known.
    note : str
        What is being done, in words for a user ("Computing the image embedding").
    """

    done: int
    total: int
    note: str = ""

    @property
    def may_be_skipped(self) -> bool:
        """Whether it tells how far the work is and nothing else, so that a later one makes up for it."""
        return type(self) is Progress


Steps = Generator[Progress, None, Result]


def drain(steps: Steps[Result], report: Callable[[Progress], None] | None = None) -> Result:
    """Run a generator of progress to its end and return its result.

    Parameters
    ----------
    steps : generator of Progress
        The work.
    report : callable, optional
        Receives every `Progress`; an exception it raises closes the work and goes on to the caller.
    """
    results: list[Result] = []
    with closing(_into(results, steps)) as running:
        for progress in running:
            if report is not None:
                report(progress)
    return results[0]


def relabelled(steps: Generator[Item, None, Result], label: Callable[[Item], Progress]) -> Steps[Result]:
    """Run work within other work: every step reports what `label` makes of it, and the result is handed on.

    Parameters
    ----------
    steps : generator
        The inner work; closing the outer one closes it.
    label : callable
        Makes the progress of the outer work from what the inner work yields.
    """
    results: list[Result] = []
    with closing(_into(results, steps)) as running:
        for item in running:
            yield label(item)
    return results[0]


def _into(results: list[Result], steps: Generator[Item, None, Result]) -> Generator[Item, None, None]:
    """Run work and append what it returns, which a `for` loop does not give."""
    results.append((yield from steps))
