"""Any file of masks as images with named masks, so that each format can become each other. Knows numpy and files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from errno import ENOENT
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.coco import read_coco
from napari_segany.formats.image_file import holds_colours, read_array, read_image
from napari_segany.formats.labels import read_label_tiff, run_lengths_by_label
from napari_segany.formats.mask_files import class_names_above, image_beside, json_kind, name_within, stem_of
from napari_segany.formats.pixel_size import PixelSize, read_pixel_size
from napari_segany.formats.record import MaskRecord, read_records
from napari_segany.formats.sa1b import read_sa1b
from napari_segany.formats.yolo import read_yolo_labels

LABEL_IMAGES = (".tif", ".tiff", ".png", ".npy")
ENDINGS = (*LABEL_IMAGES, ".json", ".txt")
"""Endings of files that `read_masked_images` reads."""

HIGHEST_LABEL = 2**63 - 1
"""What tables and vector files can hold as the number of an object."""

_MOST_CLASSES = 10_000  # that are named where a YOLO text uses one without a name


@dataclass(frozen=True)
class NamedMask:
    """A mask with the number of its object in its image, from 1, and its category; None if nobody named one."""

    record: MaskRecord
    label: int
    category: str | None = None
    is_crowd: bool = False


@dataclass(frozen=True)
class MaskedImage:
    """What a file says of one image or plane of a stack.

    Attributes
    ----------
    file_name : str
        Of the image that the masks are of, as far as the file tells; else that of the file, with [k] for plane k.
    size : tuple of int
        (H, W) in pixels.
    masks : tuple of NamedMask
        Its objects, each mask of that size.
    source : Path
        The file.
    pixel_size : PixelSize or None
        Where the file tells it.
    categories : Mapping
        Names of all categories that the file knows by their numbers, from 1 for YOLO's; also those of no mask.
    """

    file_name: str
    size: tuple[int, int]
    masks: tuple[NamedMask, ...]
    source: Path
    pixel_size: PixelSize | None = None
    categories: Mapping[int, str] = field(default_factory=dict, hash=False)


def read_masked_images(path: Path) -> Iterator[MaskedImage]:
    """Read a label image (planes of a stack one by one), COCO, SA-1B, mask records or YOLO's text.

    Raises
    ------
    OSError
        Where the file cannot be read.
    ValueError
        For a file that is damaged or of another kind; one sentence that names the file.
    """
    if not path.exists():
        raise FileNotFoundError(ENOENT, "no such file", str(path))
    suffix = path.suffix.lower()
    if suffix in LABEL_IMAGES:
        yield from _label_image(path)
    elif suffix == ".txt":
        yield _yolo(path)
    elif suffix == ".json":
        yield from _json(path)
    else:
        raise ValueError(f"{path.name} is no file of masks; those end in {', '.join(ENDINGS)}")


def _label_image(path: Path) -> Iterator[MaskedImage]:
    labels = _label_tiff(path) if path.suffix.lower() in (".tif", ".tiff") else _other_labels(path)
    if labels.ndim < 2:
        raise ValueError(f"{path.name} has the shape {labels.shape}; a label image is (H, W), or a stack of such")
    pixel_size = read_pixel_size(path)
    for index in np.ndindex(labels.shape[:-2]):
        name = f"{path.name}[{','.join(map(str, index))}]" if index else path.name
        yield _from_labels(name, labels[index], path, pixel_size)


def _label_tiff(path: Path) -> NDArray[Any]:
    labels = read_label_tiff(path)
    if holds_colours(path):
        raise _no_labels(path, labels)
    return labels


def _other_labels(path: Path) -> NDArray[Any]:
    labels = read_array(path)
    if labels.dtype.kind not in "bui" or (path.suffix.lower() == ".png" and labels.ndim != 2):
        raise _no_labels(path, labels)
    return labels


def _no_labels(path: Path, pixels: NDArray[Any]) -> ValueError:
    return ValueError(
        f"{path.name} holds no labels: its pixels are {pixels.dtype} of the shape {pixels.shape}, "
        "not one integer each"
    )


def _from_labels(name: str, labels: NDArray[Any], path: Path, pixel_size: PixelSize | None) -> MaskedImage:
    found = run_lengths_by_label(labels)
    if any(label < 0 for label in found):
        raise ValueError(f"{path.name} holds negative labels; those of objects are 1, 2, ...")
    if any(label > HIGHEST_LABEL for label in found):
        raise ValueError(f"{path.name} holds the label {max(found)}; labels go up to {HIGHEST_LABEL}")
    masks = tuple(NamedMask(MaskRecord.from_mask(rle), label) for label, rle in found.items())
    return MaskedImage(name, (labels.shape[0], labels.shape[1]), masks, path, pixel_size)


def _yolo(path: Path) -> MaskedImage:
    image = image_beside(path)
    height, width = (int(side) for side in read_image(image).shape[:2])
    found = read_yolo_labels(path, (height, width))
    names = _class_names(path, {item.class_index for item in found})
    masks = tuple(NamedMask(item.record, number, names[item.class_index]) for number, item in enumerate(found, 1))
    categories = {index + 1: name for index, name in names.items()}
    return MaskedImage(name_within(image), (height, width), masks, path, read_pixel_size(image), categories)


def _class_names(path: Path, used: set[int]) -> dict[int, str]:
    """Return the names of all classes up to the highest, so that each keeps its number."""
    names = class_names_above(path)
    known = {*names, *used}
    numbers = known | set(range(min(max(known, default=-1), _MOST_CLASSES)))
    return {index: names.get(index, f"class {index}") for index in sorted(numbers)}


def _json(path: Path) -> Iterator[MaskedImage]:
    kind = json_kind(path)
    if kind == "coco":
        yield from _coco(path)
    elif kind == "sa1b":
        image = read_sa1b(path)
        masks = tuple(NamedMask(record, label) for record, label in zip(image.records, image.labels, strict=True))
        yield MaskedImage(image.file_name, image.size, masks, path)
    elif kind == "records":
        records = read_records(path)
        sizes = sorted({record.rle.size for record in records})
        if len(sizes) != 1:
            raise ValueError(f"{path.name} holds masks of the sizes {sizes}; those of one image have one size")
        yield MaskedImage(stem_of(path), sizes[0], _numbered(records), path)
    else:
        raise ValueError(f"{path.name} is no file of masks; COCO, SA-1B and mask records are read")


def _coco(path: Path) -> Iterator[MaskedImage]:
    data = read_coco(path)
    for image in data.images:
        labels = [item.label for item in image.objects]
        own = [label for label in labels if label is not None and 0 < label <= HIGHEST_LABEL]
        numbers = own if len(set(own)) == len(labels) else list(range(1, len(labels) + 1))
        masks = tuple(
            NamedMask(item.record, number, data.categories[item.category_id], item.is_crowd)
            for item, number in zip(image.objects, numbers, strict=True)
        )
        yield MaskedImage(image.file_name, image.size, masks, path, categories=data.categories)


def _numbered(records: list[MaskRecord] | tuple[MaskRecord, ...]) -> tuple[NamedMask, ...]:
    return tuple(NamedMask(record, number) for number, record in enumerate(records, 1))
