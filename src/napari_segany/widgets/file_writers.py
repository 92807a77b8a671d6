"""Napari's writers: Labels layers as COCO, SA-1B, YOLO and label TIFF files. Knows napari's layer tuples, but no Qt.

Every writer takes all the layers that are to be saved, so that "Save All" and "Save Selected" offer it beside images
and prompts; it writes the Labels layers and tells what it left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np

from napari_segany.formats.coco import OBJECT, CocoObject, CocoWriter, writing_coco
from napari_segany.formats.labels import write_label_tiff
from napari_segany.formats.mask_files import class_names_above
from napari_segany.formats.pixel_size import PixelSize, known_unit
from napari_segany.formats.sa1b import write_sa1b as write_sa1b_file
from napari_segany.formats.yolo import YoloData, YoloObject, write_data_yaml, write_yolo_labels
from napari_segany.widgets.kept_masks import KeptMasks, PlaneIndex
from napari_segany.widgets.label_features import CATEGORY
from napari_segany.widgets.labels_source import LabelsSource, LayerTuple, image_name, labels_of
from napari_segany.widgets.placement_fields import FIELD, fields_of

COCO_ENDINGS = (".coco.json", ".json")
SA1B_ENDINGS = (".sa1b.json", ".json")
YOLO_ENDINGS = (".txt",)
TIFF_ENDINGS = (".labels.tif", ".labels.tiff", ".tif", ".tiff")

Writer = Callable[[str, Sequence[LayerTuple]], list[str]]


class NotSavedError(RuntimeError):
    """The layers cannot be saved in this format; the message says why, and what can be done.

    No ValueError: napari takes one that a writer raises for the lack of a writer, and says so.
    """


def telling(write: Writer) -> Writer:
    """Return a writer whose complaints reach the user."""

    @wraps(write)
    def told(path: str, layers: Sequence[LayerTuple]) -> list[str]:
        try:
            return write(path, layers)
        except ValueError as error:
            raise NotSavedError(str(error)) from error

    return told


@telling
def write_coco(path: str, layers: Sequence[LayerTuple]) -> list[str]:
    """Write Labels layers into one COCO file; stacks plane by plane, categories from features or layers' names.

    Layers of one image that lie at the same place become one image of the file.
    """
    target = target_of(path, COCO_ENDINGS)
    sources = labels_of(layers)
    images: dict[tuple[str, str], list[LabelsSource]] = {}
    for source in sources:
        place = fields_of(source.meta, len(source.shape))
        images.setdefault((image_name(source, layers), repr((source.shape, place))), []).append(source)
    names = Counter(name for name, _ in images)
    categories = _categories(sources)
    with writing_coco(target, categories) as coco:
        for (name, _), members in images.items():
            own = name if names[name] == 1 else f"{name} ({members[0].name})"
            _add_image(coco, own, members, {text: number for number, text in categories.items()}, len(sources) > 1)
    tell_of_rest(layers, "COCO")
    return [str(target)]


@telling
def write_sa1b(path: str, layers: Sequence[LayerTuple]) -> list[str]:
    """Write one Labels layer of one image as an SA-1B file."""
    target = target_of(path, SA1B_ENDINGS)
    source, index = one_plane(layers, "An SA-1B file")
    masks = list(source.masks(index))
    write_sa1b_file(
        target,
        [mask.record for mask in masks],
        file_name=image_name(source, layers),
        size=source.size,
        image_id=(source.kept or KeptMasks({})).image_id or 1,
        extra=_extra(source, index),
        labels=[mask.label for mask in masks],
    )
    tell_of_rest(layers, "SA-1B")
    return [str(target)]


@telling
def write_yolo(path: str, layers: Sequence[LayerTuple]) -> list[str]:
    """Write one Labels layer of one image as YOLO's text of polygons.

    Classes are numbered as in the data.yaml of its data set; where there is none, as the layer's categories, and one
    with their names is written beside it.
    """
    target = target_of(path, YOLO_ENDINGS)
    source, index = one_plane(layers, "A YOLO file")
    masks = list(source.masks(index))
    known = class_names_above(target)
    classes = {name: number for number, name in known.items()}
    if not known:
        classes = {name: place for place, name in enumerate(_categories([source]).values())}
    missing = sorted({mask.category or OBJECT for mask in masks} - set(classes))
    if missing:
        raise ValueError(
            f"the data.yaml of the data set has the classes {', '.join(classes)}, and objects are of "
            f"{', '.join(missing)}; add that there, or save into another folder."
        )
    write_yolo_labels(target, [YoloObject(mask.record, classes[mask.category or OBJECT]) for mask in masks])
    written = [str(target)]
    if not known and set(classes) != {OBJECT}:
        names = target.with_name("data.yaml")
        write_data_yaml(names, YoloData({place: name for name, place in classes.items()}, ".", ".", "."))
        written.append(str(names))
    tell_of_rest(layers, "YOLO")
    return written


@telling
def write_label_image(path: str, layers: Sequence[LayerTuple]) -> list[str]:
    """Write one Labels layer, of any number of axes, as a compressed TIFF file with its pixel size."""
    target = target_of(path, TIFF_ENDINGS)
    source = _one(layers, "A label TIFF file")
    labels = np.asarray(source.data)
    if labels.min(initial=0) >= 0:
        highest = int(labels.max(initial=0))
        labels = labels.astype(np.uint16 if highest < 2**16 else np.uint32 if highest < 2**32 else np.uint64)
    write_label_tiff(target, labels, pixel_size=_pixel_size(source))
    tell_of_rest(layers, "label TIFF")
    return [str(target)]


def target_of(path: str, endings: Sequence[str]) -> Path:
    """Return where to write: the name that was typed, with the format's ending where it has none.

    The dialog asked about replacing the name that was typed, not about the one with the ending.
    """
    if path.lower().endswith(tuple(endings)):
        return Path(path)
    target = Path(path + endings[0])
    if target.exists():
        raise ValueError(f"{target.name} exists already; give the whole name, with its ending, to replace it.")
    return target


def _one(layers: Sequence[LayerTuple], what: str) -> LabelsSource:
    sources = labels_of(layers)
    if len(sources) != 1:
        names = ", ".join(source.name for source in sources)
        raise ValueError(f"{what} holds one Labels layer, and these are {len(sources)} ({names}); select one.")
    return sources[0]


def one_plane(layers: Sequence[LayerTuple], what: str) -> tuple[LabelsSource, PlaneIndex]:
    """Return the only Labels layer and the index of its only plane; a ValueError where there are more of either."""
    source = _one(layers, what)
    leading = source.shape[:-2]
    if any(side != 1 for side in leading):
        raise ValueError(
            f"{what} holds the masks of one plane, and the layer {source.name!r} has the shape {source.shape}; "
            "save it as COCO (.coco.json), which takes a stack plane by plane, or as label TIFF (.labels.tif)."
        )
    return source, (0,) * len(leading)


def _add_image(
    coco: CocoWriter, name: str, members: Sequence[LabelsSource], numbers: dict[str, int], by_layer: bool
) -> None:
    """Write layers of one image, or all planes of layers of one stack."""
    for index in np.ndindex(members[0].shape[:-2]):
        objects = [
            CocoObject(mask.record, numbers[mask.category or _unnamed(source, by_layer)], mask.is_crowd, mask.label)
            for source in members
            for mask in source.masks(index)
        ]
        own = f"{name}[{','.join(map(str, index))}]" if index else name
        coco.add(own, members[0].size, objects, _extra(members[0], index, name))


def _unnamed(source: LabelsSource, by_layer: bool) -> str:
    """Return the category of objects that have none: of several layers each is one."""
    return source.name if by_layer else OBJECT


def _categories(sources: Sequence[LabelsSource]) -> dict[int, str]:
    """Return the names of the categories by their numbers: those of files and classes keep theirs, others follow."""
    categories: dict[int, str] = {}
    for source in sources:
        for one in source.classes:
            if one.name not in categories.values():
                categories[one.number if one.number not in categories else max(categories) + 1] = one.name
    for source in sources:
        for number, name in (source.kept or KeptMasks({})).categories.items():
            if name not in categories.values():
                categories[number if number not in categories else max(categories) + 1] = name
    needed = {name for source in sources for name in _needed_categories(source, len(sources) > 1)}
    for name in sorted(needed - set(categories.values())):
        categories[max(categories, default=0) + 1] = name
    return dict(sorted(categories.items()))


def _needed_categories(source: LabelsSource, by_layer: bool) -> set[str]:
    features = source.meta.get("features")
    rows = [] if features is None or CATEGORY not in features else features[CATEGORY].tolist()
    named = {name for name in rows if isinstance(name, str) and name}
    masks = (mask for index in np.ndindex(source.shape[:-2]) for mask in source.masks(index))
    unnamed = not named or any(mask.category is None for mask in masks)
    return named | ({_unnamed(source, by_layer)} if unnamed else set())


def _extra(source: LabelsSource, index: PlaneIndex, stack: str = "") -> dict[str, Any]:
    """Return the fields of an image beside those of its format."""
    place = fields_of(source.meta, len(source.shape))
    if index:
        place |= {"stack": stack or source.name, "shape": list(source.shape), "plane": list(index)}
    others = {key: value for key, value in (source.kept or KeptMasks({})).extra.items() if key != FIELD}
    return {**others, FIELD: place} if place else others


def _pixel_size(source: LabelsSource) -> PixelSize | None:
    units = [_length(unit) for unit in source.meta.get("units") or ()][-2:]
    if len(units) != 2 or units[0] is None or units[0] != units[1]:
        return None
    row, col = (abs(float(step)) for step in source.meta["scale"][-2:])  # a negative one flips the axis
    return PixelSize(row, col, units[0])


def _length(unit: Any) -> str | None:
    """Return a unit under the name that files know, whether it is written out or not."""
    return known_unit(str(unit)) or (None if isinstance(unit, str) else known_unit(f"{unit:~}"))


def tell_of_rest(layers: Sequence[LayerTuple], form: str) -> None:
    """Say in a notification which layers are not in the file."""
    written = {source.name for source in labels_of(layers)}
    rest = [str(meta.get("name")) for _, meta, kind in layers if kind != "image" and meta.get("name") not in written]
    has_image = any(kind == "image" for _, _, kind in layers)
    if not rest and not has_image:
        return
    from napari.utils.notifications import show_info

    pixels = ["the pixels of images"] if has_image else []
    show_info(f"A {form} file holds labels only; not written: {', '.join([*pixels, *rest])}.")
