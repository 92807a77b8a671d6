"""A list of classes and the current one as plain values for JSON files, and back. Knows neither napari nor Qt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_segany.formats.json_fields import integer, objects, reading, text
from napari_segany.widgets.class_list import ClassList, ObjectClass, found, in_order

_LIST, _CURRENT = "classes", "class"


def class_values(classes: ClassList, current: str) -> dict[str, Any]:
    """Return the classes under "classes" and the name of the current one under "class"."""
    return {
        _LIST: [{"number": one.number, "name": one.name, "colour": one.colour} for one in classes],
        _CURRENT: current,
    }


def saved_classes(values: Mapping[str, Any]) -> tuple[ClassList, str] | None:
    """Return what `class_values` wrote; None for values that hold no list, as of an earlier version.

    Raises
    ------
    ValueError
        For a list that is damaged, or a current class that is not in it.
    """
    if _LIST not in values:
        return None
    with reading("the list of classes"):
        classes = in_order(
            [
                ObjectClass(integer(one, "number"), text(one, "name"), text(one, "colour"))
                for one in objects(values, _LIST)
            ]
        )
        for what in ("number", "name"):
            if len({getattr(one, what) for one in classes}) < len(classes):
                raise ValueError(f"two classes have the same {what}; each needs its own")
        current = text(values, _CURRENT)
        if current and found(classes, current) is None:
            raise ValueError(f"the current class is {current!r}; give the name of one in the list, or none")
    return classes, current
