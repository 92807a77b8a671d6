"""Cleaning and splitting masks: largest part, holes, islands, smooth outlines. Numpy only, and no model.

Pixels of a mask are connected over edges and corners, those of the background over edges only, so that a closed
outline one pixel thick has an inside. Everything is of any number of dimensions but for `smooth`, whose disc lies in
the plane.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_segany.formats.window_mask import WindowMask

Mask = NDArray[np.bool_]
LARGEST_RADIUS = 50
"""Of smoothing, in pixels: beyond it an outline is not smoothed but replaced."""


@dataclass(frozen=True)
class CleanUp:
    """What is done to a mask, in the order of the attributes.

    Attributes
    ----------
    largest_part : bool
        Keep the largest of several parts only.
    drop_islands : int
        Drop parts of fewer pixels than this; the largest one always stays.
    fill_holes : bool
        Fill background that the mask encloses.
    smooth : int
        Radius, in pixels, of the disc whose majority decides each pixel; 0 for none.

    Raises
    ------
    ValueError
        For negative numbers, or a radius above `LARGEST_RADIUS`.
    """

    largest_part: bool = False
    drop_islands: int = 0
    fill_holes: bool = False
    smooth: int = 0

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.drop_islands < 0:
            raise ValueError(f"drop_islands is {self.drop_islands}; give a number of pixels, 0 to keep every island")
        if not 0 <= self.smooth <= LARGEST_RADIUS:
            raise ValueError(f"smooth is {self.smooth}; give a radius from 0 (not at all) to {LARGEST_RADIUS} pixels")

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return self != CleanUp()

    def apply(self, mask: Mask) -> Mask:
        """Return the cleaned (H, W) mask; of one that would vanish, what was there before the step that ended it."""
        if not self or not mask.any():
            return mask
        top, left, bottom, right = _bounds(mask)
        window = np.pad(mask[top:bottom, left:right], 1)  # holes are enclosed within the mask's own box
        if self.largest_part:
            window = largest_part(window)
        if self.drop_islands:
            window = drop_islands(window, self.drop_islands)
        if self.fill_holes:
            window = fill_holes(window)
        cleaned = np.zeros_like(mask)
        cleaned[top:bottom, left:right] = window[1:-1, 1:-1]
        return _smoothed_within(cleaned, self.smooth) if self.smooth else cleaned


def cleaned_window(mask: WindowMask, cleaning: CleanUp | None) -> WindowMask:
    """Clean a mask within its box and a margin, for smoothing looks around it; None changes nothing."""
    if cleaning is None or not mask.area:
        return mask
    margin = cleaning.smooth + 1
    top, left, bottom, right = mask.box
    last_row, last_col = mask.image_shape
    box = (max(0, top - margin), max(0, left - margin), min(last_row, bottom + margin), min(last_col, right + margin))
    return WindowMask.cropped(cleaning.apply(mask.window(box)), box[:2], mask.image_shape)


def largest_part(mask: Mask) -> Mask:
    """Return the connected part with the most pixels; of equal ones the first in the order of the pixels."""
    labels, sizes = _parts(mask)
    return mask if len(sizes) < 3 else labels == 1 + int(np.argmax(sizes[1:]))


def drop_islands(mask: Mask, least: int) -> Mask:
    """Return the mask without parts of fewer pixels than `least`; if all are smaller, the largest one stays."""
    labels, sizes = _parts(mask)
    if len(sizes) < 3:
        return mask
    kept = sizes >= least
    kept[1 + int(np.argmax(sizes[1:]))] = True
    kept[0] = False
    result: Mask = kept[labels]
    return result


def fill_holes(mask: Mask) -> Mask:
    """Return the mask with all background that no path over pixel edges joins to the border of the array."""
    from scipy.ndimage import binary_fill_holes

    return np.asarray(binary_fill_holes(mask), dtype=np.bool_)


def smooth(mask: Mask, radius: int) -> Mask:
    """Return an (H, W) mask in which each pixel is what most pixels within `radius` of it are.

    Beyond the border of the array its outermost pixels go on, so that an object cut by it keeps its size there. Mask
    and background are treated alike: smoothing the background gives the background of the smoothed mask.
    """
    if radius <= 0:
        return mask
    height, width = mask.shape
    padded = np.pad(mask, radius, mode="edge").astype(np.int32)
    sums = np.pad(np.cumsum(padded, axis=1), ((0, 0), (1, 0)))
    votes, voters = np.zeros(mask.shape, np.int32), 0
    for row in range(-radius, radius + 1):
        reach = int(np.sqrt(radius * radius - row * row))
        line = sums[radius + row : radius + row + height]
        first = radius - reach
        votes += line[:, first + 2 * reach + 1 : first + 2 * reach + 1 + width] - line[:, first : first + width]
        voters += 2 * reach + 1
    return np.asarray(2 * votes > voters)  # a disc has an odd number of pixels: there is no draw


def split_parts(mask: Mask) -> list[Mask]:
    """Return the connected parts of a mask, largest first."""
    labels, sizes = _parts(mask)
    order = np.argsort(-sizes[1:], kind="stable") + 1
    return [labels == number for number in order]


def split_at(mask: Mask, seeds: ArrayLike) -> list[Mask]:
    """Cut a mask into one part for each seed, along its narrowest places between them.

    The parts are those of a watershed of the distance to the mask's edge, flooded from the seeds; pixels that no seed
    reaches, because they lie in another part of the mask, go to the nearest seed.

    Parameters
    ----------
    mask : numpy.ndarray
        Bool, of any number of dimensions.
    seeds : array_like
        (N, ndim) positions; those outside of the mask are left out.

    Returns
    -------
    list of numpy.ndarray
        The parts in the order of their seeds; together they are the mask, and none overlaps another.

    Raises
    ------
    ValueError
        If fewer than two different pixels of the mask are seeds.
    """
    from scipy.ndimage import distance_transform_edt
    from skimage.segmentation import watershed

    inside = _seed_pixels(mask, seeds)
    if len(inside) < 2:
        raise ValueError(f"{len(inside)} of the seeds lie in the mask; two are needed to cut it between them")
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(np.transpose(inside))] = np.arange(1, len(inside) + 1)
    depth = distance_transform_edt(np.pad(mask, 1))[(slice(1, -1),) * mask.ndim]
    flooded = watershed(-depth, markers, mask=mask, connectivity=np.ones((3,) * mask.ndim, bool))
    left = mask & (flooded == 0)
    if left.any():
        nearest = distance_transform_edt(markers == 0, return_distances=False, return_indices=True)
        flooded[left] = markers[tuple(axis[left] for axis in nearest)]
    return [flooded == number for number in range(1, len(inside) + 1)]


def _seed_pixels(mask: Mask, seeds: ArrayLike) -> list[Sequence[int]]:
    pixels = np.round(np.asarray(seeds, dtype=float).reshape(-1, mask.ndim)).astype(np.intp)
    within = ((pixels >= 0) & (pixels < np.asarray(mask.shape))).all(axis=1)
    return [pixel for pixel in dict.fromkeys(map(tuple, pixels[within].tolist())) if mask[pixel]]


def _parts(mask: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the parts numbered from 1, and how many pixels each number has (of the background first)."""
    from skimage.measure import label

    labels = np.asarray(label(mask, connectivity=mask.ndim), dtype=np.int64)
    return labels, np.bincount(labels.ravel(), minlength=1)


def _bounds(mask: Mask) -> tuple[int, int, int, int]:
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1


def _smoothed_within(mask: Mask, radius: int) -> Mask:
    """Smooth in the part of the plane that the mask can reach; a mask too small for the disc stays."""
    top, left, bottom, right = _bounds(mask)
    margin = 2 * radius
    rows = slice(max(0, top - margin), bottom + margin)
    cols = slice(max(0, left - margin), right + margin)
    smoothed = np.zeros_like(mask)
    smoothed[rows, cols] = smooth(mask[rows, cols], radius)
    return smoothed if smoothed.any() else mask
