"""How long work reports itself: a generator of `Progress` that returns its result."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from napari_segany.generators import drain, relabelled

__all__ = ["Progress", "Steps", "drain", "relabelled"]

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
