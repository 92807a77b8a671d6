"""The label image of a large image, written chunk by chunk: OME-Zarr with coarser levels, or a tiled BigTIFF.

At any time the masks of one chunk are in memory. The zarr is made under another name and takes its place when whole.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray

from napari_segany.engine.large.measures import ObjectMeasures
from napari_segany.engine.large.objects import LargeObjects
from napari_segany.engine.large.tile_store import TileStore
from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.tiling import Window
from napari_segany.formats.atomic import replacing
from napari_segany.formats.lazy_image import enlarged
from napari_segany.formats.pixel_size import PixelSize, tiff_resolution

Box = tuple[int, int, int, int]

CHUNK = 1024
"""Pixels along the side of a chunk of the label image."""

_SMALLEST = 1024  # longer side of the coarsest level


def paint_steps(
    store: TileStore, objects: LargeObjects, path: Path, measures: ObjectMeasures, pixel_size: PixelSize | None = None
) -> Steps[None]:
    """Write labels as an OME-Zarr of uint32, and measure the objects by the way.

    Parameters
    ----------
    store : TileStore
        Has the masks.
    objects : LargeObjects
        The objects.
    path : pathlib.Path
        The folder of the zarr.
    measures : ObjectMeasures
        Gets what each object measures.
    pixel_size : PixelSize, optional
        Goes into the zarr as the scale of its levels.

    Yields
    ------
    Progress
        Chunks.

    Raises
    ------
    OSError
        Where the folder cannot be written to, the image cannot be read, or a tile is missing.
    ValueError
        For a tile, or a part of the image, that is damaged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    temporary = _beside(path)
    try:
        group = zarr.open_group(temporary, mode="w", zarr_format=3)
        shapes = _level_shapes(store.job.plan.image_shape)
        arrays = [_new_array(group, str(level), shape) for level, shape in enumerate(shapes)]
        group.attrs["ome"] = _ome(path.stem, len(shapes), pixel_size)
        yield from _chunk_steps(store, objects, arrays[0], measures)
        for finer, coarser in pairwise(arrays):
            yield from _coarser_steps(finer, coarser)
        _take_place(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_tiff_steps(source: Path, path: Path, pixel_size: PixelSize | None = None) -> Steps[None]:
    """Write the labels of an OME-Zarr as a tiled, compressed TIFF, one row of chunks in memory.

    Parameters
    ----------
    source, path : pathlib.Path
        The zarr and the file.
    pixel_size : PixelSize, optional
        Goes into the file as its resolution per centimetre.

    Raises
    ------
    OSError
        Where it cannot be written.
    """
    labels: Any = zarr.open_group(source, mode="r")["0"]
    shape = labels.shape
    boxes = list(_chunks((shape[0], shape[1])))
    yield Progress(0, len(boxes), "Writing the TIFF")

    def tiles() -> Iterator[NDArray[np.uint32]]:
        for top, left, bottom, right in boxes:
            tile = np.zeros((CHUNK, CHUNK), np.uint32)
            tile[: bottom - top, : right - left] = labels[top:bottom, left:right]
            yield tile

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        tifffile.imwrite(
            temporary, tiles(), shape=shape, dtype=np.uint32, tile=(CHUNK, CHUNK), compression="zlib", bigtiff=True,
            metadata={"axes": "YX"}, maxworkers=1, **tiff_resolution(pixel_size),
        )  # fmt: skip


def object_window(store: TileStore, objects: LargeObjects, index: int, box: Box) -> NDArray[np.bool_]:
    """Return the mask of an object within a box of the image, in the memory of the box."""
    result = np.zeros((box[2] - box[0], box[3] - box[1]), bool)
    for place, number in objects.members(index):
        window = store.window(place)
        factor, (top, left) = window.factor, window.box[:2]
        # One reduced pixel more on each side, between which and its neighbour the outline is smoothed.
        reduced = (
            max(box[0] // factor - 1, 0), max(box[1] // factor - 1, 0),
            -(-box[2] // factor) + 1, -(-box[3] // factor) + 1,
        )  # fmt: skip
        local = reduced[0] - top, reduced[1] - left, reduced[2] - top, reduced[3] - left
        mask = enlarged(store.masks(place).window(number, local), factor)
        row, col = box[0] - reduced[0] * factor, box[1] - reduced[1] * factor
        result |= mask[row : row + result.shape[0], col : col + result.shape[1]]
    return result


def painting_ranks(objects: LargeObjects, rule: str) -> NDArray[np.int64]:
    """Return (N,) ranks: the object of the highest one shows. Of equal ones that with the higher label."""
    values: dict[str, NDArray[Any]] = {
        "smaller": -objects.areas,
        "larger": objects.areas,
        "better": objects.predicted_iou,
    }
    ranks = np.empty(len(objects), np.int64)
    ranks[np.argsort(values[rule], kind="stable")] = np.arange(len(objects))
    return ranks


def _chunk_steps(store: TileStore, objects: LargeObjects, array: Any, measures: ObjectMeasures) -> Steps[None]:
    ranks = painting_ranks(objects, store.job.painting)
    boxes = list(_chunks(store.job.plan.image_shape))
    for number, box in enumerate(boxes):
        yield Progress(number, len(boxes), "Drawing and measuring the objects")
        part = _draw(store, objects, box, ranks, measures)
        if part.any():
            array[box[0] : box[2], box[1] : box[3]] = part


def _draw(
    store: TileStore, objects: LargeObjects, box: Box, ranks: NDArray[np.int64], measures: ObjectMeasures
) -> NDArray[np.uint32]:
    """Return the labels within a box, of the highest rank where objects overlap, and measure all masks there."""
    part = np.zeros((box[2] - box[0], box[3] - box[1]), np.uint32)
    low, high = np.maximum(objects.boxes[:, :2], box[:2]), np.minimum(objects.boxes[:, 2:], box[2:])
    indices = np.flatnonzero((low < high).all(axis=1))
    if not len(indices):
        return part
    valid, pixels = store.job.image.valid(Window(0, box)), measures.read(box)
    for index in indices[np.argsort(ranks[indices], kind="stable")].tolist():
        (top, left), (bottom, right) = low[index].tolist(), high[index].tolist()
        within = np.s_[top - box[0] : bottom - box[0], left - box[1] : right - box[1]]
        mask = object_window(store, objects, index, (top, left, bottom, right))
        if valid is not None:
            mask &= valid[within]
        part[within][mask] = index + 1
        measures.add(index, mask, (top, left), None if pixels is None else pixels[within])
    measures.add_shown(part)
    return part


def _coarser_steps(finer: Any, coarser: Any) -> Steps[None]:
    boxes = list(_chunks(coarser.shape))
    for number, (top, left, bottom, right) in enumerate(boxes):
        if number % 16 == 0:
            yield Progress(number, len(boxes), "Writing coarser levels")
        part = finer[2 * top : 2 * bottom : 2, 2 * left : 2 * right : 2]
        if part.any():
            coarser[top:bottom, left:right] = part


def _new_array(group: Any, name: str, shape: tuple[int, int]) -> Any:
    chunks = tuple(min(CHUNK, side) for side in shape)
    return group.create_array(name, shape=shape, chunks=chunks, dtype="uint32", dimension_names=["y", "x"])


def _chunks(shape: tuple[int, ...]) -> Iterator[Box]:
    for top in range(0, shape[0], CHUNK):
        for left in range(0, shape[1], CHUNK):
            yield top, left, min(top + CHUNK, shape[0]), min(left + CHUNK, shape[1])


def _level_shapes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    shapes = [shape]
    while max(shapes[-1]) > _SMALLEST:
        rows, cols = shapes[-1]
        shapes.append((-(-rows // 2), -(-cols // 2)))
    return shapes


def _ome(name: str, levels: int, pixel_size: PixelSize | None) -> dict[str, Any]:
    """Return the attributes of OME-Zarr 0.5; each level has every second pixel of the one before."""
    unit = {} if pixel_size is None else {"unit": pixel_size.whole_unit}
    sides = (1.0, 1.0) if pixel_size is None else (pixel_size.row, pixel_size.col)
    axes = [{"name": axis, "type": "space", **unit} for axis in "yx"]
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [{"type": "scale", "scale": [2.0**level * side for side in sides]}],
        }
        for level in range(levels)
    ]
    image_label = {"version": "0.5"}
    return {
        "version": "0.5",
        "multiscales": [{"name": name, "axes": axes, "datasets": datasets}],
        "image-label": image_label,
    }


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")


def _take_place(new: Path, path: Path) -> None:
    """Put a folder in the place of one that may be there, which comes back if that fails."""
    if not path.exists():
        new.replace(path)
        return
    aside = _beside(path)
    path.replace(aside)
    try:
        new.replace(path)
    except OSError:
        aside.replace(path)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _remove_leftovers(path: Path) -> None:
    """Remove what a run that was killed left under temporary names."""
    for leftover in path.parent.glob(f".{path.stem}-????????{path.suffix}"):
        shutil.rmtree(leftover, ignore_errors=True)
