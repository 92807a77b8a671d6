"""How crops travel: the same ones for any number of workers, each process its own."""

from __future__ import annotations

import numpy as np

from napari_segany.model import SamConfig
from napari_segany.training.config import TrainingConfig
from napari_segany.training.crop_batches import crop_batches
from napari_segany.training.data import CropSource
from napari_segany.training.distributed import World


def test_the_number_of_workers_changes_nothing(tiny_training: TrainingConfig) -> None:
    source = CropSource([], tiny_training, SamConfig(image_size=64))
    runs = [
        [crop for batch in crop_batches(source, 4, 12, 2, World(), workers) for crop in batch] for workers in (0, 2)
    ]
    assert len(runs[0]) == len(runs[1]) == 8
    for first, second in zip(*runs, strict=True):
        np.testing.assert_array_equal(first.image, second.image)
        np.testing.assert_array_equal(first.masks, second.masks)


def test_processes_share_the_numbers(tiny_training: TrainingConfig) -> None:
    source = CropSource([], tiny_training, SamConfig(image_size=64))
    numbers = [list(crop_batches(source, 0, 12, 2, World(rank, 3), 0).sampler) for rank in range(3)]
    assert numbers == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11]]
