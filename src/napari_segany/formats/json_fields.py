"""JSON files from elsewhere: one sentence for what is wrong in them. Knows json only, no masks and no numpy."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def read_json_object(path: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Parameters
    ----------
    path : path
        The file, in UTF-8.
    kind : str
        What it should be, for the error: "COCO", "SA-1B", ...

    Raises
    ------
    OSError
        Where the file cannot be read.
    ValueError
        For a file that is no JSON, cut off, or holds something else than an object.
    """
    path = Path(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError):  # the latter for thousands of nested brackets
        raise ValueError(f"{path.name} is no JSON file, or it is cut off; a {kind} file was expected") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path.name} holds no JSON object, which a {kind} file is")
    return values


def read_json_list(path: str | os.PathLike[str], kind: str) -> list[dict[str, Any]]:
    """Read a file that holds one JSON list of objects; otherwise as `read_json_object`."""
    path = Path(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError):
        raise ValueError(f"{path.name} is no JSON file, or it is cut off; a {kind} file was expected") from None
    if not isinstance(values, list) or not all(isinstance(one, dict) for one in values):
        raise ValueError(f"{path.name} holds no JSON list of objects, which a {kind} file is")
    return values


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Put in front of a ValueError where it was met."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def a_mapping(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the object under `key`; a ValueError where it is missing or something else."""
    value = values.get(key)
    if not isinstance(value, dict):
        raise ValueError(f"{key!r} is {_shown(value)}; expected an object")
    return value


def objects(values: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the list of objects under `key`; a ValueError where it is missing or something else."""
    value = values.get(key)
    if not isinstance(value, list):
        raise ValueError(f"{key!r} is {_shown(value)}; expected a list of objects")
    others = [item for item in value if not isinstance(item, dict)]
    if others:
        raise ValueError(f"{key!r} holds {_shown(others[0])}; expected objects")
    return value


def text(values: Mapping[str, Any], key: str) -> str:
    """Return the text under `key`; a ValueError where it is missing or something else."""
    value = values.get(key)
    if not isinstance(value, str):
        raise ValueError(f"{key!r} is {_shown(value)}; expected text")
    return value


def integer(values: Mapping[str, Any], key: str) -> int:
    """Return the integer under `key`, also where it is written as 3.0; a ValueError for anything else."""
    value: Any = values.get(key)
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if not is_whole or isinstance(value, bool):
        raise ValueError(f"{key!r} is {_shown(value)}; expected an integer")
    return int(value)


def optional_number(values: Mapping[str, Any], key: str) -> float | None:
    """Return the finite number under `key`, None where it is missing or null; a ValueError for anything else."""
    value = values.get(key)
    return None if value is None else _finite(value, key)


def numbers(values: Mapping[str, Any], key: str, count: int) -> tuple[float, ...]:
    """Return `count` finite numbers under `key`; a ValueError where there are not so many, or something else."""
    value = values.get(key)
    if not isinstance(value, list) or len(value) != count:
        raise ValueError(f"{key!r} is {_shown(value)}; expected {count} numbers")
    return tuple(_finite(number, key) for number in value)


def image_size(values: Mapping[str, Any]) -> tuple[int, int]:
    """Return (H, W) from "height" and "width", in pixels; a ValueError where one is missing or not positive."""
    height, width = integer(values, "height"), integer(values, "width")
    if height <= 0 or width <= 0:
        raise ValueError(f"the image has the height {height} and the width {width}; both must be positive")
    return height, width


def _finite(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{key!r} holds {_shown(value)}; expected numbers")
    try:
        number = float(value)
    except OverflowError:  # JSON allows integers of any length
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{key!r} holds {_shown(value)}; expected finite numbers")
    return number


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    written = repr(value)
    return written if len(written) <= 40 else f"{written[:40]}..."
