"""Every knob of a training run as one frozen value, read from and written to a file. Knows no model and no data."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from napari_segany.engine.text_query import LARGE_CLIP
from napari_segany.formats.atomic import replacing

SCHEDULES = ("step", "cosine", "constant")
PRECISIONS = ("float32", "bfloat16", "auto")
TRAINABLE = ("all", "decoder", "lora")


@dataclass(frozen=True)
class TrainingConfig:
    """How to train: prompts, losses, AdamW and its schedule as in the SAM paper (appendix A) by default.

    What asks for many GPUs is smaller by default: crops, batches, no layer-wise decay and no stochastic depth;
    `configs/paper.toml` has the paper's numbers for these too.

    Attributes
    ----------
    model : str
        A preset's name (`light`, `vit_b`, ...) for the shape of the network.
    seed : int
        Everything random follows from it and from the number of the step.
    steps : int
        Optimiser steps in all.
    batch_size : int
        Images per step and process, over all accumulated parts.
    accumulation : int
        Parts in which a batch is encoded, to save memory; must divide `batch_size`.
    lesson_images : int
        Images whose objects are asked for at once: 1 is best on a processor, while a GPU wants many. They begin with
        the same kind of prompt (click, box or words), and every object of a lesson counts the same.
    crop_size : int
        Side of the training crops, in pixels of the model's input; a multiple of 16, at most its image size.
    masks_per_image : int
        Objects per image, chosen at random where there are more.
    rounds : int
        Prompts per object: the first one, then clicks into the error and, from six rounds on, two rounds without
        a new point.
    box_share : float
        Share of images whose first prompt is a noisy box instead of a point.
    box_noise, box_noise_limit : float
        Standard deviation of a box's noise over its side, and the largest shift in pixels.
    center_share : float
        Share of first points placed at the object's centre instead of uniformly (0 in the paper).
    text_share : float
        Share of images whose first prompt is how CLIP sees the objects, from which a model learns to follow words
        (section 7.5); 0 trains without words. The others begin with a point or a box.
    text_model : str
        A folder with that CLIP, or the name of a public one. Training fetches nothing: it has to be here.
    loss_stride : int
        1, 2 or 4: step of the grid, in pixels, on which masks are compared.
    focal_weight, dice_weight, iou_weight : float
        Factors of the three losses.
    learning_rate, weight_decay, betas : float, float, (float, float)
        Of AdamW.
    warmup_steps : int
        Linear warm-up.
    schedule : str
        `step` (decay at `decay_at`), `cosine` (to `final_rate`) or `constant`.
    decay_at : tuple of float
        Parts of the run after which the rate is multiplied by `decay_factor`.
    decay_factor, final_rate : float
        Of the two schedules; `final_rate` is relative to `learning_rate`.
    layer_decay : float
        Factor of the learning rate per encoder block, from the last to the first; 1 is none.
    drop_path : float
        Stochastic depth of the encoder's last block.
    clip_norm : float
        Largest norm of the gradient; 0 does not clip.
    precision : str
        `float32`; `bfloat16` for mixed precision; or `auto`: mixed where the device is faster so, which processors
        without instructions for it are not. The run's `config.json` says what it was.
    ema_decay : float
        Of the moving average of the weights that is validated and exported; 0 is none.
    trainable : str
        `all`; `decoder` (image encoder frozen, its running statistics included); or `lora` (the same, but for
        low-rank adapters of its attention, arXiv:2106.09685).
    lora_rank : int
        Rank of the adapters.
    lora_alpha : float
        What an adapter adds is multiplied by `lora_alpha / lora_rank`.
    variants : int
        Crops of each image with `trainable` `decoder`: made once, the first as inference would see it, so that their
        embeddings are computed once as well. 0 makes and encodes a new crop each time.
    memory_gb : float
        Memory for images that were read (of each worker), and as much again for embeddings of a frozen encoder, in
        GB (10^9 bytes). Images beyond it are read again, embeddings go to files in the run's folder.
    light_share : float
        Share of crops whose colours and light are changed; fewer where colours mean something, as in words.
    scale_jitter : tuple of float
        Smallest and largest factor on the scale that inference would choose (large-scale jitter).
    aspect_jitter : float
        Largest natural logarithm of the ratio by which a crop is stretched along one of its axes; 0 never does.
    min_object_area : int
        Smaller objects, in pixels of the crop, are not asked for.
    max_object_share : float
        Nor are objects that cover more of the crop than this.
    procedural_share : float
        Share of images drawn by `synthetic` instead of read.
    procedural_scenes : int
        How many different scenes are drawn in all, each cropped many times; 0 draws a new one for every crop.
    drawn : mapping of str to float
        Weights of the kinds of drawn scenes, by their names in `synthetic`; kinds that are not named are not drawn.
        Where it is empty, each has a weight of its own.
    sources : mapping of str to float
        Weights of kinds of images, by pattern over `dataset/name` (the first that fits counts); images that fit
        none are one more kind of weight 1. Within a kind, images are equally likely.
    scales : mapping of str to float
        Factor on the scale of kinds of images, by pattern as in `sources`, before the jitter: images of a coarser
        resolution than those that the model will meet.
    validation_share : float
        Share of groups kept from training to measure on.
    validate_every, checkpoint_every, log_every : int
        Steps between validations, checkpoints and lines of `metrics.csv`.
    picture_every : int
        Steps between pictures of predictions; 0 makes none.
    validation_images, validation_objects : int
        Images, and objects of each, in a validation.
    workers : int
        Processes that prepare images; 0 prepares them in the training process. The numbers do not depend on it.
    threads : int
        Threads of the processor; 0 leaves the choice to torch.
    """

    model: str = "light"
    seed: int = 0
    steps: int = 90_000
    batch_size: int = 8
    accumulation: int = 1
    lesson_images: int = 1
    crop_size: int = 256
    masks_per_image: int = 64
    rounds: int = 11
    box_share: float = 0.5
    box_noise: float = 0.1
    box_noise_limit: float = 20.0
    center_share: float = 0.0
    text_share: float = 0.0
    text_model: str = LARGE_CLIP
    loss_stride: int = 2
    focal_weight: float = 20.0
    dice_weight: float = 1.0
    iou_weight: float = 1.0
    learning_rate: float = 8e-4
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.999)
    warmup_steps: int = 250
    schedule: str = "step"
    decay_at: tuple[float, ...] = (2 / 3, 86_666 / 90_000)
    decay_factor: float = 0.1
    final_rate: float = 0.02
    layer_decay: float = 1.0
    drop_path: float = 0.0
    clip_norm: float = 1.0
    precision: str = "float32"
    ema_decay: float = 0.999
    trainable: str = "all"
    lora_rank: int = 8
    lora_alpha: float = 8.0
    variants: int = 0
    memory_gb: float = 2.0
    light_share: float = 1.0
    scale_jitter: tuple[float, float] = (0.1, 2.0)
    aspect_jitter: float = 0.0
    min_object_area: int = 16
    max_object_share: float = 0.9
    procedural_share: float = 0.3
    procedural_scenes: int = 0
    drawn: Mapping[str, float] = field(default_factory=dict)
    sources: Mapping[str, float] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)
    validation_share: float = 0.1
    validate_every: int = 200
    checkpoint_every: int = 100
    log_every: int = 10
    picture_every: int = 200
    validation_images: int = 40
    validation_objects: int = 8
    workers: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        for name in (
            "steps",
            "batch_size",
            "accumulation",
            "lesson_images",
            "masks_per_image",
            "rounds",
            "lora_rank",
        ):
            self._require(name, getattr(self, name) >= 1, "1 or more")
        for name in ("validate_every", "checkpoint_every", "log_every", "validation_images", "validation_objects"):
            self._require(name, getattr(self, name) >= 1, "1 or more")
        for name in ("box_share", "center_share", "text_share", "light_share", "procedural_share", "final_rate"):
            self._require(name, 0 <= getattr(self, name) <= 1, "between 0 and 1")
        for name in ("validation_share", "ema_decay", "drop_path"):
            self._require(name, 0 <= getattr(self, name) < 1, "at least 0 and less than 1")
        for name in ("focal_weight", "dice_weight", "iou_weight", "weight_decay", "clip_norm", "warmup_steps",
                     "variants", "memory_gb", "aspect_jitter", "picture_every", "procedural_scenes", "workers",
                     "threads"):  # fmt: skip
            self._require(name, getattr(self, name) >= 0, "0 or more")
        for name in ("learning_rate", "layer_decay", "max_object_share", "lora_alpha"):
            self._require(name, getattr(self, name) > 0, "more than 0")
        for name, choices in (("schedule", SCHEDULES), ("precision", PRECISIONS), ("trainable", TRAINABLE)):
            self._require(name, getattr(self, name) in choices, f"one of {', '.join(choices)}")
        self._require("crop_size", self.crop_size > 0 and self.crop_size % 16 == 0, "a positive multiple of 16")
        self._require("loss_stride", self.loss_stride in (1, 2, 4), "1, 2 or 4")
        self._require("accumulation", self.batch_size % self.accumulation == 0, "a divisor of batch_size")
        self._require(
            "variants", not self.variants or self.trainable == "decoder", "0, unless trainable is 'decoder'"
        )
        low, high = self.scale_jitter
        self._require("scale_jitter", 0 < low <= high, "two factors above 0, the smaller first")
        for name in ("drawn", "sources"):
            self._require(name, all(weight >= 0 for weight in getattr(self, name).values()), "weights of 0 or more")
        self._require("scales", all(factor > 0 for factor in self.scales.values()), "factors above 0")

    def _require(self, name: str, holds: bool, allowed: str) -> None:
        if not holds:
            raise ValueError(f"{name} is {getattr(self, name)!r}; it must be {allowed}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingConfig:
        """Build a configuration from plain values.

        Raises
        ------
        ValueError
            For a knob that there is not, or a value that it cannot have.
        """
        known = {knob.name: knob for knob in fields(cls)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(f"there is no {', '.join(unknown)} to set; known are {', '.join(sorted(known))}")
        return cls(**{name: _typed(name, value, str(known[name].type)) for name, value in values.items()})


def _typed(name: str, value: Any, kind: str) -> Any:
    """Return the value in the type its knob is annotated with; TOML and JSON have no tuples, and write 1 for 1.0."""
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind == "str" and isinstance(value, str):
        return value
    if kind.startswith("tuple") and isinstance(value, list | tuple):
        return tuple(float(part) for part in value)
    if kind.startswith("Mapping") and isinstance(value, Mapping):
        return {str(key): float(weight) for key, weight in value.items()}
    raise ValueError(f"{name} is {value!r}; it must be {kind}")


def read_config(path: str | os.PathLike[str]) -> TrainingConfig:
    """Read a `.toml` or `.json` file.

    Raises
    ------
    ValueError
        For a file that is neither, or that sets what cannot be set.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    try:
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path.name} cannot be read as {path.suffix[1:].upper()}: {error}") from error
    try:
        return TrainingConfig.from_dict(values)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def write_config(path: str | os.PathLike[str], config: TrainingConfig) -> None:
    """Write a configuration as JSON that `read_config` reads, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(config.to_dict(), indent=2) + "\n", encoding="utf-8")
