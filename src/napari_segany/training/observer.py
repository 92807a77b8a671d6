"""What is seen of a run while it goes on: its numbers, curves, pictures, and the best weights so far."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_segany.engine.clip import ObjectEncoder
from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.progress import Steps
from napari_segany.evaluation.plots import MatplotlibMissingError
from napari_segany.model import Sam
from napari_segany.training.annotated import AnnotatedImage
from napari_segany.training.config import TrainingConfig
from napari_segany.training.data import DrawnImage
from napari_segany.training.export import BEST_NAME, export
from napari_segany.training.metrics_log import MetricsLog, read_metrics
from napari_segany.training.pictures import picture_steps
from napari_segany.training.plots import plot_metrics
from napari_segany.training.reports import remark
from napari_segany.training.rounds import LessonResult
from napari_segany.training.validation import Milestones, validate

METRICS_NAME = "metrics.csv"
PLOT_NAME = "metrics.png"
PICTURES_NAME = "pictures"

_PICTURED = 4  # images of a picture


class Observer:
    """Writes into the folder of a run; of several processes, the first has one.

    Parameters
    ----------
    folder : pathlib.Path
        The run's folder.
    config : TrainingConfig
        What to write how often.
    measured : sequence of AnnotatedImage
        Images kept from training.
    trained : sequence of AnnotatedImage
        Images that are trained on, of which pictures are made where none are kept.
    step : int
        Steps done.
    provenance : str
        Stored with the best weights.
    keeps_embeddings : bool
        Whether the encoder does not change, so that its embeddings can be kept.
    clip : ObjectEncoder, optional
        What words are learned with.
    unwritten : sequence of LessonResult
        Lessons of the steps done that no line of the log tells of yet.
    """

    def __init__(
        self,
        folder: Path,
        config: TrainingConfig,
        measured: Sequence[AnnotatedImage],
        trained: Sequence[AnnotatedImage],
        step: int,
        provenance: str,
        *,
        keeps_embeddings: bool,
        clip: ObjectEncoder | None = None,
        unwritten: Sequence[LessonResult] = (),
    ) -> None:
        self.folder = folder
        self.config = config
        self.provenance = provenance
        self._clip = clip
        self._measured = _spread(measured, config.validation_images, config.seed)
        drawn = [DrawnImage(config.seed, number, 2 * config.crop_size) for number in range(_PICTURED)]
        # Those that are measured first keep their numbers, and with them their embeddings.
        self._pictured = self._measured[:_PICTURED] or _spread(trained or drawn, _PICTURED, config.seed)
        self._metrics = MetricsLog(folder / METRICS_NAME, config.log_every, step, unwritten)
        self._embeddings: dict[int, ImageEmbedding] | None = {} if keeps_embeddings else None
        self._lessons = 0
        self._plots = True

    @property
    def unwritten(self) -> tuple[LessonResult, ...]:
        """Lessons that no line of the log tells of yet."""
        return self._metrics.unwritten

    def log(self, step: int, results: Sequence[LessonResult]) -> Steps[str]:
        """Write down a step and return it in words; say so where the first steps found nothing to learn from."""
        self._lessons += len(results)
        if step == self.config.log_every and not self._lessons:
            yield remark(
                f"{step} steps met no object of {self.config.min_object_area} pixels or more that covers at most "
                f"{self.config.max_object_share:.0%} of its crop: nothing is learned; "
                "change min_object_area, max_object_share or scale_jitter"
            )
        return self._metrics.add(step, results)

    def is_due(self, step: int) -> bool:
        """Return whether a step is to be observed."""
        return self._measures_at(step) or self._pictures_at(step)

    def observe(self, averaged: Sam, step: int, milestones: Milestones) -> Steps[Milestones]:
        """Measure the averaged weights and make a picture of what they predict, where the step is one for it."""
        if self._measures_at(step):
            milestones = yield from self.measure(averaged, step, milestones)
        if self._pictures_at(step):
            path = self.folder / PICTURES_NAME / f"step_{step:06d}.png"
            yield from picture_steps(averaged, self._pictured, self.config.seed, path, self._embeddings)
        return milestones

    def measure(self, averaged: Sam, step: int, milestones: Milestones) -> Steps[Milestones]:
        """Measure on the images kept from training, write it down, and keep the weights if they are the best."""
        if not self._measured:
            return milestones
        config = self.config
        result = yield from validate(
            averaged, self._measured, config.validation_objects, config.seed, self._embeddings, self._clip
        )
        self._metrics.add_validation(step, result)
        now = milestones.after(step, result)
        if now.best is result:
            path = self.folder / BEST_NAME
            export(averaged, path, config, step=step, validation=result, provenance=self.provenance)
        yield from self._plot()
        return now

    def _plot(self) -> Steps[None]:
        if not self._plots:
            return
        try:
            plot_metrics(read_metrics(self.folder / METRICS_NAME), self.folder / PLOT_NAME)
        except MatplotlibMissingError as error:
            self._plots = False
            yield remark(f"{PLOT_NAME} is not drawn: {error}")
        except PermissionError as error:
            yield remark(f"{PLOT_NAME} is not drawn this time: {error.strerror}")

    def _measures_at(self, step: int) -> bool:
        return bool(self._measured) and (step % self.config.validate_every == 0 or step == self.config.steps)

    def _pictures_at(self, step: int) -> bool:
        every = self.config.picture_every
        return every > 0 and (step % every == 0 or step == self.config.steps)


def _spread(images: Sequence[AnnotatedImage], count: int, seed: int) -> list[AnnotatedImage]:
    """Return up to `count` images, evenly from all, in an order that does not depend on their number."""
    order = np.random.default_rng(seed).permutation(len(images))[:count]
    return [images[index] for index in sorted(order)]
