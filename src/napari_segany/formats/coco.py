"""COCO's instance files: one JSON for many images. Knows numpy and files only.

The format is that of Lin et al. 2014 (doi:10.1007/978-3-319-10602-1_48). A mask is written as compressed run lengths,
which hold holes and separate parts. Polygons are written on request; a list of polygons is their union, so a hole has
no polygon of its own and is joined to the outline by a bridge (see `polygons`), where polygons are insisted on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO

from napari_segany.formats.annotation import annotation_name, read_record, scores_of, xywh_of
from napari_segany.formats.atomic import replacing
from napari_segany.formats.json_fields import image_size, integer, objects, read_json_object, reading, text
from napari_segany.formats.polygons import has_holes, polygons_of, rasterise
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths

Form = Literal["rle", "polygons", "only polygons"]

OBJECT = "object"
"""Category of objects that nobody named."""

_IMAGE_FIELDS = ("id", "file_name", "height", "width")


@dataclass(frozen=True)
class CocoObject:
    """A mask with its category.

    Attributes
    ----------
    record : MaskRecord
        The mask.
    category_id : int
        The number of its category.
    is_crowd : bool
        Whether it covers many objects that nobody told apart.
    label : int, optional
        Its number in a label image, which tells parts of one object in several planes from other objects. COCO has no
        such field; other programs pass over it.
    """

    record: MaskRecord
    category_id: int = 1
    is_crowd: bool = False
    label: int | None = None


@dataclass(frozen=True)
class CocoImage:
    """An image with its objects.

    Attributes
    ----------
    file_name : str
        The image's file name, as the file gives it.
    size : tuple of int
        (H, W) of the image, in pixels.
    objects : tuple of CocoObject
        Its objects, each mask of that size.
    extra : Mapping
        What else the file says of the image, as plain values: license, date_captured, ...
    """

    file_name: str
    size: tuple[int, int]
    objects: tuple[CocoObject, ...]
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class CocoDataset:
    """What a COCO file holds.

    Attributes
    ----------
    images : tuple of CocoImage
        The images in the order of the file.
    categories : Mapping
        The names of the categories by their numbers.
    """

    images: tuple[CocoImage, ...]
    categories: Mapping[int, str]


class CocoWriter:
    """Adds images to a COCO file that is open; `writing_coco` makes one. Masks go to the disk at once."""

    def __init__(self, file: TextIO, categories: Mapping[int, str], form: Form, tolerance: float) -> None:
        self._file = file
        self._categories = categories
        self._form = form
        self._tolerance = tolerance
        self._images: dict[str, dict[str, Any]] = {}
        self._written = 0

    def add(
        self,
        file_name: str,
        size: tuple[int, int],
        objects: Sequence[CocoObject],
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Add an image with its objects; on an error nothing of it is added.

        Parameters
        ----------
        file_name : str
            The image's file name.
        size : (int, int)
            (H, W) of the image, in pixels.
        objects : sequence of CocoObject
            Its objects; none for an image without.
        extra : Mapping, optional
            Further fields of the image, plain values for JSON; those that COCO itself asks for win.

        Raises
        ------
        ValueError
            For a mask of another size, a category that the file does not have, or a second image of that name.
        OSError
            Where the file cannot be written.
        """
        if file_name in self._images:
            raise ValueError(f"the image {file_name!r} is in the file already; give each image a name of its own")
        height, width = (int(side) for side in size)
        own = {"id": len(self._images) + 1, "file_name": file_name, "height": height, "width": width}
        image = {**(extra or {}), **own}
        annotations = [
            {"id": number, "image_id": image["id"], **self._annotation(item, (height, width))}
            for number, item in enumerate(objects, self._written + 1)
        ]
        for annotation in annotations:
            self._file.write(",\n" if self._written else "")
            self._file.write(json.dumps(annotation))
            self._written += 1
        self._images[file_name] = image

    def begin(self) -> None:
        """Write what comes before the objects."""
        categories = [{"id": int(number), "name": name} for number, name in self._categories.items()]
        self._file.write(f'{{"categories": {json.dumps(categories)},\n"annotations": [\n')

    def end(self) -> None:
        """Write what comes after the objects."""
        self._file.write(f'\n],\n"images": {json.dumps(list(self._images.values()))}}}\n')

    def _annotation(self, item: CocoObject, size: tuple[int, int]) -> dict[str, Any]:
        if item.record.rle.size != size:
            raise ValueError(f"a mask has the size {item.record.rle.size}; its image has {size}")
        if item.category_id not in self._categories:
            raise ValueError(f"the category {item.category_id} is none of {sorted(self._categories)}")
        segmentation, rle = self._segmentation(item.record.rle)
        scores = {name: score for name, score in scores_of(item.record).items() if score is not None}
        return {
            "category_id": int(item.category_id),
            "segmentation": segmentation,
            "bbox": xywh_of(rle.bbox),
            "area": rle.area,
            "iscrowd": int(item.is_crowd),
            **scores,
            **({} if item.label is None else {"label": int(item.label)}),
        }

    def _segmentation(self, rle: RunLengths) -> tuple[Any, RunLengths]:
        """Return what stands in the file, and the mask that a reader gets from it."""
        needs_runs = rle.area == 0 or (self._form == "polygons" and has_holes(rle))
        if self._form == "rle" or needs_runs:
            return rle.to_dict(), rle
        rings = polygons_of(rle, tolerance=self._tolerance)
        return [ring.ravel().tolist() for ring in rings], rasterise(rings, rle.size) if self._tolerance else rle


@contextmanager
def writing_coco(
    path: str | os.PathLike[str],
    categories: Mapping[int, str] | None = None,
    *,
    form: Form = "rle",
    tolerance: float = 0.0,
) -> Iterator[CocoWriter]:
    """Write a COCO file image by image; it is there, whole, when the block ends without an error.

    Parameters
    ----------
    path : path
        The JSON file; it replaces one that is there.
    categories : Mapping, optional
        Names of the categories by their numbers; {1: "object"} by default.
    form : {"rle", "polygons", "only polygons"}
        Run lengths; or polygons where a mask has no holes and run lengths where it has; or polygons for all, with
        bridges to the holes. An empty mask has no polygon and is always written as run lengths.
    tolerance : float
        How far, in pixels, simplified polygons may be from the exact ones; 0 keeps them exact.

    Yields
    ------
    CocoWriter
        Its `add` takes one image with its objects.

    Raises
    ------
    ValueError
        For a form or tolerance that does not exist.
    OSError
        Where the file cannot be written.
    """
    if form not in ("rle", "polygons", "only polygons"):
        raise ValueError(f"the form is {form!r}; choose 'rle', 'polygons' or 'only polygons'")
    if not tolerance >= 0:
        raise ValueError(f"the tolerance is {tolerance} pixels; give 0 or more")
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        writer = CocoWriter(file, {1: OBJECT} if categories is None else dict(categories), form, tolerance)
        writer.begin()
        yield writer
        writer.end()


def read_coco(path: str | os.PathLike[str]) -> CocoDataset:
    """Read a COCO file of instances; run lengths (compressed or not) and polygons alike.

    Raises
    ------
    OSError
        Where the file cannot be read.
    ValueError
        For a file that is damaged or of another kind; one sentence that names the file and the annotation.
    """
    values = read_json_object(path, "COCO")
    with reading(Path(path).name):
        categories = {integer(item, "id"): text(item, "name") for item in objects(values, "categories")}
        images = _read_images(values)
        members: dict[int, list[CocoObject]] = {number: [] for number in images}
        for position, annotation in enumerate(objects(values, "annotations")):
            with reading(annotation_name(annotation, position)):
                image_id = integer(annotation, "image_id")
                if image_id not in images:
                    raise ValueError(f"it belongs to the image {image_id}, which the file does not have")
                members[image_id].append(_read_object(annotation, images[image_id][1], categories))
        return CocoDataset(
            tuple(
                CocoImage(file_name, size, tuple(members[number]), extra)
                for number, (file_name, size, extra) in images.items()
            ),
            categories,
        )


def _read_images(values: Mapping[str, Any]) -> dict[int, tuple[str, tuple[int, int], dict[str, Any]]]:
    images: dict[int, tuple[str, tuple[int, int], dict[str, Any]]] = {}
    for item in objects(values, "images"):
        number = integer(item, "id")
        if number in images:
            raise ValueError(f"two images have the id {number}")
        with reading(f"image {number}"):
            extra = {key: value for key, value in item.items() if key not in _IMAGE_FIELDS}
            images[number] = text(item, "file_name"), image_size(item), extra
    return images


def _read_object(annotation: Mapping[str, Any], size: tuple[int, int], categories: Mapping[int, str]) -> CocoObject:
    category_id = integer(annotation, "category_id")
    if category_id not in categories:
        raise ValueError(f"it belongs to the category {category_id}, which the file does not have")
    label = None if annotation.get("label") is None else integer(annotation, "label")
    return CocoObject(read_record(annotation, size), category_id, annotation.get("iscrowd") in (1, True), label)
