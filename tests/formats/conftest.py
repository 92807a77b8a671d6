"""Rasters in files, for the tests of what has a place on Earth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PLACES = {
    "projected": ("EPSG:32633", (0.5, 0.0, 500_000.0, 0.0, -0.5, 5_400_000.0)),
    "south-up": ("EPSG:32633", (0.5, 0.0, 500_000.0, 0.0, 0.5, 5_400_000.0)),
    "rotated": ("EPSG:32633", (0.4, 0.3, 500_000.0, 0.3, -0.4, 5_400_000.0)),
    "geographic": ("EPSG:4326", (6e-6, 0.0, 12.5, 0.0, -4e-6, 48.25)),
    "in feet": ("EPSG:2263", (1.5, 0.0, 980_000.0, 0.0, -1.5, 200_000.0)),
}
"""(reference system, transform a to f) of the kinds of rasters that there are."""

WriteRaster = Callable[..., Path]


@pytest.fixture
def write_raster(tmp_path: Path) -> WriteRaster:
    """Write (C, H, W) pixels as a GeoTIFF with rasterio; return its path."""
    rasterio = pytest.importorskip("rasterio")

    def write(
        pixels: np.ndarray,
        place: str = "projected",
        *,
        name: str = "raster.tif",
        descriptions: tuple[str, ...] = (),
        colours: tuple[str, ...] = (),
        overviews: tuple[int, ...] = (),
        **profile: Any,
    ) -> Path:
        crs, transform = PLACES[place]
        profile = {"driver": "GTiff", "crs": crs, "transform": rasterio.Affine(*transform), **profile}
        count, height, width = pixels.shape
        path = tmp_path / name
        with rasterio.open(path, "w", count=count, height=height, width=width, dtype=pixels.dtype, **profile) as file:
            file.write(pixels)
            for number, text in enumerate(descriptions, 1):
                file.set_band_description(number, text)
            if colours:
                file.colorinterp = [rasterio.enums.ColorInterp[colour] for colour in colours]
            if overviews:
                file.build_overviews(list(overviews), rasterio.enums.Resampling.average)
        return path

    return write


@pytest.fixture(params=list(PLACES))
def place(request: pytest.FixtureRequest) -> str:
    """Each kind of raster."""
    return str(request.param)


@pytest.fixture
def places() -> dict[str, tuple[str, tuple[float, ...]]]:
    """All kinds of rasters, by name."""
    return PLACES
