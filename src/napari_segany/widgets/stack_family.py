"""Which objects of a stack came from each other by division, as the table of objects tells. Knows no Qt."""

from __future__ import annotations

from collections.abc import Mapping

from napari_segany.widgets.object_table import Row, origin_of
from napari_segany.widgets.stack_line import StackLine
from napari_segany.widgets.stack_record import STACK, StackRecord


def record_on(line: StackLine, row: Row) -> StackRecord | None:
    """Return what an object's row tells of its way through this stack; None where it tells nothing of it."""
    record = StackRecord.from_dict(origin_of(row).get(STACK))
    return record if record is not None and (record.axis, record.plane) == (line.axis, line.first) else None


def family_of(label: int, parents: Mapping[int, int]) -> tuple[int, ...]:
    """Return an object with all that it came from and all that came from it by division.

    Parameters
    ----------
    label : int
        The object.
    parents : Mapping
        Object to the one that it came from, 0 for none; of all objects of the stack.
    """
    family, before = {label}, 0
    while len(family) > before:
        before = len(family)
        family |= {parents[one] for one in family if parents.get(one, 0) in parents}
        family |= {one for one, parent in parents.items() if parent in family}
    return tuple(sorted(family))
