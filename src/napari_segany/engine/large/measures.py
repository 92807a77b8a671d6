"""What the objects of a large image measure, gathered block by block: the table of an image that is done as a whole.

A block holds a part of an object; of each object sums are kept, so memory does not grow with the image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.large.objects import LargeObjects
from napari_segany.formats.lazy_image import LazyImage
from napari_segany.formats.pixel_size import PixelSize
from napari_segany.formats.table import Table, measures_table

Box = tuple[int, int, int, int]

COLUMNS = 2
"""Number of the columns' present choice; to be raised by whoever changes what the table holds."""


class ObjectMeasures:
    """Sums over the pixels of each object: of its mask, whether another one hides it or not.

    Parameters
    ----------
    count : int
        Number of objects.
    image : LazyImage
        What they are objects of, for their intensities.
    is_damaged : bool
        Whether a part of the image may be unreadable: intensities of the objects there are left open.
    """

    def __init__(self, count: int, image: LazyImage, *, is_damaged: bool = False) -> None:
        self._image, self._is_damaged = image, is_damaged
        self._channels = (3,) if image.has_colours else ()
        self._area = np.zeros(count, np.int64)
        self._positions = np.zeros((count, 2), np.int64)
        self._low = np.full((count, 2), np.iinfo(np.int64).max)
        self._high = np.zeros((count, 2), np.int64)
        self._intensities = np.zeros((count, *self._channels))
        self._shown = np.zeros(count + 1, np.int64)

    def read(self, box: Box) -> NDArray[np.generic] | None:
        """Return the pixels of a box of the image; None where they cannot be read and that is known already.

        Raises
        ------
        OSError, ValueError
            Where they cannot be read although all tiles could.
        """
        try:
            return self._image.read(box)
        except (OSError, ValueError):
            if not self._is_damaged:
                raise
            return None

    def add(
        self, index: int, mask: NDArray[np.bool_], corner: tuple[int, int], pixels: NDArray[np.generic] | None
    ) -> None:
        """Add a part of an object.

        Parameters
        ----------
        index : int
            Which object.
        mask : numpy.ndarray
            (rows, cols) bool, its pixels in a window.
        corner : (int, int)
            (row, col) of the window in the image.
        pixels : numpy.ndarray or None
            (rows, cols) or (rows, cols, 3) intensities of the window; None where they are not known.
        """
        area = int(np.count_nonzero(mask))
        if not area:
            return
        self._area[index] += area
        for axis in range(2):
            counts = np.count_nonzero(mask, axis=1 - axis)
            where = np.flatnonzero(counts)
            self._positions[index, axis] += int(counts @ np.arange(len(counts))) + area * corner[axis]
            self._low[index, axis] = min(self._low[index, axis], where[0] + corner[axis])
            self._high[index, axis] = max(self._high[index, axis], where[-1] + corner[axis] + 1)
        self._intensities[index] += np.nan if pixels is None else pixels[mask].sum(axis=0, dtype=np.float64)

    def add_shown(self, labels: NDArray[np.uint32]) -> None:
        """Add a part of the label image."""
        shown, counts = np.unique(labels, return_counts=True)
        self._shown[shown] += counts

    def table(self, objects: LargeObjects, pixel_size: PixelSize | None) -> Table:
        """Return the columns of `property_table`; then "pixels" that show each object, its "level" and "tiles".

        Parameters
        ----------
        objects : LargeObjects
            The objects, for their scores and where they were found.
        pixel_size : PixelSize or None
            For the columns in its unit.
        """
        empty = self._area == 0
        area = np.where(empty, np.nan, self._area)
        boxes = np.concatenate([self._low, self._high], axis=1)
        boxes[empty] = 0
        table = measures_table(
            area=self._area,
            centroids=self._positions / area[:, None],
            boxes=boxes,
            predicted_iou=_decimal(objects.predicted_iou),
            stability_score=_decimal(objects.stability_score),
            intensities=self._intensities / area.reshape(-1, *(1,) * len(self._channels)),
            pixel_size=pixel_size,
        )
        members = [objects.members(index) for index in range(len(objects))]
        table["pixels"] = self._shown[1:]
        table["level"] = np.array([masks[0][0].level for masks in members], np.int64)
        table["tiles"] = np.array([len(masks) for masks in members], np.int64)
        return table


def _decimal(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return scores that are written as 0.9, not as the nearest binary fraction of few digits."""
    return scores.astype(np.float64).round(6)
