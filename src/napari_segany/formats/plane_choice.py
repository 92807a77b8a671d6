"""Which plane of a stack is meant: a position on each axis that is neither rows nor columns. Knows no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PlaneChoice:
    """A plane of a stack, by the names of its axes.

    Attributes
    ----------
    places : tuple of (str, int)
        Names of axes, as "z", "c" or "t", with a position on each, from 0. The name "" stands for the only axis that
        is longer than 1.
    """

    places: tuple[tuple[str, int], ...]

    @classmethod
    def from_text(cls, text: str) -> PlaneChoice:
        """Return what a user wrote: "c=1", "z=3,c=0", or "3" for the only axis.

        Raises
        ------
        ValueError
            For something else.
        """
        places = []
        for part in text.split(","):
            name, _, number = part.rpartition("=")
            try:
                places.append((name.strip().lower(), int(number)))
            except ValueError:
                places.append(("", -1))
        names = [name for name, _ in places]
        if (
            min(number for _, number in places) < 0
            or len(set(names)) < len(names)
            or ("" in names and len(names) > 1)
        ):
            raise ValueError(
                f"{text!r} is no plane; give positions from 0, as in c=1 or z=3,c=0, or one number alone"
            )
        return cls(tuple(places))

    @property
    def suffix(self) -> str:
        """What is added to the name of an image for it: "_z3_c0"."""
        return "".join(f"_{name or 'plane'}{number}" for name, number in self.places)

    def along(self, lengths: Mapping[str, int]) -> dict[str, int]:
        """Return the position on each axis that is named.

        Parameters
        ----------
        lengths : Mapping
            The lengths of all axes but rows and columns, by their names.

        Raises
        ------
        ValueError
            For an axis that is not there, or not the only one, or a position that it does not have.
        """
        long = [name for name, length in lengths.items() if length > 1]
        found = {}
        for name, number in self.places:
            if not name and len(long) != 1:
                raise ValueError(f"plane {number} of {_shown(lengths)} is asked for; name the axis, as in c=1")
            axis = name or long[0]
            if axis not in lengths:
                raise ValueError(f"there is no axis {axis}; there is {_shown(lengths)}")
            if number >= lengths[axis]:
                raise ValueError(f"{axis}={number} is asked for; {axis} goes from 0 to {lengths[axis] - 1}")
            found[axis] = number
        return found


def _shown(lengths: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({length})" for name, length in lengths.items()) or "a single plane"
