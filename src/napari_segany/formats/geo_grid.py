"""Where the pixels of a raster lie on Earth: reference system, affine transform, size. Knows numpy only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

GRID_KEY = "napari_segany_grid"
"""Key of a layer's metadata whose value is a `GeoGrid`."""

Transform = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class GeoGrid:
    """The pixels of a raster on the map.

    Attributes
    ----------
    size : tuple of int
        (H, W), in pixels.
    transform : tuple of float
        (a, b, c, d, e, f): the corner (col, row) of pixels lies at x = a col + b row + c, y = d col + e row + f, in
        units of the reference system. The upper left corner of the raster is (0, 0). This is the order of rasterio's
        transforms and of ESRI's world files, not GDAL's.
    crs : str
        The coordinate reference system as WKT or "EPSG:32633"; "" where none is known. x is east or longitude.

    Raises
    ------
    ValueError
        For a size that is not positive, or a transform that is not six finite numbers or maps the raster to a line.
    """

    size: tuple[int, int]
    transform: Transform
    crs: str = ""

    def __post_init__(self) -> None:
        """Check the numbers and bring them to plain Python ones."""
        rows, cols = (int(side) for side in self.size)
        if rows <= 0 or cols <= 0:
            raise ValueError(f"a raster has the size {self.size}; both sides must be positive")
        numbers = tuple(float(number) for number in self.transform)
        if len(numbers) != 6 or not all(map(math.isfinite, numbers)):
            raise ValueError(
                f"the transform of a raster is {self.transform}; give six finite numbers a, b, c, d, e, f"
            )
        a, b, c, d, e, f = numbers
        if a * e == b * d:
            raise ValueError(f"the transform {numbers} gives the pixels no area")
        object.__setattr__(self, "size", (rows, cols))
        object.__setattr__(self, "transform", (a, b, c, d, e, f))

    @property
    def has_place(self) -> bool:
        """Whether it is known where on Earth the raster lies."""
        return bool(self.crs)

    @property
    def pixel_size(self) -> tuple[float, float]:
        """The distance between neighbouring rows and columns, in units of the reference system."""
        a, b, _, d, e, _ = self.transform
        return math.hypot(b, e), math.hypot(a, d)

    def to_map(self, positions: ArrayLike) -> NDArray[np.float64]:
        """Return (N, 2) map coordinates (x, y) of (N, 2) positions (row, col), integers at pixel centres."""
        rows, cols = (np.asarray(positions, np.float64).reshape(-1, 2) + 0.5).T
        a, b, c, d, e, f = self.transform
        return np.stack([a * cols + b * rows + c, d * cols + e * rows + f], axis=1)

    def to_pixels(self, coordinates: ArrayLike) -> NDArray[np.float64]:
        """Return (N, 2) positions (row, col), integers at pixel centres, of (N, 2) map coordinates (x, y)."""
        a, b, c, d, e, f = self.transform
        x, y = (np.asarray(coordinates, np.float64).reshape(-1, 2) - (c, f)).T
        area = a * e - b * d
        with np.errstate(invalid="ignore"):  # a place that is none, inf, is no position, and no cause for a warning
            return np.stack([(a * y - d * x) / area, (e * x - b * y) / area], axis=1) - 0.5

    def contains(self, positions: ArrayLike) -> NDArray[np.bool_]:
        """Tell for (N, 2) positions (row, col) whether they lie on a pixel, which reaches half a pixel around."""
        array = np.asarray(positions, np.float64).reshape(-1, 2)
        return np.all((array >= -0.5) & (array <= np.subtract(self.size, 0.5)), axis=1, keepdims=False)
