"""A folder of images under annotation: its masks, which images are done, and what is written down. Knows no model.

The records are one JSON file for each image, written whole after every change: nothing is lost by a crash.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.data_engine.masks import STAGES, EngineMask
from napari_segany.formats.atomic import replacing
from napari_segany.formats.file_stamp import FileStamp, file_stamp
from napari_segany.formats.image_file import read_image
from napari_segany.formats.json_fields import objects, read_json_object, reading

IMAGE_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp"})
RECORDS = "records"


@dataclass(frozen=True)
class StageCounts:
    """What one stage gave.

    Attributes
    ----------
    masks : int
        Masks.
    seconds, clicks : float
        Mean of a mask; NaN without masks.
    """

    masks: int
    seconds: float
    clicks: float


class RecordChangedError(ValueError):
    """Another program has changed a record; it was read again, so that what was refused can be done once more."""


class DataEngine:
    """Images with their masks.

    Parameters
    ----------
    images : pathlib.Path
        The folder of the images.
    work : pathlib.Path
        Where the records are kept; it is made, or gone on with.

    Raises
    ------
    FileNotFoundError
        Where there is no such folder of images.
    ValueError
        Where it holds no images, two of one name, or a record is damaged.
    OSError
        Where `work` cannot be written.

    Attributes
    ----------
    revision : int
        Another number after every change of a record: who shows what is here looks again only then.
    """

    def __init__(self, images: Path, work: Path) -> None:
        if not images.is_dir():
            raise FileNotFoundError(f"{images} is not a folder; give the one that holds the images")
        paths = sorted(path for path in images.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
        if not paths:
            raise ValueError(f"{images} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
        self.images, self.work = images, work
        self._paths = {path.stem: path for path in paths}
        if len(self._paths) < len(paths):
            raise ValueError(f"{images} holds images that differ in their ending only; their masks would be mixed up")
        (work / RECORDS).mkdir(parents=True, exist_ok=True)
        self.revision = 0
        self._masks: dict[str, tuple[EngineMask, ...]] = dict.fromkeys(self._paths, ())
        self._sums: dict[str, dict[str, _Sums]] = {name: {} for name in self._paths}
        self._finished: set[str] = set()
        self._states: dict[str, FileStamp | None] = {}
        self._lock = RLock()  # the model's masks are added in another thread than the person's
        for name in self._paths:
            self._load(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The images, by name without suffix."""
        return tuple(self._paths)

    @property
    def finished(self) -> tuple[str, ...]:
        """The images that a person called done."""
        return tuple(name for name in self._paths if name in self._finished)

    def left_after(self, name: str | None) -> tuple[str, ...]:
        """Return the images that are not done, those after one first; in their order without one."""
        names = self.names
        place = 0 if name is None else names.index(self._known(name)) + 1
        return tuple(one for one in (*names[place:], *names[:place]) if one not in self._finished)

    def path(self, name: str) -> Path:
        """Return the file of an image."""
        return self._paths[self._known(name)]

    def read_image(self, name: str) -> NDArray[np.generic]:
        """Read an image; errors are those of `formats.image_file.read_image`."""
        return read_image(self.path(name))

    def masks(self, name: str) -> tuple[EngineMask, ...]:
        """Return the masks of an image."""
        return self._masks[self._known(name)]

    def add(self, name: str, masks: Sequence[EngineMask]) -> None:
        """Add masks to an image and write them down; errors are those of `put`."""
        self.change(name, lambda there: (*there, *masks))

    def change(
        self, name: str, masks_from: Callable[[tuple[EngineMask, ...]], Sequence[EngineMask]]
    ) -> tuple[EngineMask, ...]:
        """Put what is made from the masks that are there, as one step; return it. Errors are those of `put`."""
        with self._lock:
            self.put(name, tuple(masks_from(self.masks(name))))
            return self.masks(name)

    def put(self, name: str, masks: Sequence[EngineMask]) -> None:
        """Have these masks for an image, in place of those that are there, and write them down.

        Raises
        ------
        ValueError
            For an empty mask, or masks of different sizes; a `RecordChangedError` where another program has changed
            the record, which is then read again.
        OSError
            Where the record cannot be written; nothing changes then.
        """
        sizes = {one.record.rle.size for one in masks}
        if len(sizes) > 1:
            raise ValueError(
                f"masks of {name} have the sizes {', '.join(map(str, sorted(sizes)))}; they must be equal"
            )
        if any(one.record.area == 0 for one in masks):
            raise ValueError(f"a mask of {name} has no pixel")
        with self._lock:
            self._write(name, tuple(masks), name in self._finished)

    def remove(self, name: str, number: int) -> EngineMask:
        """Take a mask out by its number from 1, and return it; errors are those of `put`."""
        with self._lock:
            masks = list(self.masks(name))
            if not 1 <= number <= len(masks):
                raise ValueError(f"{name} has {len(masks)} masks; there is no mask {number}")
            gone = masks.pop(number - 1)
            self._write(name, tuple(masks), name in self._finished)
        return gone

    def finish(self, name: str, *, done: bool = True) -> None:
        """Call an image done, or not; errors are those of `put`."""
        with self._lock:
            self._write(name, self.masks(name), done)

    def counts(self) -> dict[str, StageCounts]:
        """Return what each stage gave; images that did not change since are not counted again."""
        return {stage: _counts([sums[stage] for sums in self._sums.values() if stage in sums]) for stage in STAGES}

    def all_masks(self) -> Iterator[EngineMask]:
        """Go through the masks of all images."""
        for masks in self._masks.values():
            yield from masks

    def _known(self, name: str) -> str:
        if name not in self._paths:
            raise ValueError(f"there is no image {name!r} in {self.images}")
        return name

    def _record(self, name: str) -> Path:
        return self.work / RECORDS / f"{name}.json"

    def _load(self, name: str) -> None:
        path = self._record(name)
        self._states[name] = file_stamp(path)  # before it is read: a change during that is seen later
        if not path.is_file():
            self._have(name, (), finished=False)
            return
        values = read_json_object(path, "record")
        with reading(path.name):
            masks = tuple(EngineMask.from_dict(one) for one in objects(values, "masks"))
        self._have(name, masks, finished=values.get("finished") is True)

    def _have(self, name: str, masks: tuple[EngineMask, ...], *, finished: bool) -> None:
        """Take note of what a record holds now."""
        self._masks[name] = masks
        (self._finished.add if finished else self._finished.discard)(name)
        of_stages = {stage: [one for one in masks if one.origin.stage == stage] for stage in STAGES}
        self._sums[name] = {stage: _Sums.of(there) for stage, there in of_stages.items() if there}
        self.revision += 1

    def _write(self, name: str, masks: tuple[EngineMask, ...], finished: bool) -> None:
        path = self._record(name)
        if file_stamp(path) != self._states[name]:
            self._load(name)
            raise RecordChangedError(
                f"another program has changed the record of {name}; it was read again, so do the same once more"
            )
        values: dict[str, Any] = {"image": self.path(name).name, "finished": finished}
        values["masks"] = [one.to_dict() for one in masks]
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(values), encoding="utf-8")
            state = file_stamp(temporary)
        self._states[name] = state
        self._have(name, masks, finished=finished)


@dataclass(frozen=True)
class _Sums:
    """Masks of one image and one stage, with the seconds and clicks that all of them took."""

    masks: int
    seconds: float
    clicks: float

    @classmethod
    def of(cls, masks: Sequence[EngineMask]) -> _Sums:
        origins = [one.origin for one in masks]
        return cls(len(masks), sum(one.seconds for one in origins), sum(one.clicks for one in origins))


def _counts(sums: Sequence[_Sums]) -> StageCounts:
    masks = sum(one.masks for one in sums)
    if not masks:
        return StageCounts(0, float("nan"), float("nan"))
    return StageCounts(masks, sum(one.seconds for one in sums) / masks, sum(one.clicks for one in sums) / masks)
