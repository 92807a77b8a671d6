"""A change of the layer `objects`: pixels and rows of its table together, as one value. Knows no Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from napari.layers import Labels

from napari_segany.widgets.object_table import Row
from napari_segany.widgets.pixel_changes import PixelChange

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
