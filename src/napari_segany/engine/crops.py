"""The parts of an image that are asked one by one, and the points that are asked in each. Numbers only.

Kirillov et al. 2023 (arXiv:2304.02643), appendix B: overlapping crops in layers, each with its own regular grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.automatic_settings import AutomaticSettings

Box = tuple[int, int, int, int]
Allowed = NDArray[np.bool_] | Callable[[NDArray[np.int64]], NDArray[np.bool_]]


@dataclass(frozen=True)
class Crop:
    """A part of an image.

    Attributes
    ----------
    box : tuple of int
        (row_min, col_min, row_max, col_max) in pixels of the image, half-open.
    layer : int
        0 for the whole image, 1 for its quarters, ...
    """

    box: Box
    layer: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols), in pixels."""
        return self.box[2] - self.box[0], self.box[3] - self.box[1]

    @property
    def area(self) -> int:
        """Pixels."""
        return self.shape[0] * self.shape[1]


def crops_of(image_shape: tuple[int, int], layers: int, overlap_ratio: float) -> tuple[Crop, ...]:
    """Return the whole image, then the crops of each layer, column by column.

    Parameters
    ----------
    image_shape : (int, int)
        (H, W).
    layers : int
        Layers besides the whole image; layer i has 2**i crops along each side.
    overlap_ratio : float
        Overlap of the first layer's crops, as a fraction of the shorter side; half of that in each later layer.
    """
    crops = [Crop((0, 0, *image_shape), 0)]
    for layer in range(1, layers + 1):
        count = 2**layer
        overlap = int(overlap_ratio * min(image_shape) * 2 / count)
        rows, cols = (_stretches(side, count, overlap) for side in image_shape)
        crops += [
            Crop((top, left, bottom, right), layer)
            for left, right in cols
            for top, bottom in rows
            if top < bottom and left < right
        ]
    return tuple(crops)


def grid_of(layer: int, settings: AutomaticSettings) -> NDArray[np.float64]:
    """Return (N, 2) points (row, col) as fractions of a crop, row by row; the middles of equal cells by default."""
    if settings.point_grids is not None:
        return np.array(settings.point_grids[layer], dtype=np.float64).reshape(-1, 2)
    count = max(1, int(settings.points_per_side / settings.crop_n_points_downscale_factor**layer))
    middles = (np.arange(count) + 0.5) / count
    rows, cols = np.meshgrid(middles, middles, indexing="ij")
    return np.stack([rows.ravel(), cols.ravel()], axis=1)


def points_of(crop: Crop, settings: AutomaticSettings, allowed: Allowed | None) -> NDArray[np.float64]:
    """Return the points that are asked in a crop, (N, 2) (row, col) in pixels of the crop.

    Parameters
    ----------
    crop : Crop
        The part of the image.
    settings : AutomaticSettings
        The grid.
    allowed : numpy.ndarray or callable, optional
        (H, W) bool, of the whole image, or what tells of (N, 2) pixels (row, col) which are allowed: points on other
        pixels are left out.
    """
    shape = np.array(crop.shape)
    points = np.minimum(grid_of(crop.layer, settings) * shape, shape - 0.5)
    if allowed is None:
        return points
    pixels = np.clip(np.rint(points).astype(np.int64), 0, shape - 1) + crop.box[:2]
    return points[allowed(pixels) if callable(allowed) else allowed[pixels[:, 0], pixels[:, 1]]]


def _stretches(side: int, count: int, overlap: int) -> list[tuple[int, int]]:
    length = math.ceil((overlap * (count - 1) + side) / count)
    return [(start, min(start + length, side)) for start in ((length - overlap) * index for index in range(count))]
