"""What happened, as steps that can be undone and done again. Knows neither napari nor Qt, nor what the steps change.

A change is a frozen value that holds what to put back. Putting it back returns the change that leads the other way,
made from what was really there: undo and redo are the same move, and nothing is described twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from napari_segany.widgets.geometry import Plane

P = TypeVar("P")
P_contra = TypeVar("P_contra", contravariant=True)

DEFAULT_LIMIT = 256 * 1024**2
"""Bytes of steps to keep, for one image."""


class Change(Protocol[P_contra]):
    """Something to put back in a place `P`."""

    @property
    def nbytes(self) -> int:
        """Memory that it takes, in bytes."""

    def swap(self, place: P_contra) -> Change[P_contra]:
        """Put it back, and return what puts back what was there before."""


@dataclass(frozen=True, eq=False)
class Step(Generic[P]):
    """What people undo at once.

    Attributes
    ----------
    title : str
        What was done, for people: "accept object 3".
    plane : Plane or None
        Where it was done, so that it can be shown.
    changes : tuple of Change
        What to put back, in the order in which it was changed.
    """

    title: str
    plane: Plane | None
    changes: tuple[Change[P], ...]

    @property
    def nbytes(self) -> int:
        """Memory that the step takes, in bytes."""
        return sum(change.nbytes for change in self.changes)

    def swap(self, place: P) -> Step[P]:
        """Put everything back, the last change first, and return the step that leads the other way."""
        return replace(self, changes=tuple(change.swap(place) for change in reversed(self.changes)))


class History(Generic[P]):
    """Steps in the order in which they were made, and those that were undone.

    Parameters
    ----------
    limit : int
        Bytes to keep. The oldest steps beyond can no longer be undone; what they did stays as it is.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._limit = limit
        self._done: list[Step[P]] = []
        self._undone: list[Step[P]] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone step."""
        return bool(self._undone)

    @property
    def next_undo(self) -> Step[P] | None:
        """The step that `undo` would undo."""
        return self._done[-1] if self._done else None

    @property
    def next_redo(self) -> Step[P] | None:
        """The step that `redo` would do again."""
        return self._undone[-1] if self._undone else None

    def push(self, step: Step[P]) -> None:
        """Add what was just done; steps that were undone can no longer be done again."""
        self._undone.clear()
        self._done.append(step)
        self._shorten()

    def replace(self, step: Step[P], other: Step[P]) -> bool:
        """Put another step in the place of one that can be undone; return whether that one is there."""
        for index, known in enumerate(self._done):
            if known is step:
                self._done[index] = other
                self._shorten()
                return True
        return False

    def undo(self, place: P) -> Step[P] | None:
        """Undo the last step and return it; None if there is none."""
        return _move(self._done, self._undone, lambda step: step.swap(place))

    def redo(self, place: P) -> Step[P] | None:
        """Do the step again that was undone last, and return it; None if there is none."""
        return _move(self._undone, self._done, lambda step: step.swap(place))

    def clear(self) -> None:
        """Forget all steps."""
        self._done.clear()
        self._undone.clear()

    def _shorten(self) -> None:
        sizes = [step.nbytes for step in self._done]
        total = sum(sizes)
        gone = 0
        while total > self._limit and gone < len(sizes) - 1:  # the last step can always be undone
            total -= sizes[gone]
            gone += 1
        del self._done[:gone]


def _move(source: list[Step[P]], target: list[Step[P]], swap: Callable[[Step[P]], Step[P]]) -> Step[P] | None:
    if not source:
        return None
    step = source.pop()
    target.append(swap(step))
    return step
