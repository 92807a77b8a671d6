"""A mask of a large image as its bounding box and the pixels in it: memory of the object, not of the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class WindowMask:
    """A mask that is empty outside of a box.

    Attributes
    ----------
    pixels : numpy.ndarray
        (rows, cols) bool, the mask within the box; (0, 0) for an empty mask.
    origin : tuple of int
        (row, col) of the box in the image.
    image_shape : tuple of int
        (H, W) of the image.
    """

    pixels: NDArray[np.bool_]
    origin: tuple[int, int]
    image_shape: tuple[int, int]

    @classmethod
    def cropped(cls, pixels: NDArray[np.bool_], origin: tuple[int, int], image_shape: tuple[int, int]) -> WindowMask:
        """Return the mask in its smallest box; what lies outside of the image is cut off.

        Parameters
        ----------
        pixels : numpy.ndarray
            (rows, cols) bool, of any window.
        origin : (int, int)
            (row, col) of the window in the image.
        image_shape : (int, int)
            (H, W) of the image.
        """
        pixels = pixels[: max(0, image_shape[0] - origin[0]), : max(0, image_shape[1] - origin[1])]
        rows, cols = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
        if not len(rows):
            return cls(np.zeros((0, 0), bool), origin, image_shape)
        part = pixels[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1].copy()
        return cls(part, (origin[0] + int(rows[0]), origin[1] + int(cols[0])), image_shape)

    @property
    def box(self) -> Box:
        """(row_min, col_min, row_max, col_max) around the mask, half-open."""
        return (*self.origin, self.origin[0] + self.pixels.shape[0], self.origin[1] + self.pixels.shape[1])

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(np.count_nonzero(self.pixels))

    @property
    def nbytes(self) -> int:
        """Memory that it takes, in bytes."""
        return self.pixels.nbytes

    def window(self, box: Box, factor: int = 1) -> NDArray[np.bool_]:
        """Return the mask within any box of the image, in no more memory than the result.

        Parameters
        ----------
        box : (int, int, int, int)
            (row_min, col_min, row_max, col_max), half-open, in pixels of the reduced image.
        factor : int
            Pixels of the image along the side of a reduced one, which is what the mask is in its middle.
        """
        top, left, bottom, right = box
        result = np.zeros((bottom - top, right - left), bool)
        (rows, own_rows), (cols, own_cols) = (
            _shared(start * factor + factor // 2 - origin, count, side, factor)
            for start, origin, count, side in zip(
                (top, left), self.origin, result.shape, self.pixels.shape, strict=True
            )
        )
        result[rows, cols] = self.pixels[own_rows, own_cols]
        return result

    def full(self) -> NDArray[np.bool_]:
        """Return the (H, W) mask: memory of the whole image."""
        return self.window((0, 0, *self.image_shape))


def _shared(start: int, count: int, side: int, step: int) -> tuple[slice, slice]:
    """Return which of `count` places from `start` on, `step` apart, are in 0..side, and which those are."""
    first = max(0, -(start // step))
    last = max(first, min(count, -((start - side) // step)))
    begin = start + first * step
    return slice(first, last), slice(begin, begin + (last - first) * step, step)
