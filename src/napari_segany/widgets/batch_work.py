"""The work of a batch as a generator that a runner can run: what is asked, how far it is, what came of it.

Knows neither napari nor Qt. The engine's part that brings torch is imported when the work begins, in the background.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from napari_segany.engine.batch.settings import BatchSettings
from napari_segany.engine.batch.sources import BatchImage
from napari_segany.engine.precision_names import AUTO
from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.engine.tiling import TilingSettings
from napari_segany.widgets.batch_inputs import BatchInputs

if TYPE_CHECKING:
    from napari_segany.engine.batch.model_source import ModelSource
    from napari_segany.engine.batch.run import BatchResult
    from napari_segany.widgets.batch_large import LargeWork

ModelMaker = Callable[[str, str], "ModelSource"]
"""Makes a model that is not loaded yet from the names of a model and a device; called in the background."""

_WAIT_SECONDS = 0.05
_TELL_SECONDS = 0.05

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class BatchRequest:
    """What a run is asked for.

    Attributes
    ----------
    inputs : BatchInputs
        What to segment.
    folder : pathlib.Path
        Where the outputs go, as a whole path.
    settings : BatchSettings
        How, and what is written.
    model, device : str
        Which model, and where it computes.
    tiling : TilingSettings
        How images that do not fit are cut.
    """

    inputs: BatchInputs
    folder: Path
    settings: BatchSettings
    model: str
    device: str
    tiling: TilingSettings = field(default_factory=TilingSettings)


@dataclass(frozen=True)
class BatchStep(Progress):
    """One step of a run; `done` and `total` count images.

    Attributes
    ----------
    stage : Progress or None
        The progress within the image at work.
    failed : int
        Images so far that could not be read or segmented.
    reused : int
        Images so far that were complete before.
    has_begun : bool
        Whether an image is at work, and not something that all of them need.
    """

    stage: Progress | None = None
    failed: int = 0
    reused: int = 0
    has_begun: bool = False


@dataclass(frozen=True, eq=False)
class BatchOutcome:
    """What came of a run.

    Attributes
    ----------
    request : BatchRequest
        What was asked for.
    images : tuple of BatchImage
        Its images.
    result : BatchResult
        What became of each.
    diameters : Mapping
        Name of an image to the usual diameter of its objects in pixels, where that was to be measured; 0 where there
        were too few of them.
    """

    request: BatchRequest
    images: tuple[BatchImage, ...]
    result: BatchResult
    diameters: Mapping[str, float] = field(default_factory=dict)


def named_model(weights_folder: Path | None, precision: str = AUTO) -> ModelMaker:
    """Return what makes models with weights of this folder that encode images in this precision."""

    def make(model: str, device: str) -> ModelSource:
        from napari_segany.engine.batch.model_source import NamedModel

        return NamedModel(model, device, weights_folder, precision)

    return make


def is_under_way(steps: Steps[Any]) -> bool:
    """Tell whether a run has begun and not come to its end: that of a cancelled one comes after its present step."""
    return inspect.getgeneratorstate(steps) in (inspect.GEN_RUNNING, inspect.GEN_SUSPENDED)


def run_steps(
    request: BatchRequest, make_model: ModelMaker, before: Sequence[Steps[Any]] = ()
) -> Steps[BatchOutcome]:
    """Do a batch.

    Parameters
    ----------
    request : BatchRequest
        What is wanted.
    make_model : callable
        Makes the model.
    before : sequence of generators
        Earlier runs that were cancelled: they may still be within their last step, and hold their folder till then.

    Yields
    ------
    BatchStep
        Images done, and the stage of the one at work.

    Raises
    ------
    OSError
        For inputs that are missing, outputs that cannot be written, a folder in use, or weights that are missing.
    ValueError
        Where there is no image, or for weights that are damaged.
    """
    while any(is_under_way(run) for run in before):
        yield Progress(0, 0, "Waiting for the step before to end")
        time.sleep(_WAIT_SECONDS)
    yield Progress(0, 0, "Looking for the images")
    from napari_segany.engine.batch.common_files import check_is_not_foreign
    from napari_segany.engine.batch.run import BatchResult, batch_steps
    from napari_segany.engine.batch.summary_files import summary_names
    from napari_segany.engine.large.results import finish_in_tiles_steps
    from napari_segany.widgets.batch_large import LargeWork, split

    images = request.inputs.images(request.folder)
    model = make_model(request.model, request.device)
    whole, large = split(images, request.settings)
    if large:  # told before the work, not after it
        check_is_not_foreign(request.folder, summary_names(request.settings.outputs))
    work = LargeWork(request.folder, request.settings, request.tiling)
    for done, number in enumerate(large):
        tell = partial(_as_large_step, len(images), done, work)
        yield from _spaced(relabelled(work.steps(images[number], model), tell))
    results = {images[number].name: work.results[images[number].name] for number in large}
    besides = tuple(results.values())
    if large and not whole:
        yield from finish_in_tiles_steps(request.folder, besides, request.settings)
    else:
        pictures = [images[number] for number in whole]
        steps = batch_steps(pictures, request.folder, model, request.settings, besides=besides)
        tell = partial(_as_step, len(large), work)
        done_whole = yield from _spaced(relabelled(steps, tell))
        results |= {one.name: one for one in done_whole.images}
    result = BatchResult(tuple(results[image.name] for image in images))
    return BatchOutcome(request, images, result, work.diameters)


def _spaced(steps: Steps[Result]) -> Steps[Result]:
    """Leave out steps that follow at once, thousands in a second, which no window could draw."""
    told: Progress | None = None
    told_at = 0.0
    try:
        while True:
            step = next(steps)
            now = time.monotonic()
            if told is None or step.done != told.done or now - told_at >= _TELL_SECONDS:
                told, told_at = step, now
                yield step
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        steps.close()


def _as_large_step(total: int, done: int, work: LargeWork, progress: Progress) -> BatchStep:
    """Return where a batch is whose large images are done first, one of which is at work."""
    return BatchStep(done, total, progress.note, progress, work.failed, work.reused, has_begun=progress.total > 0)


def _as_step(before: int, work: LargeWork, progress: Progress) -> BatchStep:
    """Return where a batch is, `before` large images of which are done."""
    from napari_segany.engine.batch.run import BatchProgress

    if not isinstance(progress, BatchProgress):
        return BatchStep(before + progress.done, before + progress.total, progress.note)
    return BatchStep(
        before + progress.done,
        before + progress.total,
        progress.note,
        progress.stage,
        work.failed + progress.failed,
        work.reused + progress.reused,
        has_begun=bool(progress.name),
    )
