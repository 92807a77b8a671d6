"""How long work reports itself: a generator of `Progress` that returns its result."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

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
    try:
        while True:
            try:
                progress = next(steps)
            except StopIteration as end:
                result: Result = end.value
                return result
            if report is not None:
                report(progress)
    finally:
        steps.close()
