"""The pixels of a raster, window by window, with what is nodata. Needs rasterio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.geo_bands import BandChoice, ShownBands
from napari_segany.formats.geo_extra import geo_module
from napari_segany.formats.geo_raster import Raster, opened

Box = tuple[int, int, int, int]
"""(row_min, col_min, row_max, col_max), half-open."""

_PIXELS = 4_000_000  # of a window, where a whole raster is gone through


def read_window(
    raster: Raster, bands: Sequence[int], box: Box | None = None, *, level: int = 0
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Read a part of a raster.

    Parameters
    ----------
    raster : Raster
        The raster.
    bands : sequence of int
        The numbers of the bands, from 1.
    box : (int, int, int, int), optional
        (row_min, col_min, row_max, col_max), half-open, in pixels of the level and within it; all of it by default.
    level : int
        Which of the raster's levels; 0 is the full resolution.

    Returns
    -------
    pixels : numpy.ndarray
        (C, H, W), one plane for each band, in the file's own type.
    valid : numpy.ndarray
        (H, W) bool, False where any of the bands is nodata (or transparent, or no finite number).

    Raises
    ------
    OSError
        Where the file cannot be read.
    ValueError
        For a band or window that the raster does not have, or a damaged file.
    """
    rows, cols = raster.levels[level].size
    box = (0, 0, rows, cols) if box is None else box
    unknown = [band for band in bands if not 1 <= band <= len(raster.bands)]
    if unknown or not bands:
        raise ValueError(f"{raster.name} has the bands 1 to {len(raster.bands)}; asked for {list(bands)}")
    if not (0 <= box[0] < box[2] <= rows and 0 <= box[1] < box[3] <= cols):
        raise ValueError(f"the window {box} is not within the {rows} x {cols} pixels of {raster.name}")
    overview = raster.levels[level].overview
    options = {} if overview is None else {"OVERVIEW_LEVEL": overview}
    factors = (1.0, 1.0) if overview is not None else tuple(np.divide(raster.size, (rows, cols)).tolist())
    window = _window(box, factors)
    out_shape = (box[2] - box[0], box[3] - box[1])
    with opened(raster.path, **options) as dataset:
        pixels = dataset.read(
            list(bands),
            window=window,
            out_shape=(len(bands), *out_shape),
            out_dtype=pixel_type(raster, bands),
            resampling=_resampling(raster, bands),
        )
        masks = dataset.read_masks(list(bands), window=window, out_shape=(len(bands), *out_shape))
    valid = (masks > 0).all(axis=0)
    if pixels.dtype.kind == "f":
        valid &= np.isfinite(pixels).all(axis=0)
    return pixels, valid


def pixel_type(raster: Raster, bands: Sequence[int]) -> np.dtype[Any]:
    """Return the type that holds the pixels of all the bands: their own where they share one."""
    return np.result_type(*(raster.bands[band - 1].dtype for band in bands))


def read_valid(raster: Raster, bands: ShownBands, box: Box, *, factor: int = 1) -> NDArray[np.bool_]:
    """Return (H, W) bool of a part of a raster: False where any of the bands is nodata. See `read_window`.

    Of an index it is also False where that is undefined: where its bands add up to 0.

    With a factor, the box is in pixels of the raster reduced by it, and one pixel stands for each of those.
    """
    choice = bands if isinstance(bands, BandChoice) else BandChoice(tuple(bands))
    numbers = list(choice.bands)
    rows, cols = raster.size
    own = [min(side * factor, last) for side, last in zip(box, (rows, cols, rows, cols), strict=True)]
    options: dict[str, Any] = {
        "window": _window((own[0], own[1], own[2], own[3])),
        "out_shape": (len(numbers), box[2] - box[0], box[3] - box[1]),
    }
    dtype = pixel_type(raster, numbers)
    with opened(raster.path) as dataset:
        masks: NDArray[np.uint8] = dataset.read_masks(numbers, **options)
        valid: NDArray[np.bool_] = np.all(masks > 0, axis=0, keepdims=False)
        if dtype.kind != "f" and not choice.is_index:
            return valid
        pixels = dataset.read(numbers, out_dtype=dtype, **options)
    return choice.combine(pixels, valid & np.isfinite(pixels).all(axis=0))[1]


def valid_at(raster: Raster, bands: ShownBands, positions: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell for (N, 2) positions (row, col) within a raster whether the pixel there is valid. See `read_valid`."""
    last = np.subtract(raster.size, 1)
    pixels = np.clip(np.floor(np.asarray(positions).reshape(-1, 2) + 0.5).astype(np.int64), 0, last)
    side = np.array(_tile(raster.block, raster.size))
    tiles, tile_of = np.unique(pixels // side, axis=0, return_inverse=True)
    valid = np.zeros(len(pixels), bool)
    for number in range(len(tiles)):
        members = np.flatnonzero(tile_of.ravel() == number)
        low, high = pixels[members].min(axis=0), pixels[members].max(axis=0) + 1
        window = read_valid(raster, bands, (int(low[0]), int(low[1]), int(high[0]), int(high[1])))
        rows, cols = (pixels[members] - low).T
        valid[members] = window[rows, cols]
    return valid


def boxes_of(size: tuple[int, int], block: tuple[int, int]) -> Iterator[Box]:
    """Yield windows that cover a raster of (H, W) pixels once, each whole blocks of a few million pixels."""
    rows, cols = size
    height, width = _tile(block, size)
    for row in range(0, rows, height):
        for col in range(0, cols, width):
            yield row, col, min(row + height, rows), min(col + width, cols)


def _tile(block: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Return the (H, W) of windows of whole blocks: as wide as the raster while that is not too much."""
    width = min(size[1], max(block[1], _PIXELS // block[0] // block[1] * block[1]))
    height = max(block[0], _PIXELS // width // block[0] * block[0])
    return min(height, size[0]), width


def _window(box: Box, factors: Sequence[float] = (1.0, 1.0)) -> Any:
    """Return rasterio's window of a box; with factors that of the full resolution, which may cut pixels."""
    row_min, col_min, row_max, col_max = np.multiply(box, (*factors, *factors)).tolist()
    return geo_module("rasterio.windows").Window(col_min, row_min, col_max - col_min, row_max - row_min)


def _resampling(raster: Raster, bands: Sequence[int]) -> int:
    """Average what measures; classes of a palette are numbers that have no mean."""
    kinds = geo_module("rasterio.enums").Resampling
    is_palette = any(raster.bands[band - 1].colour == "palette" for band in bands)
    chosen: int = kinds.nearest if is_palette else kinds.average
    return chosen
