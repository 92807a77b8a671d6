"""Which masks of neighbouring tiles are of the same object: those that agree where the tiles overlap. Numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.large.tile_masks import TileMasks

Box = tuple[int, int, int, int]
Boxes = NDArray[np.int64]

AGREEMENT = 0.6
"""IoU within the overlap of two tiles from which two masks are of the same object, if each is the other's best."""

_NEAR = 0.3  # IoU of the boxes within the overlap below which the masks are not compared
_LEAST = 4  # pixels that they share


def matches(
    first: TileMasks, second: TileMasks, origins: tuple[tuple[int, int], tuple[int, int]], overlap: Box
) -> list[tuple[int, int, float]]:
    """Return pairs of masks, with their agreement, that are of the same object in two tiles.

    Parameters
    ----------
    first, second : TileMasks
        The masks of the tiles.
    origins : tuple of (int, int)
        (row, col) of each tile, in pixels of their level.
    overlap : (int, int, int, int)
        What both tiles see, in the same pixels, half-open.
    """
    here, there = (_clipped(tile, origin, overlap) for tile, origin in zip((first, second), origins, strict=True))
    mine, others = (np.flatnonzero(_areas(boxes) > 0) for boxes in (here, there))
    if not len(mine) or not len(others):
        return []
    near = _box_iou(here[mine], there[others]) >= _NEAR
    agreement = np.zeros(near.shape)
    for row, col in np.argwhere(near):
        one, other = mine[row], others[col]
        box = _around(here[one], there[other])
        agreement[row, col] = _agreement(
            first.window(one, _moved(box, origins[0])), second.window(other, _moved(box, origins[1]))
        )
    best_there, best_here = agreement.argmax(axis=1), agreement.argmax(axis=0)
    return [
        (int(mine[row]), int(others[best_there[row]]), float(agreement[row, best_there[row]]))
        for row in range(len(mine))
        if best_here[best_there[row]] == row and agreement[row, best_there[row]] >= AGREEMENT
    ]


def _agreement(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    shared = int(np.count_nonzero(one & other))
    return shared / int(np.count_nonzero(one | other)) if shared >= _LEAST else 0.0


def _clipped(tile: TileMasks, origin: tuple[int, int], overlap: Box) -> Boxes:
    boxes = tile.boxes.astype(np.int64) + np.array([*origin, *origin])
    low, high = np.array(overlap[:2]), np.array(overlap[2:])
    return np.concatenate([np.clip(boxes[:, :2], low, high), np.clip(boxes[:, 2:], low, high)], axis=1)


def _areas(boxes: Boxes) -> NDArray[np.int64]:
    areas: NDArray[np.int64] = np.prod(np.maximum(boxes[..., 2:] - boxes[..., :2], 0), axis=-1)
    return areas


def _box_iou(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    iou: NDArray[np.float64] = shared / (_areas(first)[:, None] + _areas(second)[None] - shared)
    return iou


def _around(one: Boxes, other: Boxes) -> Box:
    low, high = np.minimum(one[:2], other[:2]), np.maximum(one[2:], other[2:])
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _moved(box: Box, origin: tuple[int, int]) -> Box:
    return box[0] - origin[0], box[1] - origin[1], box[2] - origin[0], box[3] - origin[1]
