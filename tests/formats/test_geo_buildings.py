"""A synthetic raster with known buildings goes in, and they come out within half a pixel."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import ndimage

rasterio = pytest.importorskip("rasterio")
pyproj = pytest.importorskip("pyproj")
shapely = pytest.importorskip("shapely")
pyogrio = pytest.importorskip("pyogrio")
from rasterio import features as rasterio_features  # noqa: E402

from napari_segany.formats.geo_bands import choose_bands  # noqa: E402
from napari_segany.formats.geo_features import Features, ReprojectedWarning, write_features  # noqa: E402
from napari_segany.formats.geo_prompt_reading import read_prompts  # noqa: E402
from napari_segany.formats.geo_pyramid import RasterView  # noqa: E402
from napari_segany.formats.geo_raster import read_raster  # noqa: E402
from napari_segany.formats.geo_stretch import measure_stretch  # noqa: E402
from napari_segany.formats.geo_vectors import VectorObject, VectorSettings, write_vectors  # noqa: E402
from napari_segany.formats.record import MaskRecord  # noqa: E402

SIZE = (400, 500)
CORNERS = [
    [(40.3, 50.2), (40.3, 120.9), (90.6, 120.9), (90.6, 50.2)],
    [(150.5, 60.0), (110.0, 130.0), (170.0, 165.0), (210.5, 95.0)],  # turned by 30 degrees
    [(250.2, 300.1), (250.2, 420.7), (300.8, 420.7), (300.8, 360.4), (350.1, 360.4), (350.1, 300.1)],  # an L
    [(60.0, 250.0), (60.0, 330.0), (130.0, 330.0), (130.0, 250.0)],
]
COURT = [(80.2, 270.1), (80.2, 310.4), (110.7, 310.4), (110.7, 270.1)]


def in_degrees(geometries: list, crs: str) -> np.ndarray:
    forward = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform
    return shapely.transform(np.array(geometries, object), lambda xy: np.stack(forward(*xy.T), axis=1))


def run(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize(("ending", "simplify"), [(".gpkg", 0.0), (".geojson", 0.0), (".shp", 0.7)])
def test_known_buildings_come_out_within_half_a_pixel(write_raster, place, places, tmp_path, ending, simplify):
    crs, transform = places[place]
    affine = rasterio.Affine(*transform)
    # On the ground: outlines on the map, painted by rasterio onto a noisy 12-bit raster with a nodata margin.
    outlines = [shapely.Polygon([affine @ (col, row) for row, col in corners]) for corners in CORNERS]
    outlines[3] = outlines[3].difference(shapely.Polygon([affine @ (col, row) for row, col in COURT]))
    painted = rasterio_features.rasterize(
        [(outline, number) for number, outline in enumerate(outlines, 1)], out_shape=SIZE, transform=affine
    )
    pixels = np.random.default_rng(0).normal(400, 20, (4, *SIZE)) + 1500 * (painted > 0)
    pixels = pixels.astype(np.uint16)
    pixels[:, :, :10] = 0
    raster = read_raster(write_raster(pixels, place, nodata=0, colours=("red", "green", "blue", "nir")))
    choice = choose_bands(raster, "false colour")
    view = RasterView(raster, choice, run(measure_stretch(raster, choice)))

    # Asked for by points in degrees, each with an address.
    points = in_degrees([outline.representative_point() for outline in outlines], crs)
    columns = {"address": np.array(["North 1", "East 2", "South 3", "West 4"], object)}
    write_features(tmp_path / "asked.geojson", Features(points, columns, "EPSG:4326"), kind="Point", resolution=1e-7)
    prompts = read_prompts(tmp_path / "asked.geojson", raster.grid, raster=raster, bands=choice.bands)
    assert prompts.left_out == ()

    # Found in what is shown, by a threshold: what a model would do.
    bright = ndimage.label(view.read()[..., 0] > 128)[0]
    found = []
    for prompt in prompts.prompts:
        row, col = np.round(prompt.points[0]).astype(int)
        mask = bright == bright[row, col]
        record = MaskRecord.from_mask(mask, prompt={"attributes": dict(prompt.attributes)})
        found.append(VectorObject(record, prompt.number, "building"))
    path = tmp_path / f"buildings{ending}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReprojectedWarning)
        steps = write_vectors(path, found, raster.grid, VectorSettings(simplify=simplify), raster=raster)
        report = run(steps)
    assert report.written == (1, 2, 3, 4)

    meta, _, geometry, values = pyogrio.raw.read(path)
    table = dict(zip(meta["fields"], values, strict=True))
    assert table["address"].tolist() == ["North 1", "East 2", "South 3", "West 4"]
    back = pyproj.Transformer.from_crs(meta["crs"], crs, always_xy=True).transform
    to_pixels = ~affine
    for built, outline, area in zip(shapely.from_wkb(geometry), outlines, table["area_m2"], strict=True):
        here = shapely.transform(built, lambda xy: np.stack(to_pixels @ tuple(np.stack(back(*xy.T))), axis=1))
        there = shapely.transform(outline, lambda xy: np.stack(to_pixels @ tuple(xy.T), axis=1))
        # The corners of pixels stray half a pixel's diagonal from a slanted line; its middle, half a pixel.
        limit = 0.5 * np.sqrt(2) + 0.01 if simplify == 0 else 1.0
        assert here.hausdorff_distance(there) <= limit
        assert here.centroid.distance(there.centroid) < 0.5
        assert here.symmetric_difference(there).area / there.length < 0.5, "half a pixel on average"
        geod = pyproj.CRS(crs).get_geod()
        degrees = in_degrees([shapely.orient_polygons(outline)], crs)[0]
        assert area == pytest.approx(abs(geod.geometry_area_perimeter(degrees)[0]), rel=0.03)
