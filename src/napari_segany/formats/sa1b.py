"""SA-1B's files: one JSON of masks for each image. Knows numpy and files only.

The format is that of the data set of Kirillov et al. 2023 (doi:10.1109/ICCV51070.2023.00371): a folder holds sa_1.jpg
beside sa_1.json, ..., and a JSON file holds "image" and "annotations", masks as COCO's compressed run lengths.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.annotation import annotation_name, read_record, scores_of, xywh_of
from napari_segany.formats.atomic import replacing
from napari_segany.formats.image_file import read_image
from napari_segany.formats.json_fields import a_mapping, image_size, integer, objects, read_json_object, reading, text
from napari_segany.formats.record import MaskRecord

_NUMBERS_PER_OBJECT = 10  # an id may be so many times as high as there are objects, for tables with a row each
_IMAGE_FIELDS = ("image_id", "width", "height", "file_name")


@dataclass(frozen=True)
class SA1BImage:
    """The masks of one image.

    Attributes
    ----------
    file_name : str
        The image's file name.
    size : tuple of int
        (H, W) of the image, in pixels.
    records : tuple of MaskRecord
        Its masks, each of that size.
    image_id : int
        The image's number in its data set.
    extra : Mapping
        What else the file says of the image, as plain values.
    labels : tuple of int
        Numbers of the objects: their ids where these can be labels of a layer, else 1, 2, ....
    """

    file_name: str
    size: tuple[int, int]
    records: tuple[MaskRecord, ...]
    image_id: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    labels: tuple[int, ...] = ()


@dataclass(frozen=True)
class SA1BSample:
    """An image of a folder with its masks, neither of them read yet."""

    image_path: Path
    annotation_path: Path

    def image(self) -> NDArray[np.generic]:
        """Read the image; errors are those of `read_image`."""
        return read_image(self.image_path)

    def records(self) -> tuple[MaskRecord, ...]:
        """Read the masks; errors are those of `read_sa1b`."""
        return read_sa1b(self.annotation_path).records


def write_sa1b(
    path: str | os.PathLike[str],
    records: Sequence[MaskRecord],
    *,
    file_name: str,
    size: tuple[int, int],
    image_id: int = 0,
    extra: Mapping[str, Any] | None = None,
    labels: Sequence[int] | None = None,
) -> None:
    """Write the masks of one image, whole or not at all.

    Of the prompts the format keeps the foreground points. A mask that no model made has null for its scores.

    Parameters
    ----------
    path : path
        The JSON file; it replaces one that is there.
    records : sequence of MaskRecord
        The masks, each of the size of the image.
    file_name : str
        The image's file name.
    size : (int, int)
        (H, W) of the image, in pixels.
    image_id : int
        The image's number in its data set.
    extra : Mapping, optional
        Further fields of the image, plain values for JSON; those that SA-1B itself asks for win.
    labels : sequence of int, optional
        What becomes the "id" of each mask; 1, 2, ... by default.

    Raises
    ------
    ValueError
        For a record of another size.
    OSError
        Where the file cannot be written.
    """
    height, width = (int(side) for side in size)
    values = {
        "image": {
            **(extra or {}),
            "image_id": int(image_id),
            "width": width,
            "height": height,
            "file_name": file_name,
        },
        "annotations": [
            _annotation(record, int(number), (height, width))
            for number, record in zip(range(1, len(records) + 1) if labels is None else labels, records, strict=True)
        ],
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values), encoding="utf-8")


def read_sa1b(path: str | os.PathLike[str]) -> SA1BImage:
    """Read the masks of one image.

    Raises
    ------
    OSError
        Where the file cannot be read.
    ValueError
        For a file that is damaged or of another kind; one sentence that names the file and the annotation.
    """
    values = read_json_object(path, "SA-1B")
    with reading(Path(path).name):
        image = a_mapping(values, "image")
        size = image_size(image)
        records, ids = [], []
        for position, annotation in enumerate(objects(values, "annotations")):
            with reading(annotation_name(annotation, position)):
                records.append(read_record(annotation, size))
                ids.append(annotation.get("id"))
        extra = {key: value for key, value in image.items() if key not in _IMAGE_FIELDS}
        number = integer(image, "image_id")
        return SA1BImage(text(image, "file_name"), size, tuple(records), number, extra, _labels(ids))


def iterate_sa1b(folder: str | os.PathLike[str]) -> Iterator[SA1BSample]:
    """Go through a folder as the data set is published, by name; nothing is read before it is asked for.

    Folders within it (sa_000000, sa_000001, ...) are gone through too. Images whose masks are missing are left out,
    and so are masks whose image is missing: a copy of some of the files is a data set too.

    Raises
    ------
    OSError
        Where the folder does not exist or cannot be read.
    """
    entries = sorted(Path(folder).iterdir())
    names = {entry.name for entry in entries}
    for entry in entries:
        if entry.is_dir():
            yield from iterate_sa1b(entry)
        elif entry.match("sa_*.jpg") and f"{entry.stem}.json" in names:
            yield SA1BSample(entry, entry.with_suffix(".json"))


def _labels(ids: Sequence[Any]) -> tuple[int, ...]:
    """Return ids as labels; those of the published data set go into hundreds of millions, and are counted anew."""
    most = _NUMBERS_PER_OBJECT * len(ids)
    if all(isinstance(one, int) and 0 < one <= most for one in ids) and len(set(ids)) == len(ids):
        return tuple(ids)
    return tuple(range(1, len(ids) + 1))


def _annotation(record: MaskRecord, number: int, size: tuple[int, int]) -> dict[str, Any]:
    if record.rle.size != size:
        raise ValueError(f"record {number} has the size {record.rle.size}; its image has {size}")
    return {
        "id": number,
        "segmentation": record.rle.to_dict(),
        "bbox": xywh_of(record.bbox),
        "area": record.area,
        **scores_of(record),
        "crop_box": xywh_of(record.crop_box),
        "point_coords": _foreground_points(record),
    }


def _foreground_points(record: MaskRecord) -> list[list[float]]:
    """Return the points [x, y] that the prompt has on the object."""
    points = record.prompt.get("points") or []
    labels = record.prompt.get("labels") or [1] * len(points)
    return [[float(col), float(row)] for (row, col), label in zip(points, labels, strict=True) if label == 1]
