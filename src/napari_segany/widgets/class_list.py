"""Classes of objects as values: numbers, names and colours, and lists of them. Knows neither napari nor Qt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

CLASSES_KEY = "napari_segany_classes"
"""Key of the metadata of the layer `objects` whose value is a tuple of `ObjectClass`."""

PALETTE = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#999999")
"""Okabe and Ito's colours, which people with any colour vision tell apart."""

WITHOUT_CLASS = "#bdbdbd"
"""The colour of objects without a class where the others have that of theirs."""

KEYED = 9
"""Classes up to this number have a key."""

_LONGEST_NAME = 60
_SHADES = (1.0, 0.82, 0.64)


@dataclass(frozen=True)
class ObjectClass:
    """A class of objects.

    Attributes
    ----------
    number : int
        From 1: its key, its value in a layer of classes, and its number in files.
    name : str
        What people call it.
    colour : str
        "#rrggbb".

    Raises
    ------
    ValueError
        For an empty or too long name, a number below 1 or another colour.
    """

    number: int
    name: str
    colour: str

    def __post_init__(self) -> None:
        """Check the values."""
        if not self.name or self.name != self.name.strip() or not self.name.isprintable():
            raise ValueError(f"the name of a class is {self.name!r}; give letters without a space at their ends")
        if len(self.name) > _LONGEST_NAME:
            raise ValueError(f"the name of a class has {len(self.name)} letters; give at most {_LONGEST_NAME}")
        if self.number < 1:
            raise ValueError(f"the number of a class is {self.number}; give 1 or more")
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", self.colour):
            raise ValueError(
                f"the colour of a class is {self.colour!r}; give it as #rrggbb, for example {PALETTE[0]}"
            )

    @property
    def key(self) -> str:
        """The key that chooses it, for people; empty for those without one."""
        return f"Ctrl-{self.number}" if self.number <= KEYED else ""


ClassList = tuple[ObjectClass, ...]


def found(classes: ClassList, name: str) -> ObjectClass | None:
    """Return the class of a name; None if there is none."""
    return next((one for one in classes if one.name == name), None)


def with_class(classes: ClassList, name: str, colour: str | None = None) -> ClassList:
    """Return the list with one more class, under the lowest free number; by default in a colour not in use.

    Raises
    ------
    ValueError
        For a name that is there, or no name or colour.
    """
    name = name.strip()
    if found(classes, name) is not None:
        raise ValueError(f"there is a class {name!r} already; give another name")
    taken = {one.number for one in classes}
    number = next(number for number in range(1, len(taken) + 2) if number not in taken)
    used = {one.colour for one in classes}
    free = [one for one in PALETTE if one not in used] or [PALETTE[number % len(PALETTE)]]
    return in_order((*classes, ObjectClass(number, name, colour or free[0])))


def changed(classes: ClassList, name: str, *, new_name: str | None = None, colour: str | None = None) -> ClassList:
    """Return the list with another name or colour of a class.

    Raises
    ------
    ValueError
        For a class that does not exist, a new name that does, or no name or colour.
    """
    one = needed(classes, name)
    new_name = one.name if new_name is None else new_name.strip()
    if new_name != name and found(classes, new_name) is not None:
        raise ValueError(f"there is a class {new_name!r} already; give another name")
    return tuple(
        replace(other, name=new_name, colour=colour or other.colour) if other is one else other for other in classes
    )


def without(classes: ClassList, name: str) -> ClassList:
    """Return the list without a class; the others keep their numbers.

    Raises
    ------
    ValueError
        For a class that does not exist.
    """
    one = needed(classes, name)
    return tuple(other for other in classes if other is not one)


def with_names(classes: ClassList, names: Iterable[str]) -> ClassList:
    """Return the list with classes of all these names; names that cannot be those of a class are passed over."""
    for name in names:
        if found(classes, name) is None:
            try:
                classes = with_class(classes, name)
            except ValueError:
                continue
    return classes


def joined(classes: ClassList, others: ClassList) -> ClassList:
    """Return the list with classes of another one besides.

    Where both have a name, the first list holds. The others keep their colours, and their numbers where those are
    free.
    """
    taken = {one.number for one in classes}
    missing = [one for one in others if found(classes, one.name) is None]
    kept = in_order((*classes, *(one for one in missing if one.number not in taken)))
    for one in missing:
        if one.number in taken:
            kept = with_class(kept, one.name, one.colour)
    return kept


def needed(classes: ClassList, name: str) -> ObjectClass:
    """Return the class of a name.

    Raises
    ------
    ValueError
        If there is none.
    """
    one = found(classes, name)
    if one is None:
        there = ", ".join(other.name for other in classes) or "none yet"
        raise ValueError(f"there is no class {name!r}; there are: {there}")
    return one


def in_order(classes: Sequence[ObjectClass]) -> ClassList:
    """Return classes by their numbers."""
    return tuple(sorted(classes, key=lambda one: one.number))


def rgba(colour: str) -> NDArray[np.float32]:
    """Return (4,) float32, 0 to 1, of "#rrggbb"."""
    return np.array([*(int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)), 1.0], np.float32)


def label_colours(names: Sequence[str], classes: ClassList) -> NDArray[np.float32]:
    """Return the colour of each label by its class, in three shades, so that neighbours can be told apart.

    Parameters
    ----------
    names : sequence of str
        The name of each label's class, from label 0 on; "" for none.
    classes : tuple of ObjectClass
        The classes.

    Returns
    -------
    numpy.ndarray
        (N, 4) float32; the background's is transparent.
    """
    colours = {one.name: rgba(one.colour) for one in classes}
    plain = rgba(WITHOUT_CLASS)
    table = np.array([colours.get(name, plain) for name in names], np.float32).reshape(-1, 4)
    table[:, :3] *= np.array(_SHADES, np.float32)[np.arange(len(table)) % len(_SHADES), None]
    table[:1] = 0
    return table
