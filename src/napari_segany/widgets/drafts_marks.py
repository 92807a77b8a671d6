"""All points and boxes of the prompt layers as one value. Knows neither napari nor Qt nor numpy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

Position = tuple[float, ...]


@dataclass(frozen=True)
class Marks:
    """Points and boxes of all planes, in data coordinates of the image.

    Attributes
    ----------
    points : tuple of tuple
        (N, ndim) positions.
    labels : tuple of str
        "foreground" or "background", one for each point.
    boxes : tuple of tuple
        (M, 4, ndim) corners.
    """

    points: tuple[Position, ...] = ()
    labels: tuple[str, ...] = ()
    boxes: tuple[tuple[Position, ...], ...] = ()

    @classmethod
    def of(
        cls, points: Iterable[Iterable[float]], labels: Iterable[str], boxes: Iterable[Iterable[Iterable[float]]]
    ) -> Marks:
        """Return the marks of positions, labels and corners as layers hold them."""
        return cls(
            tuple(tuple(map(float, position)) for position in points),
            tuple(map(str, labels)),
            tuple(tuple(tuple(map(float, corner)) for corner in corners) for corners in boxes),
        )

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.points or self.boxes)

    @property
    def nbytes(self) -> int:
        """Memory that they take, in bytes, roughly."""
        return 100 * (len(self.points) + 4 * len(self.boxes)) + 200


def alike(one: Sequence[object], other: Sequence[object]) -> int:
    """Return how many items of two sequences are the same, from the first on."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
