"""One image of a batch from its file to its outputs, by whoever is at work: this process or a worker of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.automatic import AutomaticMaskGenerator
from napari_segany.engine.automatic_estimate import count_questions
from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.batch.box_masks import box_mask_steps
from napari_segany.engine.batch.detection import BatchObject
from napari_segany.engine.batch.folder import BatchFolder, Completion, PlaneMasks
from napari_segany.engine.batch.image_outputs import files_of, write_image_steps
from napari_segany.engine.batch.model_source import LazyPredictor
from napari_segany.engine.batch.settings import BatchJob
from napari_segany.engine.batch.sources import BatchImage, ImageContent
from napari_segany.engine.batch.tile_outputs import TileOutputs
from napari_segany.engine.error_sentences import sentence_of
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.region import allowed_pixels
from napari_segany.formats.geo_nodata import on_data, valid_pixels
from napari_segany.formats.geo_vectors import check_vectors

if TYPE_CHECKING:
    from napari_segany.engine.clip import PictureEncoder


@dataclass(frozen=True)
class ImageResult:
    """What became of one image.

    Attributes
    ----------
    name, shown : str
        What its outputs are called, and what it was called by the user.
    planes : tuple of str
        Names of its planes; none for an image that failed.
    objects : int
        Masks in all planes.
    error : str
        Why it failed, in one sentence; "" for an image that is complete.
    reused : bool
        Whether it was complete before.
    note : str
        What is to be said of one that is complete: an output that was asked for and cannot be written of it.
    """

    name: str
    shown: str
    planes: tuple[str, ...] = ()
    objects: int = 0
    error: str = ""
    reused: bool = False
    note: str = ""


class ImageError(ValueError):
    """An image that cannot be read or segmented; the others can."""


def image_steps(image: BatchImage, job: BatchJob, predictor: LazyPredictor) -> Steps[ImageResult]:
    """Segment one image and write its files, as far as they are not there already.

    Parameters
    ----------
    image : BatchImage
        The image.
    job : BatchJob
        What is wanted.
    predictor : LazyPredictor
        The models; they are asked for when masks are missing.

    Yields
    ------
    Progress
        Bytes, blocks of the image encoder, points or boxes, planes.

    Returns
    -------
    ImageResult
        Also for an image that is damaged, or of which the model, or the library below it, raised an error.

    Raises
    ------
    OSError
        Where the outputs cannot be written, or weights are missing.
    ValueError
        For weights that are damaged.
    """
    folder = BatchFolder(job.folder)
    try:
        with _of_this_image(image):
            input_digest = yield from image.source.digest_steps()
        masks_key = job.masks_key(image, input_digest)
        outputs_key = job.outputs_key(image, masks_key)
        completion = folder.completion(image.name, outputs_key)
        if completion is not None:
            folder.moved(image.name, completion, image.source.place, input_digest)
            return _result(image, completion.planes, completion.objects, reused=True)
        yield Progress(0, 0, "Reading the image")
        with _of_this_image(image):
            content = _read(image, job)
            planes = _checked_planes(image, content, job)
        _claim(image, planes, job, input_digest)
        yield from _mask_steps(image, content, masks_key, job, predictor)
    except ImageError as error:
        return ImageResult(image.name, image.source.shown, error=str(error))
    count, files = yield from write_image_steps(image, content, job)
    completion = Completion(outputs_key, masks_key, planes, count, source=image.source.place, content=input_digest)
    folder.complete(image.name, completion, files)
    TileOutputs(job.folder, image.name).give_way(files)
    return _result(image, planes, count, reused=False)


def _mask_steps(
    image: BatchImage, content: ImageContent, key: str, job: BatchJob, predictor: LazyPredictor
) -> Steps[None]:
    """Segment the planes whose masks are not kept yet."""
    folder = BatchFolder(job.folder)
    for number, (plane, pixels) in enumerate(content.planes()):
        if folder.has_plane(image.name, plane, key):
            continue
        yield Progress(0, 0, "Loading the model" if not predictor.is_loaded else f"Segmenting plane {number}")
        model = predictor.get()
        clip = None if job.settings.text is None else predictor.clip(job.settings.text.model)
        with _of_this_image(image):
            objects = yield from _object_steps(image, content, pixels, job, model, clip)
        folder.write_plane(image.name, plane, PlaneMasks(key, content.plane_shape, tuple(objects)))


def _object_steps(
    image: BatchImage,
    content: ImageContent,
    pixels: NDArray[np.generic],
    job: BatchJob,
    predictor: Predictor,
    clip: PictureEncoder | None,
) -> Steps[list[BatchObject]]:
    limits = content.contrast_limits
    if image.detections is not None:
        found = yield from box_mask_steps(predictor, pixels, image.detections, contrast_limits=limits)
        return _on_data(found, content)
    generator = AutomaticMaskGenerator(predictor, job.settings.automatic)
    region = None if content.view is None else valid_pixels(content.view.raster, content.view.choice)
    if region is not None and not _is_asked(pixels, region, job.settings.automatic):
        return []
    records = yield from generator.run(pixels, contrast_limits=limits, region=region)
    if job.settings.text is not None and clip is not None:
        from napari_segany.engine.text_ranking import found_by_text

        records = yield from found_by_text(clip, pixels, records, job.settings.text, contrast_limits=limits)
    return [BatchObject(record) for record in records]


def _is_asked(pixels: NDArray[np.generic], valid: NDArray[np.bool_], settings: AutomaticSettings) -> bool:
    """Tell whether a point of the grid lies on data: the margins of mosaics may hold too little of it."""
    finite = allowed_pixels(pixels, None)
    allowed = valid if finite is None else valid & finite
    return count_questions((valid.shape[0], valid.shape[1]), settings, allowed).points > 0


def _on_data(found: list[BatchObject], content: ImageContent) -> list[BatchObject]:
    """Return objects without their pixels where a raster has no data; those that are left with none are left out."""
    if content.view is None:
        return found
    view = content.view
    cut = [replace(item, record=on_data(item.record, view.raster, view.choice)) for item in found]
    return [item for item in cut if item.record.area]


def _read(image: BatchImage, job: BatchJob) -> ImageContent:
    """Return the image with the contrast limits that hold for all its planes."""
    return image.source.read().within(job.settings.contrast_limits)


def _checked_planes(image: BatchImage, content: ImageContent, job: BatchJob) -> tuple[str, ...]:
    """Return the names of the planes."""
    planes = tuple(name for name, _ in content.planes())
    vectors = job.settings.vector_outputs
    if vectors and (content.view is None or not content.view.raster.grid.has_place):
        raise ValueError(
            f"{image.source.shown} has no place on Earth that is known here, which {', '.join(vectors)} needs; "
            "leave that output out for it"
        )
    if vectors and content.view is not None:
        check_vectors(vectors, content.view.raster.grid.crs, job.settings.vectors.measure)
    if image.detections and len(planes) > 1:
        raise ValueError(f"{image.source.shown} is a stack of {len(planes)} planes; boxes belong to single images")
    return planes


def _claim(image: BatchImage, planes: tuple[str, ...], job: BatchJob, input_digest: str) -> None:
    """Refuse, before the model is asked, to write over what no batch wrote, or wrote for another image."""
    folder, files = BatchFolder(job.folder), files_of(image, planes, job)
    try:
        folder.claim(image.name, files, image.source.place, input_digest, job.renamed)
    except ValueError as error:
        raise ImageError(f"{image.source.shown}: {error}") from error


def _result(image: BatchImage, planes: tuple[str, ...], objects: int, *, reused: bool) -> ImageResult:
    return ImageResult(image.name, image.source.shown, planes, objects, reused=reused)


@contextmanager
def _of_this_image(image: BatchImage) -> Iterator[None]:
    """Turn what an image, or too little memory for it, can cause into an `ImageError` in one line.

    Every error of torch is a RuntimeError.
    """
    try:
        yield
    except (ValueError, OSError, MemoryError, RuntimeError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise ImageError(f"{image.source.shown}: {error.strerror}") from error
        text = sentence_of(error)
        raise ImageError(text if image.source.shown in text else f"{image.source.shown}: {text}") from error
