"""The files of one image: labels, table, SA-1B, YOLO-seg and overlay, out of the masks that are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_segany.engine.batch.detection import BatchObject
from napari_segany.engine.batch.folder import BatchFolder
from napari_segany.engine.batch.settings import BatchJob
from napari_segany.engine.batch.sources import ONLY_PLANE, BatchImage, ImageContent, Limits
from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.formats.atomic import replacing
from napari_segany.formats.geo_features import vector_files
from napari_segany.formats.geo_labels import write_label_geotiff
from napari_segany.formats.geo_vectors import VectorObject, write_vectors
from napari_segany.formats.labels import write_label_tiff
from napari_segany.formats.overlay import write_overlay_png
from napari_segany.formats.painting import paint
from napari_segany.formats.pixel_size import PixelSize
from napari_segany.formats.sa1b import write_sa1b
from napari_segany.formats.table import Table, property_table, write_table
from napari_segany.formats.yolo import YoloObject, write_yolo_labels

if TYPE_CHECKING:
    from napari_segany.formats.geo_pyramid import RasterView


@dataclass
class _Collected:
    """What the planes of one image have in common, while they are gone through."""

    labels: list[NDArray[Any]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    count: int = 0


def write_image_steps(image: BatchImage, content: ImageContent, job: BatchJob) -> Steps[tuple[int, list[Path]]]:
    """Write what is asked for of one image, whose masks are kept in the folder.

    The label image of a stack is a stack; its labels go on from plane to plane, and so do those of the table.

    Yields
    ------
    Progress
        Planes.

    Returns
    -------
    (int, list of pathlib.Path)
        The number of masks, and the files.

    Raises
    ------
    OSError
        Where the folder cannot be written to.
    """
    folder, kinds = BatchFolder(job.folder), job.settings.image_outputs
    limits = content.limits()
    collected = _Collected()
    stacked = list(np.ndindex(*content.stack_shape))
    for number, (plane, pixels) in enumerate(content.planes()):
        yield Progress(number, len(stacked), "Writing the files")
        objects = folder.read_plane(image.name, plane).objects
        collected.files += _write_plane(image, plane, pixels, objects, limits, job)
        if "labels" in kinds:
            collected.labels.append(_labels(objects, content, collected.count, job))
        if "csv" in kinds:
            table = _table(image, pixels, objects, content.pixel_size)
            table["label"] = table["label"] + collected.count
            collected.tables.append(_located(table, stacked[number], len(objects)))
        collected.count += len(objects)
    collected.files += _write_whole(image, content, collected, job)
    if job.settings.vector_outputs and content.view is not None:
        collected.files += yield from _vector_steps(image, content.view, job)
    return collected.count, collected.files


def files_of(image: BatchImage, planes: Sequence[str], job: BatchJob) -> list[Path]:
    """Return where `write_image_steps` will write, given the names of the planes."""
    folder = BatchFolder(job.folder)
    kinds = [*job.settings.image_outputs, *(["yolo images"] if "yolo" in job.settings.image_outputs else [])]
    return list(dict.fromkeys(folder.place(kind, image.name, plane) for kind in kinds for plane in planes))


def picture_of(pixels: NDArray[np.generic], limits: Limits) -> NDArray[np.uint8]:
    """Return an image, (H, W) or (H, W, 3), mapped from the limits to 0..255; NaN becomes 0."""
    if pixels.dtype == np.uint8 and limits == (0.0, 255.0):
        return pixels.astype(np.uint8, copy=False)
    low, high = limits
    clipped = np.fmin(np.fmax(pixels.astype(np.float64), low), high)
    picture: NDArray[np.uint8] = np.round((clipped - low) / (high - low) * 255).astype(np.uint8)
    return picture


def class_indices(job: BatchJob) -> dict[int, int]:
    """Return the numbers 0, 1, 2, ... that YOLO wants, by the numbers of the classes."""
    return {number: index for index, number in enumerate(sorted(job.classes))}


def _write_plane(
    image: BatchImage,
    plane: str,
    pixels: NDArray[np.generic],
    objects: Sequence[BatchObject],
    limits: Limits,
    job: BatchJob,
) -> Iterator[Path]:
    folder, kinds = BatchFolder(job.folder), job.settings.image_outputs
    records = [item.record for item in objects]
    if "sa1b" in kinds:
        path = folder.output("sa1b", image.name, plane)
        size = (pixels.shape[0], pixels.shape[1])
        file_name = image.plane_file_name(plane)
        # A number for each image of a data set, without counting: whoever does the image does not know the others.
        write_sa1b(path, records, file_name=file_name, size=size, image_id=crc32(file_name.encode()) & 0x7FFFFFFF)
        yield path
    if "overlay" in kinds:
        path = folder.output("overlay", image.name, plane)
        write_overlay_png(path, picture_of(pixels, limits), records)
        yield path
    if "yolo" in kinds:
        index_of = class_indices(job)
        path = folder.output("yolo", image.name, plane)
        write_yolo_labels(path, [YoloObject(item.record, index_of[item.class_id]) for item in objects])
        yield path
        path = folder.output("yolo images", image.name, plane)
        with replacing(path) as temporary:
            Image.fromarray(picture_of(pixels, limits)).save(temporary, format="PNG")
        yield path


def _write_whole(image: BatchImage, content: ImageContent, collected: _Collected, job: BatchJob) -> Iterator[Path]:
    folder = BatchFolder(job.folder)
    if collected.labels:
        path, labels = folder.output("labels", image.name), _stacked_labels(collected, content)
        if content.view is None:
            write_label_tiff(path, labels, pixel_size=content.pixel_size)
        else:
            write_label_geotiff(path, labels, content.view.raster.grid)
        yield path
    if collected.tables:
        path = folder.output("csv", image.name)
        names = collected.tables[0]
        write_table(path, {name: np.concatenate([table[name] for table in collected.tables]) for name in names})
        yield path


def _vector_steps(image: BatchImage, view: RasterView, job: BatchJob) -> Steps[list[Path]]:
    """Write the objects as features, one file for each format, and return all files."""
    folder, written = BatchFolder(job.folder), []
    named = image.detections is not None
    objects = [
        VectorObject(item.record, number, job.classes.get(item.class_id, "") if named else "")
        for number, item in enumerate(folder.read_plane(image.name, ONLY_PLANE).objects, 1)
    ]
    for form in job.settings.vector_outputs:
        path = folder.output(form, image.name)
        steps = write_vectors(path, objects, view.raster.grid, job.settings.vectors)
        yield from relabelled(steps, lambda step: Progress(*step, "Tracing outlines"))
        written += vector_files(path)
    return written


def _labels(objects: Sequence[BatchObject], content: ImageContent, before: int, job: BatchJob) -> NDArray[Any]:
    """Return the label image of a plane, (H, W), with labels from `before` + 1 on."""
    numbers = range(before + 1, before + len(objects) + 1)
    return paint([item.record for item in objects], numbers, content.plane_shape, job.settings.painting)


def _stacked_labels(collected: _Collected, content: ImageContent) -> NDArray[Any]:
    """Return the label images of all planes as one array of the image's shape."""
    kind = np.uint16 if collected.count <= np.iinfo(np.uint16).max else np.uint32
    stack = np.stack([plane.astype(kind, copy=False) for plane in collected.labels])
    return stack.reshape(*content.stack_shape, *content.plane_shape)


def _table(
    image: BatchImage, pixels: NDArray[np.generic], objects: Sequence[BatchObject], pixel_size: PixelSize | None
) -> Table:
    table = property_table([item.record for item in objects], pixels, pixel_size=pixel_size)
    if image.detections is None:
        return table
    scores = [np.nan if item.score is None else item.score for item in objects]
    classes = np.array([item.class_id for item in objects], np.int64)
    return {**table, "class_id": classes, "detection_score": np.array(scores, np.float64)}


def _located(table: Table, index: tuple[int, ...], count: int) -> Table:
    """Put in front of the columns which plane the masks are on: "plane", or "plane_0", "plane_1", ...."""
    if not index:
        return table
    names = ["plane"] if len(index) == 1 else [f"plane_{axis}" for axis in range(len(index))]
    return {**{name: np.full(count, number) for name, number in zip(names, index, strict=True)}, **table}
