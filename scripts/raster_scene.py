"""A drawn town as a GeoTIFF and the addresses of its houses, for the picture of the dock of rasters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
import shapely
from rasterio import features
from skimage.filters import gaussian

from napari_segany.formats.geo_features import Features, write_features

SIZE = (480, 640)
PLACE = rasterio.Affine.translation(389_000, 5_820_000) * rasterio.Affine.scale(0.25, -0.25)


def draw_town(folder: Path) -> tuple[Path, Path]:
    """Write a raster with red, green, blue and near infrared and no data in one corner, and a file of points."""
    rng = np.random.default_rng(5)
    houses = [_house(rng, row, col) for row in range(60, 440, 95) for col in range(70, 600, 105)]
    roofs = features.rasterize([(house, number) for number, house in enumerate(houses, 1)], out_shape=SIZE)
    ground = gaussian(rng.normal(0, 1, SIZE), 9) * 260
    pixels = np.stack([level + ground + rng.normal(0, 12, SIZE) for level in (330, 420, 290, 900)])
    tints = rng.uniform(0.8, 1.2, len(houses) + 1)[roofs]
    for band, roof in enumerate((1100, 800, 700, 520)):
        pixels[band] = np.where(roofs > 0, roof * tints + rng.normal(0, 18, SIZE), pixels[band])
    rows, cols = np.indices(SIZE)
    pixels[:, rows - cols > 330] = 0
    raster = folder / "town.tif"
    profile = {"driver": "GTiff", "crs": "EPSG:25833", "transform": PLACE, "nodata": 0, "dtype": "uint16"}
    with rasterio.open(raster, "w", height=SIZE[0], width=SIZE[1], count=4, **profile) as file:
        file.write(np.clip(pixels, 0, 4095).astype(np.uint16))
        for number, name in enumerate(("red", "green", "blue", "near infrared"), 1):
            file.set_band_description(number, name)
    points = [shapely.Point(PLACE @ house.centroid.coords[0]) for house in houses]
    columns = {"address": np.array([f"Lane {number}" for number in range(1, len(points) + 1)], object)}
    addresses = folder / "addresses.gpkg"
    write_features(
        addresses, Features(np.array(points, object), columns, "EPSG:25833"), kind="Point", resolution=0.25
    )
    return raster, addresses


def _house(rng: np.random.Generator, row: int, col: int) -> shapely.Polygon:
    height, width, angle = rng.uniform(16, 28), rng.uniform(20, 36), rng.uniform(0, 90)
    box = shapely.box(col - width, row - height, col + width, row + height)
    if rng.random() < 0.4:
        box = box.difference(shapely.box(col, row, col + width, row + height))
    return shapely.affinity.rotate(box, angle, origin=(col, row))
