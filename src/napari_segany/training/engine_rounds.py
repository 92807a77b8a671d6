"""Teaching the model what was annotated in the data engine; the better weights are kept. Knows no user interface."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_segany.engine.data_engine.folder import DataEngine
from napari_segany.engine.data_engine.lessons import read_lessons, write_lessons
from napari_segany.engine.loaded_model import load_model
from napari_segany.engine.progress import Steps
from napari_segany.training.annotated import Layers, layers_of
from napari_segany.training.config import TrainingConfig
from napari_segany.training.fine_tuning import fine_tuning_config
from napari_segany.training.trainer import train
from napari_segany.training.validation import ValidationResult

LEAST_IMAGES = 2
"""So many must be done: one to learn from, and one to measure on."""

STEPS = 150

MEASURED_SHARE = 0.2
"""Of the images that are done, kept to measure on."""


@dataclass(frozen=True)
class EngineImage:
    """An image of the data engine as training reads it.

    Attributes
    ----------
    engine : DataEngine
        Its images and masks.
    name : str
        Of the image.
    metadata : mapping of str to str
        Nothing.
    """

    engine: DataEngine = field(repr=False)
    name: str
    metadata: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def dataset(self) -> str:
        """Name of the folder."""
        return self.engine.images.resolve().name

    def read(self) -> tuple[NDArray[Any], Layers]:
        """Return the image and the layers of the masks that a person saw; errors are those of the image file."""
        image = self.engine.read_image(self.name)
        seen = [one.record.rle for one in self.engine.masks(self.name) if one.origin.stage != "automatic"]
        return image, layers_of(seen, (image.shape[0], image.shape[1]))


@dataclass(frozen=True)
class Retrained:
    """What came of teaching the model.

    Attributes
    ----------
    before, after : ValidationResult
        On images kept from training: of the weights that it began with, and of the best step.
    weights : pathlib.Path or None
        The new weights, where they are better after one click; None where the old ones stay.
    """

    before: ValidationResult
    after: ValidationResult
    weights: Path | None


def retraining_config(init: str | os.PathLike[str], steps: int = STEPS) -> TrainingConfig:
    """Return the knobs: those of fine-tuning, with the image encoder as it is.

    People click, mostly near the middle of an object, and so it learns. The few images that are kept to measure on
    are measured by many objects each: of eight of one image the luckiest step would be kept, and none could follow.

    Raises
    ------
    ValueError, FileNotFoundError
        For weights that are not there.
    """
    config = fine_tuning_config(load_model(init, None)[1].config, "decoder")
    every = max(1, steps // 3)
    return replace(
        config,
        steps=steps,
        box_share=0.2,
        center_share=0.5,
        validation_objects=40,
        validate_every=every,
        checkpoint_every=steps,
        picture_every=0,
    )


def retrain_steps(
    engine: DataEngine,
    output: Path,
    init: str | os.PathLike[str],
    *,
    names: Sequence[str] | None = None,
    steps: int = STEPS,
    config: TrainingConfig | None = None,
    device: str = "auto",
    share: float = MEASURED_SHARE,
    seed: int = 0,
) -> Steps[Retrained]:
    """Teach a model what a person annotated, and measure before and after.

    Images that are measured on stay aside in all rounds; which they are is in the engine's `lessons.json`, and so are
    the weights of the last round that was better.

    Parameters
    ----------
    engine : DataEngine
        The images; those that are done and have masks that a person saw count.
    output : pathlib.Path
        Folder of the run, see `training.trainer.train`.
    init : str or path
        The weights to begin with.
    names : sequence of str, optional
        These images only.
    steps : int
        Of the training.
    config : TrainingConfig, optional
        The knobs; those of `retraining_config` by default.
    device : str
        "auto", "cpu", "cuda" or "mps".
    share, seed : float, int
        How many of the images are kept to measure on, and the chance that chooses them.

    Yields
    ------
    Progress
        Of the training; closing the generator ends it, and the old weights stay.

    Raises
    ------
    ValueError
        For less than two images, or where the model has learned from all of them.
    """
    chosen = engine.finished if names is None else names
    usable = [name for name in chosen if any(one.origin.stage != "automatic" for one in engine.masks(name))]
    if len(usable) < LEAST_IMAGES:
        raise ValueError(
            f"{len(usable)} images are done and have masks that you made; finish at least {LEAST_IMAGES}, so that "
            "one can be kept to measure on"
        )
    lessons = read_lessons(engine.work).for_round(usable, share, seed)
    config = config or retraining_config(init, steps)
    images = [EngineImage(engine, name) for name in usable]
    write_lessons(engine.work, lessons)
    result = yield from train(config, images, output, init=init, device=device, measure_on=lessons.aside)
    if result.before is None or result.validation is None:
        raise ValueError("nothing could be measured on the images kept from training; finish more images")
    better = result.step > 0 and result.validation.click > result.before.click
    if better:
        learned = dict.fromkeys((*lessons.learned, *(name for name in usable if name not in lessons.aside)))
        weights, home = result.weights.resolve(), engine.work.resolve()
        place = weights.relative_to(home) if weights.is_relative_to(home) else weights
        write_lessons(engine.work, replace(lessons, learned=tuple(learned), weights=place.as_posix()))
    return Retrained(result.before, result.validation, result.weights if better else None)
