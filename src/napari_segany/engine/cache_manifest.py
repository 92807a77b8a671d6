"""The list of what a portable folder of embeddings holds: `manifest.json`, for people and for checking what is there.

Embeddings are found by what they depend on, not by this list: a folder whose manifest is behind serves all the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_segany.engine.cache_disk import MANIFEST_NAME, DiskCache
from napari_segany.engine.cache_entry import CacheEntry
from napari_segany.engine.cache_key import CacheKey
from napari_segany.formats.atomic import replacing
from napari_segany.formats.json_fields import integer, numbers, objects, read_json_object, reading, text

VERSION = 1


@dataclass(frozen=True)
class ManifestRecord:
    """One embedding of the folder.

    Attributes
    ----------
    image : str
        The image's file name, with the folders below those that hold all images.
    plane : str
        "image" for an image that is no stack, or the place in the stack: "0003".
    model : str
        Name of the model.
    model_digest : str
        What tells its weights from others.
    file : str
        The embedding's file within the folder.
    shape : tuple of int
        (H, W), in pixels.
    contrast_limits : tuple of float
        Intensities that became black and white: the layer must have these in napari.
    dtype : str
        How it is stored, "float16" or "float32".
    relative_error, largest_error : float
        What that took from it, see `Rounding`.
    """

    image: str
    plane: str
    model: str
    model_digest: str
    file: str
    shape: tuple[int, int]
    contrast_limits: tuple[float, float]
    dtype: str
    relative_error: float
    largest_error: float

    @classmethod
    def of(cls, image: str, plane: str, key: CacheKey, entry: CacheEntry, path: Path) -> ManifestRecord:
        """Return what there is to say about an entry."""
        return cls(
            image,
            plane,
            entry.model_name,
            key.model,
            path.name,
            entry.image_shape,
            entry.contrast_limits,
            entry.dtype,
            entry.rounding.relative,
            entry.rounding.largest,
        )

    @property
    def place(self) -> tuple[str, str, str]:
        """What no two records share."""
        return self.image, self.plane, self.model_digest


def read_manifest(folder: Path) -> tuple[ManifestRecord, ...]:
    """Return the records of a portable folder.

    Raises
    ------
    OSError
        Where there is none, or it cannot be read.
    ValueError
        Where it is damaged or of another version.
    """
    values = read_json_object(folder / MANIFEST_NAME, "manifest")
    with reading(str(folder / MANIFEST_NAME)):
        if (version := integer(values, "version")) != VERSION:
            raise ValueError(f"it has version {version}; this napari-segany knows version {VERSION}")
        return tuple(_record(item) for item in objects(values, "embeddings"))


def add_to_manifest(disk: DiskCache, records: Iterable[ManifestRecord]) -> None:
    """Add records to a folder's manifest, and remove the files that no record needs any more.

    A record takes the place of an earlier one of the same image, plane and model. A manifest that is damaged is begun
    anew: what is still needed is added when it is made again.

    Raises
    ------
    OSError
        Where the folder cannot be written to.
    """
    with disk.locked():
        try:
            before = read_manifest(disk.folder)
        except (FileNotFoundError, ValueError):
            before = ()
        after = {record.place: record for record in (*before, *records)}
        content = {
            "format": "napari-segany embeddings",
            "version": VERSION,
            "embeddings": [asdict(after[place]) for place in sorted(after)],
        }
        with replacing(disk.folder / MANIFEST_NAME) as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
        for stale in {record.file for record in before} - {record.file for record in after.values()}:
            disk.remove(stale)


def _record(values: dict[str, Any]) -> ManifestRecord:
    rows, cols = numbers(values, "shape", 2)
    low, high = numbers(values, "contrast_limits", 2)
    relative, largest = numbers({"errors": [values.get("relative_error"), values.get("largest_error")]}, "errors", 2)
    return ManifestRecord(
        image=text(values, "image"),
        plane=text(values, "plane"),
        model=text(values, "model"),
        model_digest=text(values, "model_digest"),
        file=text(values, "file"),
        shape=(int(rows), int(cols)),
        contrast_limits=(low, high),
        dtype=text(values, "dtype"),
        relative_error=relative,
        largest_error=largest,
    )
