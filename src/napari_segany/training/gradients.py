"""One optimiser step: the gradients of a batch of crops, and what it takes to apply them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from napari_segany.engine.clip import ObjectEncoder
from napari_segany.model import ImageFeatures, Sam
from napari_segany.training.config import TrainingConfig
from napari_segany.training.distributed import World
from napari_segany.training.embeddings import EmbeddingStore
from napari_segany.training.optimizer import learning_rate, set_learning_rate
from napari_segany.training.rounds import LessonResult, teach
from napari_segany.training.scene import Crop
from napari_segany.training.words import describe_objects

STRIDE = 16


def train_step(
    sam: Sam,
    crops: Sequence[Crop],
    config: TrainingConfig,
    optimizer: torch.optim.Optimizer,
    step: int,
    world: World | None = None,
    store: EmbeddingStore | None = None,
    clip: ObjectEncoder | None = None,
) -> list[LessonResult]:
    """Do one optimiser step on a batch of crops; return what happened in each lesson that had objects."""
    world = world or World()
    seed = int(np.random.SeedSequence((config.seed, step, world.rank)).generate_state(1)[0])
    generator = torch.Generator().manual_seed(seed)
    set_learning_rate(optimizer, learning_rate(step, config))
    optimizer.zero_grad(set_to_none=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of stochastic depth
        results = accumulate_gradients(sam, crops, config, generator, store, clip)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    world.average_gradients(parameters)
    if config.clip_norm:
        torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)
    optimizer.step()
    return results


def accumulate_gradients(
    sam: Sam,
    crops: Sequence[Crop],
    config: TrainingConfig,
    generator: torch.Generator,
    store: EmbeddingStore | None = None,
    clip: ObjectEncoder | None = None,
) -> list[LessonResult]:
    """Add the gradients of the mean loss over a batch of crops to the model's parameters.

    The encoder runs once per part of the batch; prompts and answers of each lesson meet its images' features as
    leaves. An encoder that is frozen, or learns by adapters, computes as in evaluation and keeps its running
    statistics.

    Parameters
    ----------
    sam : Sam
        The model.
    crops : sequence of Crop
        The batch.
    config : TrainingConfig
        What learns, in how many parts, and from what.
    generator : torch.Generator
        Source of all chance but that of stochastic depth, on the CPU.
    store : EmbeddingStore, optional
        Where features of crops that come again are kept; for a frozen encoder only.
    clip : ObjectEncoder, optional
        What gives prompts that words lie beside, for a model that takes them.
    """
    sam.train()
    if config.trainable != "all":
        sam.image_encoder.eval()
    device = sam.pixel_mean.device
    results = []
    size = max(1, len(crops) // config.accumulation)
    for start in range(0, len(crops), size):
        part = crops[start : start + size]
        with _precision(config, device), sdpa_kernel(SDPBackend.MATH):
            tensors = _encode(sam, part) if store is None else _encode_once(sam, part, store)
            leaves = [tensor.detach().requires_grad_(tensor.requires_grad) for tensor in tensors]
            for first in range(0, len(part), config.lesson_images):
                lesson = part[first : first + config.lesson_images]
                if any(len(crop.masks) for crop in lesson):
                    share = len(lesson) / len(crops)
                    places = range(first, first + len(lesson))
                    results.append(_teach_together(sam, lesson, leaves, places, share, config, generator, clip))
        taught = [(t, leaf.grad) for t, leaf in zip(tensors, leaves, strict=True) if leaf.grad is not None]
        if taught:
            torch.autograd.backward([t for t, _ in taught], [g for _, g in taught])
    return results


def _teach_together(
    sam: Sam,
    crops: Sequence[Crop],
    leaves: Sequence[Tensor],
    places: range,
    share: float,
    config: TrainingConfig,
    generator: torch.Generator,
    clip: ObjectEncoder | None,
) -> LessonResult:
    """Teach the objects of some crops in one lesson, and add the gradients of their features to those of `leaves`.

    Parameters
    ----------
    sam, config, generator, clip
        As for `accumulate_gradients`.
    crops : sequence of Crop
        The crops of this lesson, one of which has objects at least.
    leaves : sequence of Tensor
        The features of a whole batch of crops, one tensor for each scale.
    places : range
        Where in that batch these crops are.
    share : float
        What part of the step's loss this lesson is.
    """
    device = leaves[0].device
    rows = torch.tensor([number for number, crop in enumerate(crops) for _ in crop.masks], device=device)
    alone = len(crops) == 1
    if alone:
        rows = rows[:1]  # one image serves all its objects
    mine = [leaf[places.start : places.stop] for leaf in leaves]
    own = [leaf[rows].detach().requires_grad_(leaf.requires_grad) for leaf in mine]
    result = teach(
        sam,
        ImageFeatures(own[0], tuple(own[1:])),
        torch.cat([torch.from_numpy(crop.masks).to(device) for crop in crops]),
        config,
        generator,
        origin=_origin(sam.config.image_size - config.crop_size, generator),
        backward=lambda loss: (loss * share).backward(),
        describe=_description(clip, crops, generator),
    )
    for leaf, taught in zip(leaves, own, strict=True):
        if taught.grad is None:
            continue
        leaf.grad = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        # Objects of one image add up; in single precision, lest the last of many small parts be lost.
        total = torch.zeros((len(crops), *leaf.shape[1:]), device=device).index_add_(0, rows, taught.grad.float())
        leaf.grad[places.start : places.stop] = total.to(leaf.dtype)
    return result


def _encode(sam: Sam, crops: Sequence[Crop]) -> tuple[Tensor, ...]:
    """Return the embedding (B, 256, h, w) of B crops and their features at finer scales."""
    device = sam.pixel_mean.device
    pixels = torch.stack([torch.from_numpy(crop.image).to(device) for crop in crops])
    features = sam.encode((pixels.permute(0, 3, 1, 2) - sam.pixel_mean) / sam.pixel_std)
    return (features.embedding, *features.high_resolution)


@torch.no_grad()
def _encode_once(sam: Sam, crops: Sequence[Crop], store: EmbeddingStore) -> tuple[Tensor, ...]:
    """Do what `_encode` does without gradients, crop by crop: of a batch, the last digits depend on the others."""
    of_each = []
    for crop in crops:
        if crop.recurs:
            features = store.features(crop.image, lambda crop=crop: _features(sam, crop))  # type: ignore[misc]
        else:
            features = _features(sam, crop)
        of_each.append((features.embedding, *features.high_resolution))
    device = sam.pixel_mean.device
    return tuple(torch.cat([tensor.to(device) for tensor in scale]) for scale in zip(*of_each, strict=True))


def _features(sam: Sam, crop: Crop) -> ImageFeatures:
    embedding, *high_resolution = _encode(sam, [crop])
    return ImageFeatures(embedding, tuple(high_resolution))


def _description(
    clip: ObjectEncoder | None, crops: Sequence[Crop], generator: torch.Generator
) -> Callable[[], Tensor] | None:
    if clip is None:
        return None
    shown = [crop for crop in crops if len(crop.masks)]
    return lambda: torch.cat([describe_objects(clip, crop.image, crop.masks, generator) for crop in shown])


def _origin(room: int, generator: torch.Generator) -> tuple[int, int]:
    """Return a random place (x, y) for the crop in the model's canvas, on the grid of the embedding."""
    x, y = torch.randint(0, room // STRIDE + 1, (2,), generator=generator).tolist()
    return x * STRIDE, y * STRIDE


def _precision(config: TrainingConfig, device: torch.device) -> AbstractContextManager[object]:
    if config.precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
