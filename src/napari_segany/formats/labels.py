"""Label images: many masks in one array of numbers, and the files that hold them. Knows no torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tifffile
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from napari_segany.formats.atomic import replacing
from napari_segany.formats.image_file import read_array
from napari_segany.formats.pixel_size import PixelSize, tiff_resolution
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths

_PIXELS_AT_A_TIME = 1 << 20


def to_labels(
    records: Sequence[MaskRecord], shape: tuple[int, int], *, smaller_on_top: bool = True
) -> NDArray[np.uint16] | NDArray[np.uint32]:
    """Paint records into a label image; record k gets the label k + 1, background is 0.

    Parameters
    ----------
    records : sequence of MaskRecord
        The masks, each of the size of the image.
    shape : (int, int)
        (H, W) of the image, in pixels.
    smaller_on_top : bool
        Where masks overlap the smaller one stays visible; otherwise the later one.

    Returns
    -------
    numpy.ndarray
        (H, W) uint16, or uint32 for more than 65535 records.

    Raises
    ------
    ValueError
        For a record of another size.
    """
    shape = (int(shape[0]), int(shape[1]))
    for number, record in enumerate(records):
        if record.rle.size != shape:
            raise ValueError(f"record {number} has the size {record.rle.size}; the label image has {shape}")
    labels = np.zeros(shape, np.uint16 if len(records) <= np.iinfo(np.uint16).max else np.uint32)
    order = range(len(records))
    for index in sorted(order, key=lambda index: -records[index].area) if smaller_on_top else order:
        row_min, col_min, row_max, col_max = records[index].rle.bbox
        window = labels[row_min:row_max, col_min:col_max]
        window[records[index].rle.window((row_min, col_min, row_max, col_max))] = index + 1
    return labels


def run_lengths_by_label(labels: ArrayLike) -> dict[int, RunLengths]:
    """Return every object of a label image as run lengths, by its number, ascending; background is 0.

    The image is gone through once, however many objects there are.

    Parameters
    ----------
    labels : array_like
        (H, W) integers.

    Raises
    ------
    ValueError
        For an array that is not 2-D, or holds no integers.
    """
    array = np.asarray(labels)
    if array.ndim != 2 or array.dtype.kind not in "bui":
        raise ValueError(f"a label image is (H, W) integers; this one has the shape {array.shape} and {array.dtype}")
    flat = array.ravel(order="F")
    if flat.size == 0:
        return {}
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    edges = np.stack([starts, np.append(starts[1:], flat.size)], axis=1)
    found = _by_number(flat[starts], edges, array.shape)
    found.pop(0, None)
    return found


def run_lengths_of_part(
    labels: NDArray[np.integer], told: NDArray[np.bool_], corner: tuple[int, int], size: tuple[int, int]
) -> dict[int, RunLengths]:
    """Return what is told of some pixels of a label image as run lengths, by its number, ascending; 0 is one of them.

    Besides what is given it takes little memory.

    Parameters
    ----------
    labels : numpy.ndarray
        (h, w) integers, a part of the image.
    told : numpy.ndarray
        (h, w) bool: of which pixels of the part something is told.
    corner : tuple of int
        (row, col) of the part within the image.
    size : tuple of int
        (H, W) of the image, and of the masks.
    """
    rows, cols = labels.shape
    step = max(1, _PIXELS_AT_A_TIME // max(1, rows))
    numbers, edges = [np.zeros(0, labels.dtype)], [np.zeros((0, 2), np.int64)]
    for left in range(0, cols, step):
        flat, there = (part[:, left : left + step].ravel(order="F") for part in (labels, told))
        begins = np.ones(flat.size, np.bool_)
        begins[1:] = (flat[1:] != flat[:-1]) | (there[1:] != there[:-1])
        begins[::rows] = True  # below a column of the part, the image may go on
        starts = np.flatnonzero(begins)
        lengths = np.diff(starts, append=flat.size)
        starts, lengths = starts[there[starts]], lengths[there[starts]]
        col, row = np.divmod(starts, rows)
        first = (col + left + corner[1]) * size[0] + row + corner[0]
        numbers.append(flat[starts])
        edges.append(np.stack([first, first + lengths], axis=1))
    return _by_number(np.concatenate(numbers), np.concatenate(edges), size)


def _by_number(
    numbers: NDArray[np.integer], edges: NDArray[np.int64], size: tuple[int, int]
) -> dict[int, RunLengths]:
    """Return the mask of each number from runs (R,) with edges (R, 2), half-open, in column-major order."""
    if not len(numbers):
        return {}
    order = np.argsort(numbers, kind="stable")
    found, first = np.unique(numbers[order], return_index=True)
    area = size[0] * size[1]
    return {
        int(number): RunLengths(np.diff(np.concatenate([[0], edges[runs].ravel(), [area]])), size)
        for number, runs in zip(found, np.split(order, first[1:]), strict=True)
    }


def write_label_tiff(path: str | os.PathLike[str], labels: ArrayLike, *, pixel_size: PixelSize | None = None) -> None:
    """Write a label image as a losslessly compressed TIFF file, whole or not at all.

    Parameters
    ----------
    path : path
        The file; it replaces one that is there.
    labels : array_like
        Unsigned or signed integers, or bool.
    pixel_size : PixelSize, optional
        Goes into the file as its resolution per centimetre.

    Raises
    ------
    ValueError
        For values that are no labels.
    OSError
        Where the file cannot be written.
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "bui":
        raise ValueError(f"labels are integers or bool; these are {array.dtype}")
    array = array.astype(np.uint8) if array.dtype == np.bool_ else array
    with replacing(path) as temporary:
        tifffile.imwrite(
            temporary, array, compression="zlib", photometric="minisblack", **tiff_resolution(pixel_size)
        )


def read_label_tiff(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read a label image from a TIFF file; `read_pixel_size` reads its resolution.

    Returns
    -------
    numpy.ndarray
        (H, W), or with further axes before them, in the file's own type of integer; uint8 for bits.

    Raises
    ------
    OSError
        Where the file cannot be read.
    ValueError
        For a file that is damaged, or whose pixels are no integers.
    """
    labels = read_array(path)
    if labels.dtype == np.bool_:  # as napari saves layers of bool
        return labels.astype(np.uint8)
    if labels.dtype.kind not in "ui":
        raise ValueError(f"{path} holds no labels: its pixels are {labels.dtype}, not integers")
    return labels


def write_mask_png(path: str | os.PathLike[str], mask: NDArray[np.bool_]) -> None:
    """Write one (H, W) bool mask as a PNG file of 0 and 255, whole or not at all.

    Raises
    ------
    ValueError
        For an array that is not 2-D and bool.
    OSError
        Where the file cannot be written.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise ValueError(f"a mask is 2-D and bool; this one has the shape {mask.shape} and type {mask.dtype}")
    with replacing(path) as temporary:
        Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(temporary, format="PNG")
