"""Where training images come from: annotated folders and drawn scenes, mixed by weight. Knows no model.

Image i of a run is a function of the seed and of i alone, so that neither the number of worker processes nor an
interruption changes what is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from napari_segany.evaluation.data import Sample
from napari_segany.training.augment import make_crop
from napari_segany.training.config import TrainingConfig
from napari_segany.training.distributed import World
from napari_segany.training.scene import Crop, Scene
from napari_segany.training.synthetic import draw_scene

ATTEMPTS = 8


class CropSource(Dataset[Crop]):
    """Crop i of a run, for every i.

    Parameters
    ----------
    samples : sequence of Sample
        The annotated images; there may be none if all scenes are drawn.
    config : TrainingConfig
        What to mix and how to crop.
    image_size : int
        Side of the model's input, in pixels.

    Raises
    ------
    ValueError
        For no samples where some are to be read, or `sources` whose weights leave nothing.
    """

    def __init__(self, samples: Sequence[Sample], config: TrainingConfig, image_size: int) -> None:
        if not samples and config.procedural_share < 1:
            raise ValueError(
                f"there are no training images, and procedural_share is {config.procedural_share}: "
                "give a folder of images and labels, or set procedural_share to 1"
            )
        self.samples = list(samples)
        self.config = config
        self.image_size = image_size
        self._chances = sample_chances(self.samples, config)
        self._read: dict[int, Scene] = {}

    def __getitem__(self, index: int) -> Crop:
        """Return crop `index`; a scene whose crop shows no object is given up for another, a few times."""
        for attempt in range(ATTEMPTS):
            rng = np.random.default_rng((self.config.seed, index, attempt))
            crop = make_crop(self._scene(rng), self.config, self.image_size, rng)
            if len(crop.masks):
                break
        return crop

    def _scene(self, rng: np.random.Generator) -> Scene:
        if rng.random() < self.config.procedural_share:
            return draw_scene(self.image_size, rng)
        index = int(rng.choice(len(self.samples), p=self._chances))
        if index not in self._read:
            self._read[index] = read_scene(self.samples[index])
        return self._read[index]


def sample_chances(samples: Sequence[Sample], config: TrainingConfig) -> np.ndarray:
    """Return the chance of every sample: kinds by their weights in `config.sources`, alike within a kind."""
    if not samples:
        return np.zeros(0)
    patterns = list(config.sources)
    kinds = np.array(
        [
            next((i for i, p in enumerate(patterns) if fnmatchcase(f"{s.dataset}/{s.name}", p)), len(patterns))
            for s in samples
        ]
    )
    weights = np.array([*config.sources.values(), 1.0])
    chances = weights[kinds] / np.bincount(kinds, minlength=len(weights))[kinds]
    if not chances.sum():
        raise ValueError(f"sources give every image a weight of 0: {dict(config.sources)}")
    return chances / chances.sum()


def read_scene(sample: Sample) -> Scene:
    """Read an annotated image as a scene in 0 to 255."""
    image, labels = sample.read()
    if image.ndim == 3:
        image = image[..., :3]
    if image.dtype != np.uint8:
        finite = image[np.isfinite(image)]
        low, high = np.percentile(finite, (0.1, 99.9)) if finite.size else (0.0, 1.0)
        scaled = (np.nan_to_num(image.astype(np.float64), nan=low) - low) / max(float(high - low), 1e-12)
        image = (np.clip(scaled, 0, 1) * 255).astype(np.float32)
    return Scene(image, (labels.astype(np.int32),))


def split_by_group(samples: Sequence[Sample], share: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Part samples into those to train on and those to measure on; images of one group stay together.

    Groups are chosen by chance within every data set, until `share` of its images is reached. A sample's group is
    its metadata's `group`, else its own name.
    """
    training: list[Sample] = []
    measuring: list[Sample] = []
    for dataset in sorted({sample.dataset for sample in samples}):
        own = [sample for sample in samples if sample.dataset == dataset]
        groups: dict[str, list[Sample]] = {}
        for sample in own:
            groups.setdefault(sample.metadata.get("group", sample.name), []).append(sample)
        order = np.random.default_rng(seed).permutation(sorted(groups))
        kept = 0
        for position, group in enumerate(order):
            members = groups[str(group)]
            last = position == len(order) - 1
            if not last and share > 0 and kept + len(members) <= max(share * len(own), 1):
                measuring += members
                kept += len(members)
            else:
                training += members
    return training, measuring


def crop_batches(
    source: CropSource, first: int, last: int, batch: int, world: World, workers: int
) -> DataLoader[Crop]:
    """Return a loader of lists of crops: this process's share of numbers `first` to `last`, `batch` at a time."""
    numbers = [
        number
        for start in range(first + world.rank * batch, last, world.size * batch)
        for number in range(start, start + batch)
    ]
    return DataLoader(
        source,
        batch_size=batch,
        sampler=numbers,
        num_workers=workers,
        collate_fn=list,
        prefetch_factor=2 if workers else None,
        worker_init_fn=_single_thread,
    )


def _single_thread(worker: int) -> None:
    torch.set_num_threads(1)
