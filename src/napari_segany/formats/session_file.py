"""What a session of prompting leaves on the disk: prompts and accepted objects of one image, as JSON. No torch."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_segany.formats.atomic import replacing
from napari_segany.formats.json_fields import a_mapping, objects, read_json_object, reading
from napari_segany.formats.rle import RunLengths
from napari_segany.formats.session_log import SavedLog
from napari_segany.formats.session_steps import PlaneIndex, planes_from_list, planes_to_list

KIND = "napari-segany session"
VERSION = 4
READABLE = (1, 2, 3, 4)
"""Versions that can be read; the first had no log, so that nothing can be made again from it."""

Position = tuple[float, ...]


@dataclass(frozen=True)
class SavedMaskPrompt:
    """An object that was in use as mask prompt on a plane.

    Attributes
    ----------
    axes : tuple of int
        The axes of the plane.
    index : tuple of int
        The plane's place on the other axes.
    layer : str
        Name of the layer that the object is in.
    label : int
        Its number there.
    mask : RunLengths
        The object on the plane.
    """

    axes: tuple[int, int]
    index: PlaneIndex
    layer: str
    label: int
    mask: RunLengths


@dataclass(frozen=True)
class SavedSession:
    """The state of the work on one image.

    Attributes
    ----------
    image : Mapping
        What tells the image from others: "name", "shape", "dtype", "digest"; of a whole session also "path" (None for
        an image that was not opened from a file), "raster" (`SavedBands` of one that shows bands of a raster), "ndim"
        (without colours), and "planes", the digests of those that were worked on.
    model : str
        The model that answered last.
    saved_at : str
        Local time, ISO 8601.
    points, labels : tuple
        (N, ndim) positions in data coordinates, and "foreground" or "background" for each.
    boxes : tuple
        (M, 4, ndim) corners.
    mask_prompts : tuple of SavedMaskPrompt
        Objects in use as prompts.
    planes : Mapping
        The accepted objects as {label: mask}, by the plane's index along the leading axes; () for a 2-D image.
    rows : Mapping
        The features of the objects by label; plain values.
    log : SavedLog, optional
        How the objects came about; None where that is not known.
    choices : Mapping
        What else was chosen: "device", "overlap", "cleaning", "classes" ...
    versions : Mapping
        Of this package and those that decide the masks, by name.
    """

    image: Mapping[str, Any]
    model: str
    saved_at: str
    points: tuple[Position, ...] = ()
    labels: tuple[str, ...] = ()
    boxes: tuple[tuple[Position, ...], ...] = ()
    mask_prompts: tuple[SavedMaskPrompt, ...] = ()
    planes: Mapping[PlaneIndex, Mapping[int, RunLengths]] = field(default_factory=dict)
    rows: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    log: SavedLog | None = None
    choices: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def objects(self) -> tuple[int, ...]:
        """The labels of all objects, ascending."""
        return tuple(sorted({label for masks in self.planes.values() for label in masks}))


def write_session(path: str | os.PathLike[str], saved: SavedSession) -> None:
    """Write a session to a JSON file, whole or not at all.

    Raises
    ------
    OSError
        Where the file cannot be written.
    """
    prompts = {
        "points": saved.points,
        "labels": saved.labels,
        "boxes": saved.boxes,
        "masks": [{**vars(one), "mask": one.mask.to_dict()} for one in saved.mask_prompts],
    }
    rows = [{"label": label, "features": _plain(row)} for label, row in saved.rows.items() if row]
    values = {
        "format": KIND,
        "version": VERSION,
        "saved_at": saved.saved_at,
        "model": saved.model,
        "image": dict(saved.image),
        "prompts": prompts,
        "planes": planes_to_list(saved.planes),
        "rows": rows,
        "log": None if saved.log is None else saved.log.to_dict(),
        "choices": dict(saved.choices),
        "versions": dict(saved.versions),
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values, allow_nan=False), encoding="utf-8")


def read_session(path: str | os.PathLike[str]) -> SavedSession:
    """Read what `write_session` wrote.

    Raises
    ------
    OSError
        Where the file cannot be read.
    ValueError
        For a file that is damaged, holds something else, or comes from a later version.
    """
    values = read_json_object(path, "session")
    with reading(f"{Path(path).name} is no sound session file"):
        if values.get("format") != KIND or values.get("version") not in READABLE:
            said = "it does not say what it is"
            if "format" in values:
                said = f"it says {values['format']!r}, version {values.get('version')!r}"
            raise ValueError(f"{said}; {KIND!r} up to version {VERSION} can be read")
        try:
            return _session(values)
        except (AttributeError, KeyError, OverflowError, TypeError) as error:
            raise ValueError(f"a value is missing or of another kind ({error})") from None


def _session(values: Mapping[str, Any]) -> SavedSession:
    prompts = a_mapping(values, "prompts")
    return SavedSession(
        image=a_mapping(values, "image"),
        model=str(values["model"]),
        saved_at=str(values["saved_at"]),
        points=tuple(_position(one) for one in prompts["points"]),
        labels=tuple(str(one) for one in prompts["labels"]),
        boxes=tuple(tuple(_position(corner) for corner in box) for box in prompts["boxes"]),
        mask_prompts=tuple(_mask_prompt(one) for one in objects(prompts, "masks")),
        planes=planes_from_list(values),
        rows={int(row["label"]): a_mapping(row, "features") for row in objects(values, "rows")},
        log=None if values.get("log") is None else SavedLog.from_dict(a_mapping(values, "log")),
        choices=a_mapping(values, "choices") if "choices" in values else {},
        versions={name: str(number) for name, number in (values.get("versions") or {}).items()},
    )


def _mask_prompt(values: Mapping[str, Any]) -> SavedMaskPrompt:
    first, second = (int(axis) for axis in values["axes"])
    index = tuple(int(place) for place in values["index"])
    mask = RunLengths.from_dict(values["mask"])
    return SavedMaskPrompt((first, second), index, str(values["layer"]), int(values["label"]), mask)


def _position(values: Any) -> Position:
    return tuple(float(value) for value in values)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cells of a row as JSON takes them; numbers of numpy become Python's, NaN is left out."""
    plain = {name: cell.item() if hasattr(cell, "item") else cell for name, cell in row.items()}
    return {
        name: cell if isinstance(cell, bool | int | float | str) else str(cell)
        for name, cell in plain.items()
        if not (isinstance(cell, float) and not math.isfinite(cell))
    }
