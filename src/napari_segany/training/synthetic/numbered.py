"""Drawn scenes by their numbers: what is common to them as annotated images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class NumberedScene:
    """What a drawn scene follows from, and what it is called.

    Attributes
    ----------
    seed, number : int
        What the scene follows from.
    size : int
        Its side, in pixels.
    """

    seed: int
    number: int
    size: int

    @property
    def name(self) -> str:
        """Its number."""
        return str(self.number)

    @property
    def metadata(self) -> Mapping[str, str]:
        """Nothing."""
        return {}
