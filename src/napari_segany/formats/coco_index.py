"""COCO's and LVIS's instance files image by image: masks are made of an annotation when they are asked for.

`coco.py` reads a file whole, with every mask; a file of LVIS (Gupta et al. 2019, arXiv:1908.03195) has a million of
them, and names its images by address only. Knows numpy and files only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_segany.formats.annotation import annotation_name, read_record
from napari_segany.formats.json_fields import image_size, integer, objects, optional_number, read_json_object, reading
from napari_segany.formats.rle import RunLengths

FREQUENCIES: Mapping[str, str] = {"f": "frequent", "c": "common", "r": "rare"}
"""LVIS's groups of categories, by the number of training images that have them."""


@dataclass(frozen=True)
class IndexedImage:
    """An image with its annotations as the file holds them.

    Attributes
    ----------
    image_id : int
        Its number.
    file_name : str
        As the file gives it; of an image that only has an address, what follows the host.
    size : tuple of int
        (H, W), in pixels.
    annotations : tuple of Mapping
        As JSON holds them.
    extra : Mapping
        What else the file says of the image; LVIS: `neg_category_ids`, `not_exhaustive_category_ids`.
    """

    image_id: int
    file_name: str
    size: tuple[int, int]
    annotations: tuple[Mapping[str, Any], ...] = field(repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def whole_objects(self) -> tuple[Mapping[str, Any], ...]:
        """The annotations of single objects; crowds, which nobody told apart, are left out."""
        return tuple(one for one in self.annotations if one.get("iscrowd") not in (1, True))

    def category_numbers(self, key: str) -> frozenset[int]:
        """Return the categories that the file lists of the image under `key`, none where it has no such list.

        Raises
        ------
        ValueError
            Where there is something else than a list of whole numbers.
        """
        listed = self.extra.get(key, [])
        if not isinstance(listed, list) or not all(type(one) is int for one in listed):
            raise ValueError(f"image {self.image_id}: {key!r} is no list of the numbers of categories")
        return frozenset(listed)

    def mask(self, annotation: Mapping[str, Any]) -> RunLengths:
        """Return the mask of one of the annotations.

        Raises
        ------
        ValueError
            For damaged run lengths or polygons.
        """
        with reading(annotation_name(annotation, 0)):
            return read_record(annotation, self.size).rle

    def area(self, annotation: Mapping[str, Any], mask: RunLengths) -> float:
        """Return the area that the file gives an object, by which its size is told, or else that of its mask."""
        given = optional_number(annotation, "area")
        return float(mask.area) if given is None else given


@dataclass(frozen=True)
class CocoIndex:
    """What a COCO or LVIS file holds.

    Attributes
    ----------
    images : tuple of IndexedImage
        In the order of the file.
    categories : Mapping
        What is said of each category, by its number: `name`, and where the file has them `supercategory`,
        `frequency`, ...
    """

    images: tuple[IndexedImage, ...]
    categories: Mapping[int, Mapping[str, Any]]

    def group_of(self, category_id: int, by: str) -> str:
        """Return the group of a category: LVIS's frequency in a word, or another value of it as text; "" for none."""
        value = str(self.categories.get(category_id, {}).get(by, ""))
        return FREQUENCIES.get(value, value) if by == "frequency" else value

    def groups(self, by: str) -> tuple[str, ...]:
        """Return all groups of categories, frequent ones first, else by name.

        Raises
        ------
        ValueError
            Where no category has such a value.
        """
        found = {self.group_of(number, by) for number in self.categories} - {""}
        if not found:
            known = sorted({key for one in self.categories.values() for key in one if key not in ("id", "synset")})
            raise ValueError(f"no category has {by!r}; the categories have {', '.join(known) or 'nothing'}")
        order = [name for name in FREQUENCIES.values() if name in found] if by == "frequency" else []
        return (*order, *sorted(found - set(order)))


def read_coco_index(path: str | os.PathLike[str]) -> CocoIndex:
    """Read a COCO or LVIS file of instances without making its masks.

    Raises
    ------
    OSError
        Where the file cannot be read.
    ValueError
        For a file that is damaged or of another kind; one sentence that names the file.
    """
    values = read_json_object(path, "COCO or LVIS")
    with reading(Path(path).name):
        categories = {integer(item, "id"): item for item in objects(values, "categories")}
        items = {integer(item, "id"): item for item in objects(values, "images")}
        members: dict[int, list[Mapping[str, Any]]] = {number: [] for number in items}
        for position, annotation in enumerate(objects(values, "annotations")):
            with reading(annotation_name(annotation, position)):
                image_id, category_id = integer(annotation, "image_id"), integer(annotation, "category_id")
                if image_id not in members:
                    raise ValueError(f"it belongs to the image {image_id}, which the file does not have")
                if category_id not in categories:
                    raise ValueError(f"it belongs to the category {category_id}, which the file does not have")
                members[image_id].append(annotation)
        return CocoIndex(tuple(_image(item, tuple(members[number])) for number, item in items.items()), categories)


def home_of_images(path: Path, file_names: Iterable[str]) -> Path:
    """Return the folder that the file names start from: the first around the file where one of the images is.

    Raises
    ------
    ValueError
        Where none of them is near the file.
    """
    names = list(file_names)
    above = path.parent.parent
    kind = path.stem.removeprefix("instances_")
    for home in (path.parent, path.parent / "images", path.parent / kind, above / "images", above / kind, above):
        if any((home / name).is_file() for name in names):
            return home
    raise ValueError(f"none of the {len(names)} images of {path.name} is near it; give their folder as well")


def _image(item: Mapping[str, Any], annotations: tuple[Mapping[str, Any], ...]) -> IndexedImage:
    number = integer(item, "id")
    with reading(f"image {number}"):
        name = item.get("file_name")
        if not isinstance(name, str):
            address = item.get("coco_url")
            if not isinstance(address, str):
                raise ValueError("it has neither 'file_name' nor 'coco_url'")
            name = "/".join(address.split("/")[-2:])  # val2017/000000000139.jpg
        extra = {key: value for key, value in item.items() if key not in ("id", "file_name", "height", "width")}
        return IndexedImage(number, name, image_size(item), annotations, extra)
