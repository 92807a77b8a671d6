"""What there is to see of the slices of a stack, as a value. Knows neither napari nor Qt."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SliceMarks:
    """What there is to see of the slices of a stack.

    Attributes
    ----------
    ready : tuple of bool
        Of each slice, whether a click on it is answered at once.
    prompted : tuple of int
        Slices with prompts that are not accepted.
    here : int or None
        The shown one.
    """

    ready: tuple[bool, ...] = ()
    prompted: tuple[int, ...] = ()
    here: int | None = None
