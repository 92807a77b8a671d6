"""What the table tells of an object that was carried through a stack, as a value and as plain data for JSON.

It stands in the object's `prompts` cell under "stack", so that it is undone, saved and restored together with the
pixels: a correction begins from it. Knows neither napari nor Qt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.stack_line import StackLine

STACK = "stack"


@dataclass(frozen=True)
class StackRecord:
    """Where an object of a stack came from.

    Attributes
    ----------
    axis : int
        The data axis that leads from slice to slice.
    plane : Plane
        The first slice of the stack, at 0 on `axis`.
    prompts : Mapping
        Slice to what was said of the object there, as `Prompts.to_dict` has it.
    origins : Mapping
        Slice to the prompted slice that its mask came from.
    parent : int
        The object that it came from by division, 0 for none.
    born : int
        The first slice after that division.
    is_time : bool
        Whether the slices are time points.
    """

    axis: int
    plane: Plane
    prompts: Mapping[int, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    origins: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    parent: int = 0
    born: int = 0
    is_time: bool = False

    @property
    def stops(self) -> tuple[int, ...]:
        """Slices of which was said that the object is not there, ascending."""
        return tuple(sorted(place for place, said in self.prompts.items() if is_stop(said)))

    def line(self, data_shape: Sequence[int]) -> StackLine | None:
        """Return the stack in data of this shape; None for data of other dimensions."""
        if len(data_shape) != self.plane.ndim:
            return None
        return StackLine.through(self.plane, self.axis, data_shape)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; origins are runs (origin, first slice, last slice)."""
        return {
            "axis": self.axis,
            "axes": list(self.plane.axes),
            "fixed": list(self.plane.index),
            "prompts": {str(place): dict(said) for place, said in sorted(self.prompts.items())},
            "origins": [list(run) for run in _runs(self.origins)],
            "parent": self.parent,
            "born": self.born,
            "time": self.is_time,
        }

    @classmethod
    def from_dict(cls, values: Any) -> StackRecord | None:
        """Return the record of plain values; None for anything else: others write in the table, too."""
        try:
            prompts = {int(place): dict(said) for place, said in values["prompts"].items()}
            origins = {
                place: int(origin)
                for origin, first, last in values["origins"]
                for place in range(int(first), int(last) + 1)
            }
            first, second = (int(axis) for axis in values["axes"])
            plane = Plane((first, second), tuple(int(place) for place in values["fixed"]))
            axis, parent, born = (int(values[name]) for name in ("axis", "parent", "born"))
            if axis not in plane.hidden:
                return None
            return cls(axis, plane, prompts, origins, parent, born, bool(values["time"]))
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


def is_stop(said: Mapping[str, Any]) -> bool:
    """Whether prompts are background points alone: the object is not on this slice."""
    labels = said.get("labels") or []
    return bool(labels) and 1 not in labels and said.get("box") is None and said.get("mask") is None


def _runs(origins: Mapping[int, int]) -> Iterator[tuple[int, int, int]]:
    run: tuple[int, int, int] | None = None
    for place in sorted(origins):
        if run is not None and origins[place] == run[0] and place == run[2] + 1:
            run = (run[0], run[1], place)
            continue
        if run is not None:
            yield run
        run = (origins[place], place, place)
    if run is not None:
        yield run
