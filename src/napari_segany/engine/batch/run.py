"""A batch from its images to its files, as a generator of progress: here, or on a cluster.

What is complete is skipped, a damaged image does not stop the rest, and a batch that was stopped at any moment goes
on where it was when it is run again. The result on the disk does not depend on how often that happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from napari_segany.engine.batch.common_files import check_is_not_foreign, claim_common_files
from napari_segany.engine.batch.folder import BatchFolder
from napari_segany.engine.batch.former_names import forget_former_steps, renamed_inputs
from napari_segany.engine.batch.model_source import LazyPredictor, ModelSource
from napari_segany.engine.batch.one_image import ImageResult, image_steps
from napari_segany.engine.batch.settings import BatchJob, BatchSettings
from napari_segany.engine.batch.sources import BatchImage
from napari_segany.engine.batch.summary_files import summary_names, write_summary_steps
from napari_segany.engine.progress import Progress, Steps, relabelled

if TYPE_CHECKING:
    from napari_segany.engine.clip import PictureEncoder


@dataclass(frozen=True)
class BatchProgress(Progress):
    """One step of a batch; `done` and `total` count images.

    Attributes
    ----------
    name : str
        What the outputs of the image at work are called; "" between images.
    stage : Progress or None
        The progress within that image, or within what is for all of them.
    failed : int
        Images so far that could not be read or segmented.
    reused : int
        Images so far that were complete before.
    """

    name: str = ""
    stage: Progress | None = None
    failed: int = 0
    reused: int = 0


@dataclass(frozen=True)
class BatchResult:
    """What became of all images.

    Attributes
    ----------
    images : tuple of ImageResult
        In the order of the batch.
    """

    images: tuple[ImageResult, ...]

    @property
    def failed(self) -> tuple[ImageResult, ...]:
        """The images that could not be read or segmented."""
        return tuple(image for image in self.images if image.error)

    @property
    def reused(self) -> int:
        """The number of images that were complete before."""
        return sum(image.reused for image in self.images)

    @property
    def objects(self) -> int:
        """The number of masks in all images."""
        return sum(image.objects for image in self.images)


class Workers(Protocol):
    """Who does the images; `engine.batch.cluster` has others than this process."""

    def steps(
        self, images: Sequence[BatchImage], job: BatchJob, model: ModelSource, results: dict[int, ImageResult]
    ) -> Steps[None]:
        """Do all images, whatever their order, and put what became of each under its number."""


@dataclass(frozen=True, eq=False)
class ThisProcess:
    """One image after the other, here.

    Attributes
    ----------
    clip : PictureEncoder or None
        The CLIP of a batch with words, where it is loaded already.
    """

    clip: PictureEncoder | None = None

    def steps(
        self, images: Sequence[BatchImage], job: BatchJob, model: ModelSource, results: dict[int, ImageResult]
    ) -> Steps[None]:
        """Do all images in their order; see `image_steps` for the errors."""
        predictor = LazyPredictor(model, self.clip)
        for number, image in enumerate(images):
            tell = partial(progress_of, len(images), results, image.name)
            results[number] = yield from relabelled(image_steps(image, job, predictor), tell)


def batch_steps(
    images: Sequence[BatchImage],
    folder: str | PathLike[str],
    model: ModelSource,
    settings: BatchSettings | None = None,
    *,
    classes: Mapping[int, str] | None = None,
    workers: Workers | None = None,
    besides: Sequence[ImageResult] = (),
) -> Steps[BatchResult]:
    """Segment all images and write what is asked for; closing the generator stops within the image at work.

    Parameters
    ----------
    images : sequence of BatchImage
        From `find_images` or `images_of_arrays`, no name twice.
    folder : path
        Where the outputs go; it is made if it is not there.
    model : ModelSource
        `NamedModel`, or `LoadedModel` for one that is at hand; nobody loads it where nothing is missing.
    settings : BatchSettings, optional
        What is wanted.
    classes : Mapping, optional
        Names of the classes by their numbers, where the images have detections; {1: "object"} by default.
    workers : Workers, optional
        Who does it; this process by default.
    besides : sequence of ImageResult
        What became of images that were done before, tile by tile: report.csv has a line for each of them too.

    Yields
    ------
    BatchProgress
        Images done, and the stage of the one at work.

    Returns
    -------
    BatchResult
        What became of each image; report.csv says the same.

    Raises
    ------
    OSError
        Where the outputs cannot be written, another batch writes into the folder, or weights are missing.
    ValueError
        For weights that are damaged, a model that does not exist, or a folder with somebody's own file in the place
        of one that is for all images.
    """
    folder = Path(folder).expanduser().absolute()
    results: dict[int, ImageResult] = {}
    tell = partial(progress_of, len(images), results, "")
    digest = yield from relabelled(model.digest_steps(), tell)  # a model that is not there leaves no folder
    common = summary_names((settings or BatchSettings()).outputs)
    check_is_not_foreign(folder, common)
    with BatchFolder(folder).locked():
        claim_common_files(folder, common)
        renamed = renamed_inputs(images, BatchFolder(folder))
        job = BatchJob(folder, settings or BatchSettings(), digest, dict(classes or {1: "object"}), renamed)
        yield from (workers or ThisProcess()).steps(images, job, model, results)
        in_order = tuple(results[number] for number in range(len(images)))
        yield from relabelled(forget_former_steps(images, in_order, BatchFolder(folder), besides), tell)
        yield from relabelled(write_summary_steps(images, in_order, job, besides), tell)
    return BatchResult(in_order)


def progress_of(
    total: int, results: Mapping[int, ImageResult], name: str, stage: Progress | None = None
) -> BatchProgress:
    """Return where a batch of `total` images is, of which some have results and one is at work."""
    failed = sum(bool(result.error) for result in results.values())
    reused = sum(result.reused for result in results.values())
    words = [name, "" if stage is None else stage.note]
    return BatchProgress(len(results), total, ": ".join(word for word in words if word), name, stage, failed, reused)
