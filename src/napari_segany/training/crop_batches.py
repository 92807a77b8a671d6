"""How crops travel: each process of a run gets its share, made ahead by worker processes. Knows no model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from napari_segany.training.data import CropSource
from napari_segany.training.distributed import World
from napari_segany.training.scene import Crop


class CropBatches(DataLoader[Crop]):
    """A loader of lists of crops, which come from other processes through shared memory."""

    def __iter__(self) -> Iterator[list[Crop]]:  # type: ignore[override]
        """Go through the batches."""
        return (packed.crops() for packed in super().__iter__())


def crop_batches(source: CropSource, first: int, last: int, batch: int, world: World, workers: int) -> CropBatches:
    """Return a loader of lists of crops: this process's share of numbers `first` to `last`, `batch` at a time."""
    numbers = [
        number
        for start in range(first + world.rank * batch, last, world.size * batch)
        for number in range(start, start + batch)
    ]
    return CropBatches(
        source,
        batch_size=batch,
        sampler=numbers,
        num_workers=workers,
        collate_fn=_pack,
        prefetch_factor=2 if workers else None,
        worker_init_fn=_single_thread,
    )


@dataclass(frozen=True, eq=False)
class _PackedCrops:
    """Crops as few tensors: torch hands tensors to other processes without a copy, one file for each."""

    images: Tensor  # (B, S, S, 3) float32
    masks: Tensor  # (sum of N, S, S) bool
    counts: tuple[int, ...]
    recurring: tuple[bool, ...]

    def crops(self) -> list[Crop]:
        """Return the crops, whose arrays are views."""
        masks = self.masks.split(self.counts)
        return [
            Crop(image.numpy(), mine.numpy(), recurs)
            for image, mine, recurs in zip(self.images, masks, self.recurring, strict=True)
        ]


def _pack(crops: Sequence[Crop]) -> _PackedCrops:
    return _PackedCrops(
        torch.from_numpy(np.stack([crop.image for crop in crops])),
        torch.from_numpy(np.concatenate([crop.masks for crop in crops])),
        tuple(len(crop.masks) for crop in crops),
        tuple(crop.recurs for crop in crops),
    )


def _single_thread(worker: int) -> None:
    torch.set_num_threads(1)
