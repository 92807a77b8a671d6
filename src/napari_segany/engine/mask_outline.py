"""The outline of a mask, drawn from low-resolution logits on a raster of any size. Knows no model.

A preview needs no mask at the size of the image: the outline is found on a raster of about a thousand pixels, in the
time of the outline alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.mask_statistics import mask_statistics
from napari_segany.engine.upsampling import Upsampling

_STRIDE = 4  # pixels of the model input along the side of a logit


@dataclass(frozen=True)
class OutlineRaster:
    """Where an outline is drawn.

    Attributes
    ----------
    shape : tuple of int
        (rows, cols) of the raster.
    step : tuple of float
        Pixels of the image along a side of one of the raster.
    corner : tuple of int
        Rows and columns of the image before the raster.
    """

    shape: tuple[int, int]
    step: tuple[float, float]
    corner: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, image_shape: tuple[int, int], longest: int = 1024) -> OutlineRaster:
        """Return the raster of an image (H, W): as long as `longest`, larger or smaller than the image."""
        scale = longest / max(image_shape)
        rows, cols = (max(1, round(scale * side)) for side in image_shape)
        return cls((rows, cols), (image_shape[0] / rows, image_shape[1] / cols))

    @classmethod
    def of_part(cls, box: tuple[int, int, int, int], longest: int = 1024) -> OutlineRaster:
        """Return the raster of a part (row_min, col_min, row_max, col_max) of an image."""
        top, left, bottom, right = box
        return replace(cls.of((bottom - top, right - left), longest), corner=(top, left))

    @property
    def origin(self) -> tuple[float, float]:
        """Position of the centre of its first pixel, (row, col) in pixels of the image."""
        return self.corner[0] + (self.step[0] - 1) / 2, self.corner[1] + (self.step[1] - 1) / 2


@dataclass(frozen=True, eq=False)
class Outline:
    """The outline of one mask.

    Attributes
    ----------
    raster : OutlineRaster
        Where it is drawn.
    corner : tuple of int
        (row, col) of the window in the raster.
    window : numpy.ndarray
        (h, w) bool, set along the inner edge of the mask; empty for an empty mask.
    """

    raster: OutlineRaster
    corner: tuple[int, int]
    window: NDArray[np.bool_]


def outline_of(
    logits: NDArray[np.float32],
    input_shape: tuple[int, int],
    raster: OutlineRaster,
    *,
    threshold: float = 0.0,
    width: int = 1,
) -> Outline:
    """Return the outline of the mask that (h, w) low-resolution logits stand for.

    Parameters
    ----------
    logits : numpy.ndarray
        (h, w), of the whole padded input of the model.
    input_shape : (int, int)
        (rows, cols) of the image within that input.
    raster : OutlineRaster
        Where it is drawn.
    threshold : float
        Logits above it are the object.
    width : int
        Of the line, in pixels of the raster.
    """
    upsampling = _upsampling(logits.shape, input_shape, raster.shape)
    window = upsampling.window(logits, threshold)
    statistics = mask_statistics(upsampling, window, threshold, 0.0)
    if not statistics.area:
        return Outline(raster, (0, 0), np.zeros((0, 0), np.bool_))
    mask = upsampling.mask(window, threshold, statistics.box)
    return Outline(raster, statistics.box[:2], inner_edge(mask, width))


def inner_edge(mask: NDArray[np.bool_], width: int = 1) -> NDArray[np.bool_]:
    """Return the pixels of an (H, W) mask within `width` steps of one outside; all beyond the array is outside."""
    inside = np.pad(mask, 1)
    for _ in range(width):
        core = inside[1:-1, 1:-1] & inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
        inside = np.pad(core, 1)
    edge: NDArray[np.bool_] = mask & ~inside[1:-1, 1:-1]
    return edge


def used_logits(
    logits: NDArray[np.float32], input_shape: tuple[int, int], stride: int = _STRIDE
) -> NDArray[np.float32]:
    """Return the part of (..., h, w) logits that the image lies on, without the padding of the model's input."""
    rows, cols = (-(-side // stride) for side in input_shape)
    return logits[..., :rows, :cols]


@lru_cache(maxsize=4)
def _upsampling(
    logits_shape: tuple[int, int], input_shape: tuple[int, int], raster_shape: tuple[int, int]
) -> Upsampling:
    return Upsampling(logits_shape, input_shape, raster_shape)
