"""The slices that lie behind each other in a stack: parallel planes along one hidden axis. No napari, no Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_segany.widgets.geometry import Plane


@dataclass(frozen=True)
class StackLine:
    """All planes that differ from one only in their place along an axis.

    Attributes
    ----------
    first : Plane
        The plane at place 0.
    axis : int
        The data axis that leads from slice to slice, one of the hidden ones.
    length : int
        Number of slices.
    """

    first: Plane
    axis: int
    length: int

    @classmethod
    def through(cls, plane: Plane, axis: int, data_shape: Sequence[int]) -> StackLine:
        """Return the slices before and behind a plane.

        Raises
        ------
        ValueError
            For an axis that is displayed, or is none of the data's.
        """
        if axis not in plane.hidden:
            raise ValueError(
                f"axis {axis} does not lead through the plane; choose one of {', '.join(map(str, plane.hidden))}"
            )
        return cls(_moved(plane, axis, 0), axis, int(data_shape[axis]))

    def plane(self, place: int) -> Plane:
        """Return the plane at a place of the axis."""
        return _moved(self.first, self.axis, place)

    def place_of(self, plane: Plane | None) -> int | None:
        """Return where along the axis a plane lies; None for one that is not among these."""
        if plane is None or plane.axes != self.first.axes or plane.ndim != self.first.ndim:
            return None
        place = plane.index[plane.hidden.index(self.axis)]
        return place if plane == self.plane(place) and 0 <= place < self.length else None

    def nearest_first(self, place: int) -> list[int]:
        """Return all places, the nearest to this one first."""
        return sorted(range(self.length), key=lambda other: (abs(other - place), other < place))


def default_axis(plane: Plane) -> int | None:
    """Return the axis that people mean first: the last hidden one, as z in (t, z, y, x); None in a single image."""
    return plane.hidden[-1] if plane.hidden else None


def _moved(plane: Plane, axis: int, place: int) -> Plane:
    index = list(plane.index)
    index[plane.hidden.index(axis)] = place
    return Plane(plane.axes, tuple(index))
