"""Where a Labels layer lies, as fields of JSON files: scale, units, ... and the place of a plane in its stack.

COCO and SA-1B have no such fields; other programs pass over them. Knows neither napari nor Qt.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pint

from napari_segany.formats.json_fields import a_mapping, reading

FIELD = "napari_segany"
"""Name of the field of an image that holds them."""


@dataclass(frozen=True, eq=False)
class Placement:
    """What the fields say.

    Attributes
    ----------
    keywords : Mapping
        Arguments of a napari layer: those of scale, translate, rotate, shear, affine and units that the file has.
    stack : str
        Name of the stack that the image is a plane of; empty for none.
    shape : tuple of int
        Shape of that stack.
    plane : tuple of int
        Indices of the plane along the leading axes.
    """

    keywords: Mapping[str, Any] = field(default_factory=dict)
    stack: str = ""
    shape: tuple[int, ...] = ()
    plane: tuple[int, ...] = ()


def fields_of(meta: Mapping[str, Any], ndim: int) -> dict[str, Any]:
    """Return what is worth writing of a layer's place; nothing for a layer where napari puts any.

    Parameters
    ----------
    meta : Mapping
        A layer's state, as napari gives it to writers.
    ndim : int
        Its axes.
    """
    fields = {}
    for name, default in _defaults(ndim).items():
        value = meta.get(name)
        if value is not None and np.shape(value) == default.shape and not np.allclose(value, default):
            fields[name] = np.asarray(value, float).tolist()
    units = [str(unit) for unit in meta.get("units") or ()]
    if any(unit != "pixel" for unit in units):
        fields["units"] = units
    return fields


def read_placement(extra: Mapping[str, Any], size: tuple[int, int]) -> Placement:
    """Read the fields of an image.

    Parameters
    ----------
    extra : Mapping
        The fields of the image that its format does not know.
    size : (int, int)
        (H, W) of the image.

    Raises
    ------
    ValueError
        For fields that are damaged.
    """
    if FIELD not in extra:
        return Placement()
    with reading(f"the field {FIELD!r}"):
        values = a_mapping(extra, FIELD)
        stack, shape, plane = _read_plane(values, size)
        ndim = len(shape) if stack else 2
        keywords: dict[str, Any] = {
            name: _numbers(values[name], default.shape, name)
            for name, default in _defaults(ndim).items()
            if name in values
        }
        if any(step == 0 for step in keywords.get("scale", ())):  # a negative one flips the axis
            raise ValueError(f"'scale' is {keywords['scale']}; expected positive or negative numbers, and no 0")
        _check_invertible("rotate", keywords.get("rotate"))
        _check_invertible("affine", [row[:-1] for row in keywords["affine"][:-1]] if "affine" in keywords else None)
        if "units" in values:
            keywords["units"] = _units(values["units"], ndim)
        return Placement(keywords, stack, shape, plane)


def _defaults(ndim: int) -> dict[str, np.ndarray]:
    return {
        "scale": np.ones(ndim),
        "translate": np.zeros(ndim),
        "rotate": np.eye(ndim),
        "shear": np.zeros(ndim * (ndim - 1) // 2),
        "affine": np.eye(ndim + 1),
    }


def _read_plane(values: Mapping[str, Any], size: tuple[int, int]) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    if "stack" not in values:
        return "", (), ()
    stack, shape, plane = values["stack"], values.get("shape"), values.get("plane")
    both = [shape, plane]
    if not isinstance(stack, str) or not all(
        isinstance(item, list) and all(type(number) is int for number in item) for item in both
    ):
        raise ValueError("a plane of a stack needs 'stack' (text), 'shape' and 'plane' (lists of integers)")
    shape, plane = tuple(shape or ()), tuple(plane or ())
    fits = len(shape) == len(plane) + 2 and shape[-2:] == size
    if not fits or not all(0 <= index < length for index, length in zip(plane, shape[:-2], strict=True)):
        raise ValueError(f"the plane {list(plane)} of {size} pixels is not in a stack of the shape {list(shape)}")
    return stack, shape, plane


def _numbers(value: Any, shape: tuple[int, ...], name: str) -> list[Any]:
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.array(math.nan)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"{name!r} is no array of numbers of the shape {shape}")
    numbers: list[Any] = array.tolist()
    return numbers


def _check_invertible(name: str, linear: list[list[float]] | None) -> None:
    """Raise ValueError for a matrix that maps the plane onto a line: napari adds such a layer, then fails on all."""
    if linear is not None and np.linalg.matrix_rank(np.array(linear)) < len(linear):
        raise ValueError(f"{name!r} is a matrix that cannot be inverted, so its layer would have no extent")


def _units(value: Any, ndim: int) -> list[str]:
    if not isinstance(value, list) or len(value) != ndim or not all(isinstance(unit, str) for unit in value):
        raise ValueError(f"'units' is no list of {ndim} names")
    registry = pint.get_application_registry()
    unknown = [unit for unit in value if not (unit.isidentifier() and unit in registry)]
    if unknown:
        raise ValueError(f"the unit {unknown[0]!r} is unknown")
    return value
