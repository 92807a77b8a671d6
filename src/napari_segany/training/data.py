"""Where training images come from: annotated folders and drawn scenes, mixed by weight. Knows no model.

Image i of a run is a function of the seed and of i alone, so that neither the number of worker processes nor an
interruption changes what is seen.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import numpy as np
from torch.utils.data import Dataset

from napari_segany.engine.image import checked_image, default_limits
from napari_segany.engine.progress import Progress, Steps
from napari_segany.model.config import SamConfig
from napari_segany.training.annotated import AnnotatedImage, Layers, Named
from napari_segany.training.augment import make_crop
from napari_segany.training.config import TrainingConfig
from napari_segany.training.scene import Crop, Scene
from napari_segany.training.synthetic import draw_scene, kind_chances
from napari_segany.training.synthetic.numbered import NumberedScene

ATTEMPTS = 8
GIGABYTE = 10**9

# They end the seeds of fixed variants and of scenes for pictures, whose first numbers may be those of a crop.
_VARIANTS, _DRAWN = 1, 2

AnyNamed = TypeVar("AnyNamed", bound=Named)


class CropSource(Dataset[Crop]):
    """Crop i of a run, for every i.

    Parameters
    ----------
    images : sequence of AnnotatedImage
        The annotated images; there may be none if all scenes are drawn.
    config : TrainingConfig
        What to mix and how to crop.
    shape : SamConfig
        The model, whose input sets the scale.

    Raises
    ------
    ValueError
        For no images where some are to be read, or `sources` or `drawn` whose weights leave nothing.
    """

    def __init__(self, images: Sequence[AnnotatedImage], config: TrainingConfig, shape: SamConfig) -> None:
        if not images and config.procedural_share < 1:
            raise ValueError(
                f"there are no training images, and procedural_share is {config.procedural_share}: "
                "give a folder of images and labels, or set procedural_share to 1"
            )
        self.images = list(images)
        self.config = config
        self.shape = shape
        # Drawn scenes are twice as wide as a crop: large enough to choose from, and quick to draw.
        self._drawn_size = min(shape.image_size, 2 * config.crop_size)
        self._chances = sample_chances(self.images, config)
        kind_chances(config.drawn)  # refused before the run, not at its first drawn scene
        self._scales = [_by_pattern(image, config.scales, 1.0) for image in self.images]
        self._kept: dict[int, Scene] = {}
        self._room = config.memory_gb * GIGABYTE

    def __getitem__(self, index: int) -> Crop:
        """Return crop `index`; a scene whose crop shows no object is given up for another, a few times."""
        for attempt in range(ATTEMPTS):
            crop = self._crop(np.random.default_rng((self.config.seed, index, attempt)))
            if len(crop.masks):
                break
        return crop

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was read: a process that is sent a source, not forked with it, reads for itself."""
        return {**self.__dict__, "_kept": {}, "_room": self.config.memory_gb * GIGABYTE}

    def read_ahead(self, workers: int) -> Steps[None]:
        """Read the images and draw the numbered scenes once, so that processes forked after it need not.

        Parameters
        ----------
        workers : int
            Processes that read.

        Yields
        ------
        Progress
            Images and scenes so far. They end where `memory_gb` is full.
        """
        wanted = [number for number in range(len(self.images)) if self._chances[number]]
        if self.config.procedural_share:
            wanted += [-1 - number for number in range(self.config.procedural_scenes)]
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context("fork"))
        try:
            for done, (number, scene) in enumerate(
                zip(wanted, pool.map(self._make, wanted, chunksize=8), strict=True)
            ):
                yield Progress(done, len(wanted), "Reading images and drawing scenes")
                if not self._holds(number, scene):
                    return
        finally:
            pool.shutdown(cancel_futures=True)

    def _crop(self, rng: np.random.Generator) -> Crop:
        if rng.random() < self.config.procedural_share:
            return self._cut(self._drawn(rng), rng)
        number = int(rng.choice(len(self.images), p=self._chances))
        if not self.config.variants:
            return self._cut(self._scene(number), rng, magnified=self._scales[number])
        variant = int(rng.integers(self.config.variants))
        fixed = np.random.default_rng((self.config.seed, number, variant, _VARIANTS))
        crop = self._cut(self._scene(number), fixed, changed=variant > 0, choice=rng, magnified=self._scales[number])
        return replace(crop, recurs=True)

    def _cut(
        self,
        scene: Scene,
        rng: np.random.Generator,
        changed: bool = True,
        choice: np.random.Generator | None = None,
        magnified: float = 1.0,
    ) -> Crop:
        return make_crop(scene, self.config, self.shape, rng, changed=changed, choice=choice, magnified=magnified)

    def _drawn(self, rng: np.random.Generator) -> Scene:
        """Draw a scene for this crop alone, or one of the run's `procedural_scenes`."""
        if not self.config.procedural_scenes:
            return draw_scene(self._drawn_size, rng, self.config.drawn)
        # Drawn scenes are kept beside read ones, under negative numbers.
        return self._scene(-1 - int(rng.integers(self.config.procedural_scenes)))

    def _scene(self, number: int) -> Scene:
        if number in self._kept:
            return self._kept[number]
        scene = self._make(number)
        self._holds(number, scene)
        return scene

    def _make(self, number: int) -> Scene:
        """Read image `number`, or draw scene `-1 - number`."""
        if number >= 0:
            return read_scene(self.images[number])
        fixed = np.random.default_rng((self.config.seed, -1 - number, _DRAWN))
        return draw_scene(self._drawn_size, fixed, self.config.drawn)

    def _holds(self, number: int, scene: Scene) -> bool:
        """Keep a scene; return whether there was room for it."""
        size = scene.image.nbytes + sum(layer.nbytes for layer in scene.layers)
        if size > self._room:
            return False
        self._kept[number] = scene
        self._room -= size
        return True


@dataclass(frozen=True)
class DrawnImage(NumberedScene):
    """A drawn scene as an annotated image, for pictures of runs that read none."""

    @property
    def dataset(self) -> str:
        """Say that it is drawn."""
        return "drawn"

    def read(self) -> tuple[np.ndarray, Layers]:
        """Draw it."""
        scene = draw_scene(self.size, np.random.default_rng((self.seed, self.number, _DRAWN)))
        return scene.image.astype(np.uint8), scene.layers


def sample_chances(samples: Sequence[Named], config: TrainingConfig) -> np.ndarray:
    """Return the chance of every image: kinds by their weights in `config.sources`, alike within a kind."""
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


def _by_pattern(sample: Named, values: Mapping[str, float], otherwise: float) -> float:
    """Return the value of the first pattern that a sample's `dataset/name` fits."""
    name = f"{sample.dataset}/{sample.name}"
    return next((value for pattern, value in values.items() if fnmatchcase(name, pattern)), otherwise)


def read_scene(annotated: AnnotatedImage) -> Scene:
    """Read an annotated image as a scene in 0 to 255, with the intensities that inference would choose."""
    image, layers = annotated.read()
    image = checked_image(image)
    if image.dtype != np.uint8:
        low, high = default_limits(image)
        scaled = (np.nan_to_num(image.astype(np.float64), nan=low) - low) / (high - low)
        image = (np.clip(scaled, 0, 1) * 255).astype(np.float32)
    return Scene(image, tuple(layer.astype(np.int32) for layer in layers))


def split_by_group(samples: Sequence[AnyNamed], share: float, seed: int) -> tuple[list[AnyNamed], list[AnyNamed]]:
    """Part images into those to train on and those to measure on; images of one group stay together.

    Groups are chosen by chance within every data set, until `share` of its images is reached; where all groups are
    larger than that, the smallest one is measured on. An image's group is its metadata's `group`, else its own name.
    """
    training: list[AnyNamed] = []
    measuring: list[AnyNamed] = []
    sets = [_grouped(samples, dataset) for dataset in sorted({sample.dataset for sample in samples})]
    for groups in sets:
        order = np.random.default_rng(seed).permutation(sorted(groups))
        most, kept = max(share * sum(map(len, groups.values())), 1), 0
        for position, group in enumerate(order):
            members = groups[str(group)]
            last = position == len(order) - 1
            if not last and share > 0 and kept + len(members) <= most:
                measuring += members
                kept += len(members)
            else:
                training += members
    divisible = [groups for groups in sets if len(groups) > 1]
    if share > 0 and not measuring and divisible:
        # Every group is larger than the share: better the smallest of them than nothing that tells the best step.
        measuring = min((group for groups in divisible for group in groups.values()), key=len)
        chosen = {id(sample) for sample in measuring}
        training = [sample for sample in training if id(sample) not in chosen]
    return training, measuring


def _grouped(samples: Sequence[AnyNamed], dataset: str) -> dict[str, list[AnyNamed]]:
    groups: dict[str, list[AnyNamed]] = {}
    for sample in samples:
        if sample.dataset == dataset:
            groups.setdefault(sample.metadata.get("group", sample.name), []).append(sample)
    return groups
