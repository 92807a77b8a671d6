"""The training loop: a generator of progress that writes checkpoints, metrics and the finished weights.

Everything random in step k follows from the seed and k, so a run that was stopped and resumed gives the numbers of
one that was not.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from napari_segany.engine.device import choose_device
from napari_segany.engine.progress import Progress, Steps
from napari_segany.evaluation.data import Sample
from napari_segany.model import SamConfig, build_sam, load_sam
from napari_segany.model.config import PRESETS, TinyViTConfig, ViTConfig
from napari_segany.model.sam import ImageFeatures, Sam
from napari_segany.training.checkpointing import CHECKPOINT_NAME, load_checkpoint, save_checkpoint
from napari_segany.training.config import TrainingConfig, write_config
from napari_segany.training.data import CropSource, crop_batches, split_by_group
from napari_segany.training.distributed import World, join_world
from napari_segany.training.export import WEIGHTS_NAME, export
from napari_segany.training.optimizer import build_optimizer, follow, learning_rate, set_learning_rate
from napari_segany.training.rounds import LessonResult, teach
from napari_segany.training.scene import Crop
from napari_segany.training.screening import screen
from napari_segany.training.validation import ValidationResult, validate

STRIDE = 16
SKIPPED_NAME = "skipped.txt"


@dataclass(frozen=True)
class TrainingResult:
    """What a finished run left.

    Attributes
    ----------
    weights : pathlib.Path
        The averaged weights after the last step.
    validation : ValidationResult or None
        Their quality on the images kept from training; None where none were kept.
    skipped : tuple of str
        Images that could not be used, and why.
    """

    weights: Path
    validation: ValidationResult | None
    skipped: tuple[str, ...]


def train(
    config: TrainingConfig,
    samples: Sequence[Sample],
    output: Path,
    *,
    init: Path | None = None,
    resume: bool = False,
    device: str = "auto",
    provenance: str = "",
) -> Steps[TrainingResult]:
    """Train a model.

    Parameters
    ----------
    config : TrainingConfig
        Every knob.
    samples : sequence of Sample
        Annotated images; part of them is kept to measure on. There may be none with `procedural_share` 1.
    output : pathlib.Path
        Folder for `config.json`, `metrics.csv`, `skipped.txt`, `last.pt` and `weights.safetensors`.
    init : pathlib.Path, optional
        Weights to start from.
    resume : bool
        Go on from the output's last checkpoint, if there is one.
    device : str
        `auto`, `cpu`, `cuda` or `mps`.
    provenance : str
        Where the data came from and under which licence, stored with the weights.

    Yields
    ------
    Progress
        Every step.

    Returns
    -------
    TrainingResult
        The files.

    Raises
    ------
    ValueError
        For a configuration that the model or the data cannot serve.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    world = join_world()
    output.mkdir(parents=True, exist_ok=True)
    sam = _start(config, init).to(choose_device(device))
    screening = yield from screen(samples)
    kept, measured = split_by_group(screening.samples, config.validation_share, config.seed)
    source = CropSource(kept, config, sam.config.image_size)
    measured = _spread(measured, config)
    average = {key: tensor.clone() for key, tensor in sam.state_dict().items()}
    optimizer = build_optimizer(sam, config)
    step, best = 0, -1.0
    if resume and (output / CHECKPOINT_NAME).is_file():
        step, best = load_checkpoint(output / CHECKPOINT_NAME, sam, average, optimizer)
    if world.rank == 0:
        write_config(output / "config.json", config)
        (output / SKIPPED_NAME).write_text("".join(f"{line}\n" for line in screening.skipped), encoding="utf-8")
        log = _Log(output / "metrics.csv", config.log_every, step)
    batch = config.batch_size * world.size
    part = config.batch_size
    loader = crop_batches(source, step * batch, config.steps * batch, part, world, config.workers)
    result: ValidationResult | None = None
    for crops in loader:
        losses = train_step(sam, crops, config, optimizer, step, world)
        step += 1
        world.average_buffers(sam)
        follow(average, sam, config.ema_decay, step)
        if world.rank:
            yield Progress(step, config.steps, "Training")
            continue
        note = log.add(step, losses)
        last = step == config.steps
        if measured and (step % config.validate_every == 0 or last):
            result = yield from _measure(sam, average, measured, config)
            log.add_validation(step, result)
            best = max(best, result.click)
        if step % config.checkpoint_every == 0 or last:
            save_checkpoint(output / CHECKPOINT_NAME, sam, average, optimizer, step, best)
        yield Progress(step, config.steps, note)
    if world.rank == 0:
        export(sam, average, output / WEIGHTS_NAME, config, provenance)
    return TrainingResult(output / WEIGHTS_NAME, result, screening.skipped)


def train_step(
    sam: Sam,
    crops: Sequence[Crop],
    config: TrainingConfig,
    optimizer: torch.optim.Optimizer,
    step: int,
    world: World | None = None,
) -> list[LessonResult]:
    """Do one optimiser step on a batch of crops; return what happened to each image that had objects."""
    world = world or World()
    seed = int(np.random.SeedSequence((config.seed, step, world.rank)).generate_state(1)[0])
    generator = torch.Generator().manual_seed(seed)
    set_learning_rate(optimizer, learning_rate(step, config))
    optimizer.zero_grad(set_to_none=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of stochastic depth
        results = accumulate_gradients(sam, crops, config, generator)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    world.average_gradients(parameters)
    if config.clip_norm:
        torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)
    optimizer.step()
    return results


def accumulate_gradients(
    sam: Sam, crops: Sequence[Crop], config: TrainingConfig, generator: torch.Generator
) -> list[LessonResult]:
    """Add the gradients of the mean loss over a batch of crops to the model's parameters.

    The encoder runs once per part of the batch; prompts and answers of each image meet its features as leaves.
    """
    sam.train()
    if config.trainable == "decoder":
        sam.image_encoder.eval()
    device = sam.pixel_mean.device
    results = []
    size = max(1, len(crops) // config.accumulation)
    for start in range(0, len(crops), size):
        part = crops[start : start + size]
        pixels = torch.from_numpy(np.stack([crop.image for crop in part])).to(device).permute(0, 3, 1, 2)
        with _precision(config, device), sdpa_kernel(SDPBackend.MATH):
            features = sam.encode((pixels - sam.pixel_mean) / sam.pixel_std)
            tensors = (features.embedding, *features.high_resolution)
            leaves = [tensor.detach().requires_grad_(tensor.requires_grad) for tensor in tensors]
            for index, crop in enumerate(part):
                if not len(crop.masks):
                    continue
                embedding, *high_resolution = (leaf[index : index + 1] for leaf in leaves)
                own = [leaf.detach().requires_grad_(leaf.requires_grad) for leaf in (embedding, *high_resolution)]
                results.append(
                    teach(
                        sam,
                        ImageFeatures(own[0], tuple(own[1:])),
                        torch.from_numpy(crop.masks).to(device),
                        config,
                        generator,
                        origin=_origin(sam.config.image_size - config.crop_size, generator),
                        backward=lambda loss: (loss / len(crops)).backward(),
                    )
                )
                for leaf, mine in zip(leaves, own, strict=True):
                    if mine.grad is not None:
                        leaf.grad = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
                        leaf.grad[index] = mine.grad[0]
        taught = [(t, leaf.grad) for t, leaf in zip(tensors, leaves, strict=True) if leaf.grad is not None]
        if taught:
            torch.autograd.backward([t for t, _ in taught], [g for _, g in taught])
    return results


def _start(config: TrainingConfig, init: Path | None) -> Sam:
    """Return the model to train: of a preset with random weights, or with those of a file."""
    if config.model not in PRESETS:
        raise ValueError(f"model is {config.model!r}; known are {', '.join(PRESETS)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        shape: SamConfig = PRESETS[config.model] if init is None else load_sam(init).config
        encoder: ViTConfig | TinyViTConfig = replace(shape.encoder, drop_path_rate=config.drop_path)
        sam = build_sam(replace(shape, encoder=encoder))
    if init is not None:
        sam.load_state_dict(load_sam(init).state_dict())
    if config.crop_size > sam.config.image_size:
        raise ValueError(f"crop_size is {config.crop_size}; {config.model} takes at most {sam.config.image_size}")
    if config.trainable == "decoder":
        sam.image_encoder.requires_grad_(False)
    return sam


def _origin(room: int, generator: torch.Generator) -> tuple[int, int]:
    """Return a random place (x, y) for the crop in the model's canvas, on the grid of the embedding."""
    x, y = torch.randint(0, room // STRIDE + 1, (2,), generator=generator).tolist()
    return x * STRIDE, y * STRIDE


def _precision(config: TrainingConfig, device: torch.device) -> AbstractContextManager[object]:
    if config.precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def _spread(samples: Sequence[Sample], config: TrainingConfig) -> list[Sample]:
    """Return up to `validation_images` samples, evenly from all, in an order that does not depend on their number."""
    order = np.random.default_rng(config.seed).permutation(len(samples))[: config.validation_images]
    return [samples[index] for index in sorted(order)]


def _measure(
    sam: Sam, average: dict[str, Tensor], samples: Sequence[Sample], config: TrainingConfig
) -> Steps[ValidationResult]:
    """Validate the averaged weights, in a model of their own."""
    averaged = build_sam(sam.config).to(sam.pixel_mean.device)
    averaged.load_state_dict(average)
    return (yield from validate(averaged, samples, config.validation_objects, config.seed))


class _Log:
    """Means over the steps since the last line, as CSV."""

    def __init__(self, path: Path, every: int, step: int) -> None:
        self.path, self.every = path, every
        self._results: list[LessonResult] = []
        self._since = time.perf_counter()
        if step == 0 or not path.is_file():
            self._write("w", ["step", "seconds_per_step", "loss", "focal", "dice", "iou_error", "first_iou",
                              "first_best", "last_iou", "wins", "click", "oracle", "box", "error"])  # fmt: skip

    def add(self, step: int, results: Sequence[LessonResult]) -> str:
        """Remember a step; every so often write a line, and return it in words."""
        self._results += results
        if step % self.every or not self._results:
            return "Training"
        seconds = (time.perf_counter() - self._since) / self.every
        names = ("loss", "focal", "dice", "iou_error", "first_iou", "first_best", "last_iou")
        means = [float(np.mean([getattr(result, name) for result in self._results])) for name in names]
        wins = np.mean([result.wins for result in self._results], axis=0)
        self._write("a", [step, f"{seconds:.2f}", *(f"{mean:.4f}" for mean in means),
                          " ".join(f"{win:.2f}" for win in wins), "", "", "", ""])  # fmt: skip
        self._results, self._since = [], time.perf_counter()
        return f"loss {means[0]:.3f}, IoU {means[4]:.3f}, best of three {means[5]:.3f}, at the end {means[6]:.3f}"

    def add_validation(self, step: int, result: ValidationResult) -> None:
        """Write what was measured."""
        self._write("a", [step, *[""] * 9, *(f"{value:.4f}" for value in
                          (result.click, result.oracle, result.box, result.error))])  # fmt: skip
        self._since = time.perf_counter()

    def _write(self, mode: str, row: Sequence[object]) -> None:
        with self.path.open(mode, newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(row)
