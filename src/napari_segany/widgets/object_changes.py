"""A change of the layer `objects`: pixels and rows of its table together, as one value. Knows no Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from napari.layers import Labels

from napari_segany.widgets.object_table import Row
from napari_segany.widgets.pixel_changes import PixelChange, joined, no_change, side_by_side

_ROW_BYTES = 500


@dataclass(frozen=True, eq=False)
class ObjectsChange:
    """What to put back into the layer `objects`.

    Attributes
    ----------
    layer : Labels
        The layer. It comes back into the viewer if it was removed meanwhile.
    pixels : PixelChange
        Its pixels.
    rows : Mapping
        The rows of all labels concerned, as they were before; {} for an empty one.
    length : int
        How many rows the table had.
    """

    layer: Labels
    pixels: PixelChange
    rows: Mapping[int, Row]
    length: int

    @property
    def nbytes(self) -> int:
        """Memory that it takes, in bytes."""
        return self.pixels.nbytes + _ROW_BYTES * len(self.rows)

    def swap(self, place: HasObjects) -> ObjectsChange:
        """Put it back, and return what puts back what was there before."""
        return place.put_objects_back(self)


class HasObjects(Protocol):
    """Where objects are put back."""

    def put_objects_back(self, change: ObjectsChange) -> ObjectsChange:
        """Put a change back, and return the way back."""


def combined(changes: Sequence[ObjectsChange]) -> ObjectsChange | None:
    """Return changes of one layer that followed each other as one; None for changes of several layers.

    Parameters
    ----------
    changes : sequence of ObjectsChange
        One at least, in the order in which they were made.
    """
    first = changes[0]
    if any(change.layer is not first.layer for change in changes):
        return None
    pixels = side_by_side([change.pixels for change in changes]) or joined([change.pixels for change in changes])
    rows: dict[int, Row] = {}
    for change in reversed(changes):
        rows |= change.rows
    return ObjectsChange(first.layer, pixels or no_change(first.pixels.shape), rows, first.length)
