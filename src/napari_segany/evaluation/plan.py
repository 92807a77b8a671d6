"""What the single-click protocol measures: its settings, and the objects of each image that they select."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_segany.engine.progress import Progress, Steps
from napari_segany.evaluation.data import Sample
from napari_segany.evaluation.scores import BASELINE, BOX, MUTUAL, ORACLE, PREDICTED, points_key


@dataclass(frozen=True)
class SinglePointProtocol:
    """How to measure.

    Attributes
    ----------
    points : tuple of int
        Numbers of points after which the IoU is taken; ascending.
    point_choice : {"center", "random"}
        The first point: the object's deepest pixel, or any of its pixels.
    seed : int
        Seed of the random points and of the choice of objects.
    objects_per_image : int, optional
        Measure so many objects of each image, drawn at random; all by default.
    boxes : bool
        Prompt with the object's box too.
    batch_size : int
        Objects that are asked about at once.
    """

    points: tuple[int, ...] = (1, 2, 3, 5, 9)
    point_choice: Literal["center", "random"] = "center"
    seed: int = 0
    objects_per_image: int | None = None
    boxes: bool = True
    batch_size: int = 8

    def __post_init__(self) -> None:
        if not self.points or list(self.points) != sorted(set(self.points)) or self.points[0] < 1:
            raise ValueError(
                f"points is {self.points}; ascending numbers from 1 on are needed, for example 1, 2, 3, 5, 9"
            )
        if self.point_choice not in ("center", "random"):
            raise ValueError(f"point_choice is {self.point_choice!r}; it is 'center' or 'random'")
        if self.objects_per_image is not None and self.objects_per_image < 1:
            raise ValueError(f"objects_per_image is {self.objects_per_image}; it must be 1 or more")
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}; it must be 1 or more")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; it must be 0 or more")

    def value_names(self, model: bool = True, baseline: bool = False) -> list[str]:
        """Names of the values that are measured on each object, in the order of a table."""
        names = [points_key(1), ORACLE, *(points_key(count) for count in self.points if count > 1)]
        names += [BOX] * self.boxes + [PREDICTED, MUTUAL]
        return names * model + [BASELINE] * baseline


@dataclass(frozen=True)
class Task:
    """The objects of one image that are to be measured.

    Attributes
    ----------
    sample : Sample
        The annotated image.
    object_ids : tuple of int
        Numbers in its label image.
    """

    sample: Sample
    object_ids: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """What will be measured, and what will not.

    Attributes
    ----------
    tasks : tuple of Task
        The images with their objects.
    skipped : tuple of str
        One sentence for each image that cannot be measured.
    """

    tasks: tuple[Task, ...]
    skipped: tuple[str, ...]


def plan(samples: Sequence[Sample], protocol: SinglePointProtocol) -> Steps[Plan]:
    """Look through all images before the long work, so that its length and every damaged file are known.

    Yields
    ------
    Progress
        After each image.

    Returns
    -------
    Plan
        Images without objects and those that cannot be read are among its `skipped`.
    """
    tasks: list[Task] = []
    skipped: list[str] = []
    for done, sample in enumerate(samples, start=1):
        try:
            tasks.append(_task(sample, protocol))
        except ValueError as error:
            skipped.append(str(error))
        except OSError as error:
            skipped.append(f"{sample.dataset}/{sample.name}: {error.strerror or error}")
        yield Progress(done, len(samples), "Looking through the images")
    return Plan(tuple(tasks), tuple(skipped))


def object_rng(seed: int, sample: Sample, object_id: int = 0) -> np.random.Generator:
    """Chance that depends on nothing but the seed and the object: a subset of the images gives the same clicks.

    Parameters
    ----------
    seed : int
        The protocol's seed.
    sample : Sample
        The image.
    object_id : int
        The object; 0 for the image as a whole.
    """
    return np.random.default_rng([seed, zlib.crc32(f"{sample.dataset}/{sample.name}".encode()), object_id])


def _task(sample: Sample, protocol: SinglePointProtocol) -> Task:
    _, labels = sample.read()
    ids = np.unique(labels)
    ids = ids[ids > 0]
    if not ids.size:
        raise ValueError(f"{sample.dataset}/{sample.name}: the label image has no objects")
    count = protocol.objects_per_image
    if count is not None and count < ids.size:
        ids = np.sort(object_rng(protocol.seed, sample).choice(ids, count, replace=False))
    return Task(sample, tuple(int(number) for number in ids))
