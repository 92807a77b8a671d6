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
    """Do one optimiser step on a batch of crops; return what happened to each image that had objects."""
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

    The encoder runs once per part of the batch; prompts and answers of each image meet its features as leaves. An
    encoder that is frozen, or learns by adapters, computes as in evaluation, and keeps its running statistics.

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
                        describe=_description(clip, crop, generator),
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


def _encode(sam: Sam, crops: Sequence[Crop]) -> tuple[Tensor, ...]:
    """Return the embedding (B, 256, h, w) of B crops and their features at finer scales."""
    pixels = torch.from_numpy(np.stack([crop.image for crop in crops])).to(sam.pixel_mean.device)
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


def _description(clip: ObjectEncoder | None, crop: Crop, generator: torch.Generator) -> Callable[[], Tensor] | None:
    return None if clip is None else lambda: describe_objects(clip, crop.image, crop.masks, generator)


def _origin(room: int, generator: torch.Generator) -> tuple[int, int]:
    """Return a random place (x, y) for the crop in the model's canvas, on the grid of the embedding."""
    x, y = torch.randint(0, room // STRIDE + 1, (2,), generator=generator).tolist()
    return x * STRIDE, y * STRIDE


def _precision(config: TrainingConfig, device: torch.device) -> AbstractContextManager[object]:
    if config.precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
