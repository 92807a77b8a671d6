"""Napari's readers: COCO, SA-1B, mask records, YOLO and label TIFF files as Labels layers. Knows no Qt.

A file that cannot be read is told in one sentence and opens nothing: in a notification where there is a viewer's
window, as a ValueError in scripts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_segany.formats.coco import OBJECT, CocoDataset, CocoImage, read_coco
from napari_segany.formats.image_file import read_image
from napari_segany.formats.json_fields import reading
from napari_segany.formats.labels import read_label_tiff
from napari_segany.formats.mask_files import class_names_above, image_beside, json_kind, stem_of
from napari_segany.formats.pixel_size import read_pixel_size
from napari_segany.formats.record import read_records
from napari_segany.formats.sa1b import read_sa1b
from napari_segany.formats.yolo import read_yolo_labels
from napari_segany.widgets.kept_masks import MASKS_KEY, KeptMask, KeptMasks, PlaneIndex, painted
from napari_segany.widgets.label_features import features_of
from napari_segany.widgets.placement_fields import Placement, read_placement

LayerTuple = tuple[Any, dict[str, Any], str]
Read = Callable[[Path], list[LayerTuple]]

MOST_IMAGES = 50
"""Images of a COCO file that are opened as layers, at most."""

_NOTHING: list[Any] = [(None,)]  # what a reader returns that read a file and has no layer for it
_NUMBERS_PER_OBJECT = 10  # labels of a file may be so many times as high as there are objects, for the dense table


def get_json_reader(path: str | list[str]) -> Callable[[str], list[Any]] | None:
    """Return what reads a JSON file of masks; None for files that are something else, and for lists to be stacked."""
    if not isinstance(path, str):
        return None
    read = _json_reader(Path(path))
    return None if read is None else telling(read)


def get_yolo_reader(path: str | list[str]) -> Callable[[str], list[Any]] | None:
    """Return what reads YOLO's text; None for lists to be stacked."""
    return telling(_read_yolo) if isinstance(path, str) else None


def get_tiff_reader(path: str | list[str]) -> Callable[[str], list[Any]] | None:
    """Return what reads a label TIFF with its pixel size; None for lists to be stacked."""
    return telling(_read_tiff) if isinstance(path, str) else None


def telling(read: Read) -> Callable[[str], list[Any]]:
    """Return a reader that says in one sentence what is wrong with a file."""

    def told(path: str) -> list[Any]:
        try:
            return read(Path(path))
        except (ValueError, OSError, MemoryError) as error:
            sentence = sentence_of_file(Path(path), error)
        from napari import current_viewer
        from napari.utils.notifications import show_error

        if current_viewer() is None:
            raise ValueError(sentence)
        show_error(sentence)
        return _NOTHING

    return told


def sentence_of_file(path: Path, error: Exception) -> str:
    """Return in one sentence what is wrong with a file, with its name."""
    if isinstance(error, OSError) and error.strerror:
        return f"{path.name}: {error.strerror}."
    if isinstance(error, MemoryError):
        return f"{path.name}: there is not enough memory for its labels."
    text = " ".join(str(error).split())
    return f"{text if path.name in text else f'{path.name}: {text}'}."


def _json_reader(path: Path) -> Read | None:
    kind = json_kind(path)
    return None if kind is None else {"coco": _read_coco, "sa1b": _read_sa1b, "records": _read_records}[kind]


def _read_coco(path: Path) -> list[LayerTuple]:
    data = read_coco(path)
    stacks: dict[tuple[str, tuple[int, ...]], list[tuple[CocoImage, Placement]]] = {}
    for image in data.images:
        with reading(f"{path.name}: image {image.file_name!r}"):
            placement = read_placement(image.extra, image.size)
        stacks.setdefault((placement.stack or image.file_name, placement.shape), []).append((image, placement))
    if not stacks:
        raise ValueError(f"{path.name} holds no image")
    if len(stacks) > MOST_IMAGES:
        raise ValueError(
            f"{path.name} holds {len(stacks)} images, and at most {MOST_IMAGES} are opened as layers; "
            "take the file apart, or read it with napari_segany.formats.coco"
        )
    layers = []
    for number, ((name, shape), members) in enumerate(stacks.items()):
        title = stem_of(path) if len(stacks) == 1 else Path(name).stem
        layers.append(_coco_layer(title, name, shape, members, data, visible=number == 0))
    return layers


def _coco_layer(
    title: str,
    file_name: str,
    shape: tuple[int, ...],
    members: Sequence[tuple[CocoImage, Placement]],
    data: CocoDataset,
    *,
    visible: bool,
) -> LayerTuple:
    """Return a layer of one image, or of the planes of one stack."""
    labels = _label_numbers([image for image, _ in members])
    planes: dict[PlaneIndex, tuple[KeptMask, ...]] = {}
    category: dict[int, str] = {}
    for (image, placement), numbers in zip(members, labels, strict=True):
        if placement.plane in planes:
            raise ValueError(f"two images are the plane {list(placement.plane)} of {file_name!r}")
        planes[placement.plane] = tuple(
            KeptMask(number, item.record, item.is_crowd) for number, item in zip(numbers, image.objects, strict=True)
        )
        category |= {n: data.categories[item.category_id] for n, item in zip(numbers, image.objects, strict=True)}
    first, placement = members[0]
    kept = KeptMasks(planes, file_name=file_name, categories=data.categories, extra=first.extra)
    is_named = set(data.categories.values()) != {OBJECT}
    options = {**placement.keywords, "visible": visible}
    return _layer(title, shape or first.size, kept, category if is_named else None, options)


def _read_sa1b(path: Path) -> list[LayerTuple]:
    image = read_sa1b(path)
    with reading(path.name):
        placement = read_placement(image.extra, image.size)
    masks = tuple(KeptMask(label, record) for label, record in zip(image.labels, image.records, strict=True))
    kept = KeptMasks({placement.plane: masks}, file_name=image.file_name, image_id=image.image_id, extra=image.extra)
    return [_layer(stem_of(path), placement.shape or image.size, kept, None, placement.keywords)]


def _read_records(path: Path) -> list[LayerTuple]:
    records = read_records(path)
    sizes = sorted({record.rle.size for record in records})
    if len(sizes) != 1:
        raise ValueError(f"{path.name} holds masks of the sizes {sizes}; a layer needs masks of one size")
    masks = tuple(KeptMask(number, record) for number, record in enumerate(records, 1))
    return [_layer(stem_of(path), sizes[0], KeptMasks({(): masks}), None, {})]


def _read_yolo(path: Path) -> list[LayerTuple]:
    image_path = image_beside(path)
    height, width = (int(side) for side in read_image(image_path).shape[:2])
    objects = read_yolo_labels(path, (height, width))
    names = dict(class_names_above(path))
    for item in objects:
        names.setdefault(item.class_index, f"class {item.class_index}")
    # Categories of COCO files begin at 1; gaps are filled, so that each class keeps its number when saved again.
    categories = {index + 1: names.get(index, f"class {index}") for index in range(max(names, default=-1) + 1)} or {
        1: OBJECT
    }
    masks = tuple(KeptMask(number, item.record) for number, item in enumerate(objects, 1))
    category = {number: categories[item.class_index + 1] for number, item in enumerate(objects, 1)}
    kept = KeptMasks({(): masks}, file_name=image_path.name, categories=categories)
    return [_layer(stem_of(path), (height, width), kept, category, {})]


def _read_tiff(path: Path) -> list[LayerTuple]:
    labels = read_label_tiff(path)
    pixel_size = read_pixel_size(path)
    options: dict[str, Any] = {"name": stem_of(path)}
    if pixel_size is not None:
        further = labels.ndim - 2
        options["scale"] = [*[1.0] * further, pixel_size.row, pixel_size.col]
        options["units"] = [*["pixel"] * further, pixel_size.unit, pixel_size.unit]
    return [(labels, options, "labels")]


def _layer(
    title: str,
    shape: tuple[int, ...],
    kept: KeptMasks,
    category: Mapping[int, str] | None,
    options: Mapping[str, Any],
) -> LayerTuple:
    """Return masks as a Labels layer, with their scores as features and themselves in the metadata."""
    planes = {index: painted(masks, (shape[-2], shape[-1])) for index, masks in kept.planes.items()}
    labels = np.zeros(shape, np.result_type(np.uint16, *planes.values()))
    for index, plane in planes.items():
        labels[index] = plane
    features: pd.DataFrame = features_of([mask for masks in kept.planes.values() for mask in masks], category)
    meta = {"name": title, "features": features, "metadata": {MASKS_KEY: kept}, **options}
    return labels, meta, "labels"


def _label_numbers(images: Sequence[CocoImage]) -> list[list[int]]:
    """Return the objects' labels: those of the file where they serve, otherwise 1, 2, ... over all images."""
    written = [[item.label for item in image.objects] for image in images]
    own = [[label for label in labels if label is not None and label > 0] for labels in written]
    count = sum(map(len, written))
    highest = max((label for labels in own for label in labels), default=0)
    if all(len(set(good)) == len(labels) for good, labels in zip(own, written, strict=True)) and (
        highest <= _NUMBERS_PER_OBJECT * count + 1000
    ):
        return own
    numbers: Iterator[int] = iter(range(1, count + 1))
    return [[next(numbers) for _ in image.objects] for image in images]
