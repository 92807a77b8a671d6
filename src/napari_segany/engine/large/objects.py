"""The objects of all levels of an image as one list: duplicates left out, numbered the same way each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_segany.engine.large.job import LargeJob, Place
from napari_segany.engine.large.stitching import LevelObjects
from napari_segany.engine.tiling import Window

Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class LargeObjects:
    """The objects of an image; object i has the label i + 1.

    Attributes
    ----------
    levels : tuple of LevelObjects
        Where their masks are.
    level, number : numpy.ndarray
        (N,) int64: place in `levels`, and number there.
    boxes : numpy.ndarray
        (N, 4) int64 in pixels of the image, half-open, within the image.
    areas : numpy.ndarray
        (N,) int64 in pixels of the image; of objects of coarser levels as many as their reduced pixels stand for.
    predicted_iou, stability_score : numpy.ndarray
        (N,) float32.
    """

    levels: tuple[LevelObjects, ...]
    level: NDArray[np.int64]
    number: NDArray[np.int64]
    boxes: NDArray[np.int64]
    areas: NDArray[np.int64]
    predicted_iou: NDArray[np.float32]
    stability_score: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.level)

    def members(self, index: int) -> tuple[tuple[Place, int], ...]:
        """Return the tile, and the number in it, of all masks whose union the object is."""
        level = self.levels[self.level[index]]
        return tuple((level.places[tile], number) for tile, number in level.members[self.number[index]])


def all_objects(job: LargeJob, levels: Sequence[tuple[int, LevelObjects]]) -> LargeObjects:
    """Join the objects of levels.

    A coarser level adds what is too large for the overlap of the finer one's tiles: all else was seen whole there. Of
    two objects whose boxes overlap by more than `box_nms_thresh` the one of the finer level stays, then the better.

    Parameters
    ----------
    job : LargeJob
        The image.
    levels : sequence of (int, LevelObjects)
        Level and objects, finest first.
    """
    columns: list[tuple[NDArray[np.generic], ...]] = []
    for place, (which, found) in enumerate(levels):
        sides = (found.boxes[:, 2:] - found.boxes[:, :2]).max(axis=1, initial=0)
        large = sides >= (0 if which == job.plan.first_level else job.plan.overlap // 2)
        kept = np.flatnonzero(large)
        factor = Window(which, (0, 0, 1, 1)).factor
        boxes = np.minimum(found.boxes[kept] * factor, np.array(job.plan.image_shape * 2))
        scores = found.predicted_iou[kept], found.stability_score[kept]
        columns.append((np.full(len(kept), place), kept, boxes, found.areas[kept] * factor**2, *scores))
    level, number, boxes, areas, iou, stability = (np.concatenate(column) for column in zip(*columns, strict=True))
    score = {"predicted_iou": iou, "stability_score": stability, "mean": (iou + stability) / 2}[job.settings.ranking]
    kept = suppressed(boxes, np.lexsort((-score, level)), job.settings.box_nms_thresh)
    return LargeObjects(
        tuple(found for _, found in levels), level[kept], number[kept], boxes[kept], areas[kept], iou[kept],
        stability[kept],
    )  # fmt: skip


def suppressed(boxes: NDArray[np.int64], order: NDArray[np.int64], threshold: float) -> NDArray[np.int64]:
    """Return the boxes, ascending, that none before them in `order` overlaps by more than an IoU.

    The same as non-maximum suppression of all pairs, in the time of those that are near each other.

    Parameters
    ----------
    boxes : numpy.ndarray
        (N, 4), half-open.
    order : numpy.ndarray
        (N,) their numbers, best first.
    threshold : float
        The IoU.
    """
    rank = np.empty(len(boxes), np.int64)
    rank[order] = np.arange(len(boxes))
    first, second = conflicts(boxes, threshold)
    better, worse = np.where(rank[first] < rank[second], (first, second), (second, first))
    dropped = np.zeros(len(boxes), bool)
    for one, other in sorted(zip(better.tolist(), worse.tolist(), strict=True), key=lambda pair: rank[pair[0]]):
        if not dropped[one]:
            dropped[other] = True
    return np.flatnonzero(~dropped)


def conflicts(boxes: NDArray[np.int64], threshold: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of boxes whose IoU is above a threshold, (P,) and (P,), each pair once."""
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=1)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    classes = np.floor(np.log2(np.maximum(sides, 1))).astype(np.int64)
    # An IoU above t needs sides within a factor of 1 / t of each other, and centres no further apart than the radius.
    least = max(threshold, 0.05)
    reach, radius = int(np.ceil(np.log2(1 / least))) + 1, max(1.0, 0.5 / least)
    members = {one: np.flatnonzero(classes == one) for one in np.unique(classes)}
    trees = {one: cKDTree(centres[indices]) for one, indices in members.items()}
    pairs = [np.zeros((0, 2), np.int64)]
    for one, indices in members.items():
        for other in range(one, one + reach + 1):
            if other not in members:
                continue
            near = trees[one].query_ball_tree(trees[other], r=radius * 2.0 ** (one + 1), p=np.inf)
            found = [
                np.stack([np.full(len(close), indices[number]), members[other][close]], axis=1)
                for number, close in enumerate(near)
                if close
            ]
            pairs += [part[part[:, 0] < part[:, 1]] if other == one else part for part in found]
    both = np.concatenate(pairs)
    first, second = both[:, 0], both[:, 1]
    low = np.maximum(boxes[first, :2], boxes[second, :2])
    high = np.minimum(boxes[first, 2:], boxes[second, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    overlap = shared > threshold * (areas[first] + areas[second] - shared)
    return first[overlap], second[overlap]
