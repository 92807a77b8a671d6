"""The training loop: a generator of progress that writes checkpoints, metrics and the finished weights.

Everything random in step k follows from the seed and k, so a run that was stopped and resumed gives the numbers of
one that was not.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from napari_segany.engine.clip import Clip, ObjectEncoder
from napari_segany.engine.device import NotEnoughMemoryError, choose_device, is_out_of_memory
from napari_segany.engine.precision import products_of
from napari_segany.engine.precision_names import AUTO, BFLOAT16, FLOAT32
from napari_segany.engine.progress import Progress, Steps
from napari_segany.formats.atomic import replacing
from napari_segany.model import Sam
from napari_segany.training.annotated import AnnotatedImage
from napari_segany.training.checkpointing import (
    CHECKPOINT_NAME,
    Checkpoint,
    read_checkpoint,
    restore,
    save_checkpoint,
)
from napari_segany.training.config import TrainingConfig, write_config
from napari_segany.training.crop_batches import crop_batches
from napari_segany.training.data import GIGABYTE, CropSource, split_by_group
from napari_segany.training.distributed import join_world
from napari_segany.training.embeddings import EmbeddingStore, encoder_stamp
from napari_segany.training.export import BEST_NAME, WEIGHTS_NAME, averaged_sam, export
from napari_segany.training.gradients import train_step
from napari_segany.training.network import start_network
from napari_segany.training.observer import Observer
from napari_segany.training.optimizer import build_optimizer, follow, start_average
from napari_segany.training.reports import TrainingStep, remark
from napari_segany.training.rounds import LessonResult
from napari_segany.training.screening import Screening, screen
from napari_segany.training.validation import Milestones, ValidationResult

CONFIG_NAME = "config.json"
SKIPPED_NAME = "skipped.txt"
EMBEDDINGS_NAME = "embeddings"


@dataclass(frozen=True)
class TrainingResult:
    """What a finished run left.

    Attributes
    ----------
    weights : pathlib.Path
        The averaged weights of the step that was best on images kept from training; of the last step where none
        were kept.
    step : int
        That step.
    validation : ValidationResult or None
        Their quality on the images kept from training; None where none were kept.
    before : ValidationResult or None
        The same of the weights that the run began with, if they came from a file.
    skipped : tuple of str
        Images that could not be used, and why.
    """

    weights: Path
    step: int
    validation: ValidationResult | None
    before: ValidationResult | None
    skipped: tuple[str, ...]


def train(
    config: TrainingConfig,
    images: Sequence[AnnotatedImage],
    output: Path,
    *,
    init: str | os.PathLike[str] | None = None,
    resume: bool = False,
    device: str = "auto",
    provenance: str = "",
    clip: ObjectEncoder | None = None,
    measure_on: Collection[str] | None = None,
) -> Steps[TrainingResult]:
    """Train a model.

    Parameters
    ----------
    config : TrainingConfig
        Every knob.
    images : sequence of AnnotatedImage
        Annotated images, see `sources.find_images`; part of them is kept to measure on. There may be none with
        `procedural_share` 1.
    output : pathlib.Path
        Folder for `config.json`, `metrics.csv`, `metrics.png`, `skipped.txt`, `pictures`, `last.pt`,
        `best.safetensors` and `weights.safetensors`.
    init : str or path, optional
        Weights to start from: a name of the registry, or a checkpoint file.
    resume : bool
        Go on from the output's last checkpoint, if there is one.
    device : str
        `auto`, `cpu`, `cuda` or `mps`.
    provenance : str
        Where the data came from and under which licence, stored with the weights.
    clip : ObjectEncoder, optional
        What words are learned with where `config.text_share` is not 0; the config's `text_model` by default.
    measure_on : collection of str, optional
        Names of the images that are kept from training to measure on; by default chosen by chance, see
        `split_by_group`.

    Yields
    ------
    Progress
        `TrainingStep` for every step, `Remark` for what a user should read, other progress for work between steps.

    Returns
    -------
    TrainingResult
        The files.

    Raises
    ------
    ValueError
        For a configuration that the model or the data cannot serve, a CLIP that is not there, or an output folder
        that holds another run.
    NotEnoughMemoryError
        Where memory runs out; the last checkpoint stays.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    world = join_world()
    output.mkdir(parents=True, exist_ok=True)
    last = output / CHECKPOINT_NAME
    if last.is_file() and not resume:
        raise ValueError(
            f"{output} holds a run already, which would be written over; go on with it (--resume), "
            "or give another output folder"
        )
    checkpoint = read_checkpoint(last) if resume and last.is_file() else None
    place = choose_device(device)
    config = _with_precision(config, place)
    if config.text_share and clip is None:
        yield Progress(0, 0, "Loading CLIP")
        clip = Clip(config.text_model, place)
    clip = clip if config.text_share else None
    width = None if clip is None else clip.width
    sam = start_network(config, init, checkpoint.shape if checkpoint else None, width).to(place)
    if place.type == "cuda":  # the layout of tensor cores; the published shapes and names stay
        sam.image_encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    screening = yield from screen(images)
    if measure_on is None:
        kept, measured = split_by_group(screening.images, config.validation_share, config.seed)
    else:
        kept = [image for image in screening.images if image.name not in measure_on]
        measured = [image for image in screening.images if image.name in measure_on]
    source = CropSource(kept, config, sam.config)
    average = start_average(sam)
    optimizer = build_optimizer(sam, config)
    step, milestones, began_with = 0, Milestones(), "" if init is None else os.fspath(init)
    unwritten: tuple[LessonResult, ...] = ()
    if checkpoint is not None:
        restore(last, checkpoint, sam, average, optimizer)
        step, milestones = checkpoint.step, checkpoint.milestones
        began_with, unwritten = checkpoint.init, checkpoint.unwritten
        if not (output / BEST_NAME).is_file():  # deleted: what comes is compared among itself
            milestones = Milestones(milestones.before)
    store = None
    if config.variants:
        stamp = encoder_stamp(sam, config.precision)
        store = EmbeddingStore(output / EMBEDDINGS_NAME, int(config.memory_gb * GIGABYTE), stamp)
    observer = None
    if world.rank == 0:
        write_config(output / CONFIG_NAME, config)
        (output / SKIPPED_NAME).write_text("".join(f"{line}\n" for line in screening.skipped), encoding="utf-8")
        yield from (remark(text) for text in _remarks(screening, len(measured), config))
        observer = Observer(
            output, config, measured, kept, step, provenance, keeps_embeddings=store is not None, clip=clip,
            unwritten=unwritten,
        )  # fmt: skip
        if step == 0:
            # From here on the run is whole without the weights that it began with.
            save_checkpoint(last, Checkpoint.of(sam, average, optimizer, 0, milestones, began_with))
        if step == 0 and began_with:
            milestones = yield from observer.measure(averaged_sam(sam, average, config), 0, milestones)
    if config.workers and multiprocessing.get_start_method() == "fork":
        yield from source.read_ahead(config.workers)
    batch = config.batch_size * world.size
    loader = crop_batches(source, step * batch, config.steps * batch, config.batch_size, world, config.workers)
    for crops in loader:
        with _told_of_memory(config):
            results = train_step(sam, crops, config, optimizer, step, world, store, clip)
        step += 1
        world.average_buffers(sam)
        follow(average, sam, config.ema_decay, step)
        if observer is None:
            yield TrainingStep(step, config.steps, "Training")
            continue
        note = yield from observer.log(step, results)
        if observer.is_due(step):
            averaged = averaged_sam(sam, average, config)
            milestones = yield from observer.observe(averaged, step, milestones)
        if step % config.checkpoint_every == 0 or step == config.steps:
            unwritten = observer.unwritten
            save_checkpoint(last, Checkpoint.of(sam, average, optimizer, step, milestones, began_with, unwritten))
        yield TrainingStep(step, config.steps, note)
    if world.rank == 0:
        _finish(output, sam, average, config, step, milestones, provenance)
        if store is not None:
            store.remove_files()
    best = milestones.best
    return TrainingResult(
        output / WEIGHTS_NAME,
        step if best is None else milestones.best_step,
        best,
        milestones.before,
        screening.skipped,
    )


@contextmanager
def _told_of_memory(config: TrainingConfig) -> Iterator[None]:
    """Say which knobs need less where memory runs out."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise NotEnoughMemoryError(
            f"memory ran out in a step of {config.batch_size} crops of {config.crop_size} pixels with up to "
            f"{config.masks_per_image} objects each; lower masks_per_image, then batch_size (or raise accumulation), "
            "then crop_size (--set KNOB=VALUE), and go on with --resume"
        ) from error


def _with_precision(config: TrainingConfig, device: torch.device) -> TrainingConfig:
    """Return the configuration with the precision that `auto` stands for on a device."""
    if config.precision != AUTO:
        return config
    return replace(config, precision=FLOAT32 if products_of(AUTO, device) is None else BFLOAT16)


def _remarks(screening: Screening, measured: int, config: TrainingConfig) -> list[str]:
    """Return what a user should know of the data before the run."""
    remarks = []
    usable, skipped = len(screening.images), len(screening.skipped)
    if skipped:
        remarks.append(
            f"left out {skipped} of {usable + skipped} images, the first: {screening.skipped[0]} "
            f"(all of them are in {SKIPPED_NAME})"
        )
    if usable and not measured and config.validation_share > 0:
        why = "there is one image" if usable == 1 else f"the {usable} images belong together"
        remarks.append(
            f"{why}: nothing is kept from training to measure on, and the weights of the last step are taken as they "
            "are; add images to know how good they are"
        )
    return remarks


def _finish(
    output: Path,
    sam: Sam,
    average: dict[str, Tensor],
    config: TrainingConfig,
    step: int,
    milestones: Milestones,
    provenance: str,
) -> None:
    """Write the finished weights: those of the best step, or the last where nothing was measured."""
    if milestones.best is None or not (output / BEST_NAME).is_file():
        export(averaged_sam(sam, average, config), output / WEIGHTS_NAME, config, step=step, provenance=provenance)
        return
    with replacing(output / WEIGHTS_NAME) as temporary:
        shutil.copyfile(output / BEST_NAME, temporary)
