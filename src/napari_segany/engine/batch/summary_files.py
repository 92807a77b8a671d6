"""The files that are one for all images: coco.json, YOLO's data.yaml and report.csv, from what each image left.

They are written at the end, in the order of the images, so that it does not matter who finished first.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from itertools import count
from pathlib import Path

from napari_segany.engine.batch.common_files import common_written_steps, remove_outdated
from napari_segany.engine.batch.folder import BatchFolder
from napari_segany.engine.batch.image_outputs import class_indices
from napari_segany.engine.batch.one_image import ImageResult
from napari_segany.engine.batch.settings import BatchJob
from napari_segany.engine.batch.sources import BatchImage
from napari_segany.engine.progress import Progress, Steps
from napari_segany.formats.atomic import replacing
from napari_segany.formats.coco import CocoObject, writing_coco
from napari_segany.formats.yolo import YoloData, write_data_yaml

COCO_NAME = "coco.json"
REPORT_NAME = "report.csv"
_DATA_NAME = "yolo/data.yaml"

_REPORT_COLUMNS = ("image", "name", "status", "planes", "objects", "message")


def summary_names(outputs: Collection[str]) -> tuple[str, ...]:
    """Return where in the folder the files will be."""
    names = {"coco": COCO_NAME, "yolo": _DATA_NAME}
    return (*(name for output, name in names.items() if output in outputs), REPORT_NAME)


def write_summary_steps(
    images: Sequence[BatchImage], results: Sequence[ImageResult], job: BatchJob, besides: Sequence[ImageResult] = ()
) -> Steps[None]:
    """Write the files, each whole or not at all, with progress in images.

    Parameters
    ----------
    images, results : sequence
        The images, and what became of each.
    job : BatchJob
        What is wanted.
    besides : sequence of ImageResult
        What became of images that were done otherwise; the report has them too.

    Raises
    ------
    OSError
        Where the folder cannot be written to.
    """
    outputs = job.settings.outputs
    if "coco" in outputs:
        yield from _coco_steps(images, results, job)
        yield from common_written_steps(job.folder, {COCO_NAME: [image.name for image in images]})
    if "yolo" in outputs:
        path = job.folder / _DATA_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        names = {index: job.classes[number] for number, index in class_indices(job).items()}
        write_data_yaml(path, YoloData(names, val="images/train"))
    common = summary_names(outputs)
    remove_outdated(job.folder, common, common, [result.name for result in besides if result.planes])
    write_report([*results, *besides], job.folder)


def _coco_steps(images: Sequence[BatchImage], results: Sequence[ImageResult], job: BatchJob) -> Steps[None]:
    folder = BatchFolder(job.folder)
    with writing_coco(job.folder / COCO_NAME, job.classes) as coco:
        for number, (image, result) in enumerate(zip(images, results, strict=True)):
            yield Progress(number, len(images), f"Writing {COCO_NAME}")
            labels = count(1)  # as in the label image of all planes
            for plane in result.planes:
                masks = folder.read_plane(image.name, plane)
                objects = [CocoObject(item.record, item.class_id, label=next(labels)) for item in masks.objects]
                coco.add(image.plane_file_name(plane), masks.size, objects)


def write_report(results: Sequence[ImageResult], folder: Path) -> None:
    """Write report.csv, a line for each image."""
    with replacing(folder / REPORT_NAME) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_REPORT_COLUMNS)
        for result in results:
            status = "failed" if result.error else "done"
            planes = len(result.planes)
            writer.writerow([result.shown, result.name, status, planes, result.objects, result.error or result.note])
