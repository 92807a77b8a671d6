"""Nothing is found where a raster has no data: masks and labels without their pixels on nodata. Needs rasterio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.geo_bands import ShownBands
from napari_segany.formats.geo_raster import Raster
from napari_segany.formats.geo_windows import Box, boxes_of, read_valid
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths


def placed(window: NDArray[np.bool_], corner: tuple[int, int], size: tuple[int, int]) -> RunLengths:
    """Return the run lengths of a mask that is a window of a larger one; no array of its size is made.

    Parameters
    ----------
    window : numpy.ndarray
        (h, w) bool.
    corner : (int, int)
        (row, col) of its upper left pixel, within the mask.
    size : (int, int)
        (H, W) of the mask.
    """
    padded = np.pad(window, ((1, 1), (0, 0)))
    changes = np.argwhere((padded[1:] != padded[:-1]).T)  # (col, row) of the pixel before which the value changes
    positions = (changes[:, 0] + corner[1]) * size[0] + changes[:, 1] + corner[0]
    return RunLengths(np.diff(np.concatenate([[0], positions, [size[0] * size[1]]])), size)


def on_data(record: MaskRecord, raster: Raster, bands: ShownBands) -> MaskRecord:
    """Return a mask without its pixels that are not valid, see `read_valid`; the very record where there are none.

    Raises
    ------
    ValueError
        For a mask of another size than the raster.
    """
    if record.rle.size != raster.size:
        raise ValueError(f"the mask has the size {record.rle.size} and {raster.name} {raster.size}")
    if not record.area:
        return record
    mask = record.rle.window(record.bbox)
    kept = mask & read_valid(raster, bands, record.bbox)
    if np.array_equal(kept, mask):
        return record
    rle = placed(kept, record.bbox[:2], raster.size)
    return replace(record, rle=rle, bbox=rle.bbox, area=rle.area)


def pixels_of_box(box: Sequence[float], size: tuple[int, int]) -> Box:
    """Return the pixels (half-open, at least one) of a raster of (H, W) that a box of positions touches."""
    low = np.clip(np.floor(np.add(box[:2], 0.5)), 0, np.subtract(size, 1)).astype(int)
    high = np.clip(np.ceil(np.add(box[2:], 0.5)), low + 1, size).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def has_data(raster: Raster, bands: ShownBands, box: Box) -> bool:
    """Tell whether a box of pixels holds a valid one, looking no further than to the first window that does."""
    top, left, bottom, right = box
    return any(
        read_valid(raster, bands, (top + part[0], left + part[1], top + part[2], left + part[3])).any()
        for part in boxes_of((bottom - top, right - left), raster.block)
    )


def valid_pixels(raster: Raster, bands: ShownBands) -> NDArray[np.bool_] | None:
    """Return (H, W) bool, False where a pixel is not valid, see `read_valid`; None where all are."""
    valid = np.ones(raster.size, np.bool_)
    for box in boxes_of(raster.size, raster.block):
        valid[box[0] : box[2], box[1] : box[3]] = read_valid(raster, bands, box)
    return None if valid.all() else valid


def labels_on_data(
    labels: Any, raster: Raster | None = None, bands: ShownBands = ()
) -> Iterator[tuple[Box, NDArray[np.integer[Any]]]]:
    """Yield a label image window by window, 0 where a pixel is not valid, see `read_valid`.

    Parameters
    ----------
    labels : array_like
        (H, W) integers that can be sliced: numpy, dask, zarr.
    raster : Raster, optional
        What the labels are of; without it, they stay as they are.
    bands : sequence of int or BandChoice
        Its bands.
    """
    size = (int(labels.shape[0]), int(labels.shape[1]))
    for box in boxes_of(size, raster.block if raster else (512, 512)):
        window = np.asarray(labels[box[0] : box[2], box[1] : box[3]])
        if raster is not None:
            window = np.where(read_valid(raster, bands, box), window, 0).astype(window.dtype)
        yield box, window
