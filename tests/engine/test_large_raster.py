"""A raster with a place on Earth done tile by tile: nothing on nodata, and outlines where the objects are."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tifffile
from scipy import ndimage

rasterio = pytest.importorskip("rasterio")
pyogrio = pytest.importorskip("pyogrio")
shapely = pytest.importorskip("shapely")

from napari_segany.engine.automatic_settings import AutomaticSettings  # noqa: E402
from napari_segany.engine.candidates import run_lengths_in_box  # noqa: E402
from napari_segany.engine.large.raster import MapOutputs, RasterAtPath  # noqa: E402
from napari_segany.engine.large.run import ThisProcess, large_steps  # noqa: E402
from napari_segany.engine.progress import Progress, drain  # noqa: E402
from napari_segany.engine.tiling import TilingSettings, Window  # noqa: E402
from napari_segany.formats.geo_pyramid import raster_levels  # noqa: E402
from napari_segany.formats.geo_raster import read_raster  # noqa: E402
from napari_segany.formats.geo_view import view_steps  # noqa: E402
from napari_segany.formats.record import MaskRecord  # noqa: E402
from napari_segany.formats.table import read_table  # noqa: E402

SHAPE, SIDE = (300, 400), 128
PLACE = rasterio.Affine(0.5, 0.0, 500_000.0, 0.0, 0.5, 5_400_000.0)  # south-up
COG_PLACE = rasterio.Affine(0.2, 0.0, 390_000.0, 0.0, -0.2, 5_820_000.0)


class Bright:
    """Takes connected bright pixels, and those of nodata, which are dark, as one object more."""

    def steps(self, pixels, settings, contrast_limits):
        yield Progress(0, 1)
        (points,) = settings.point_grids
        self.asked = [*getattr(self, "asked", []), *points]
        records = []
        for bright in (pixels > 128, pixels == 0):
            labels, _ = ndimage.label(bright)
            for number, (rows, cols) in enumerate(ndimage.find_objects(labels), 1):
                box = rows.start, cols.start, rows.stop, cols.stop
                mask = run_lengths_in_box(labels[rows, cols] == number, box, pixels.shape)
                records.append(MaskRecord.from_mask(mask, predicted_iou=0.9, stability_score=0.9))
        return records


def class_model():
    class Model:
        def digest_steps(self):
            yield Progress(0, 1)
            return "bright"

    return Model()


def test_tiles_of_a_raster_become_features_where_they_are(tmp_path):
    pixels = np.full(SHAPE, 60, np.uint8)
    boxes = [(20, 30, 60, 80), (100, 115, 150, 140), (200, 240, 260, 330)]  # the second across edges of tiles
    for top, left, bottom, right in boxes:
        pixels[top:bottom, left:right] = 200
    pixels[:, 300:] = 0  # nodata, over the third
    path = tmp_path / "town.tif"
    profile = {"driver": "GTiff", "crs": "EPSG:32633", "transform": PLACE, "nodata": 0}
    with rasterio.open(path, "w", count=1, height=SHAPE[0], width=SHAPE[1], dtype="uint8", **profile) as file:
        file.write(pixels, 1)
    view = drain(view_steps(path), lambda step: None)
    raster = RasterAtPath(path, "town.tif", view)
    assert raster.valid(Window(0, (0, 0, 9, 300))) is None
    assert raster.valid(Window(1, (0, 148, 2, 152))).tolist() == [[True, True, False, False]] * 2
    out = MapOutputs(raster, (tmp_path / "out/town.gpkg", tmp_path / "out/town.geojson"))
    segment = Bright()
    steps = large_steps(
        raster, "town", tmp_path / "out", class_model(), AutomaticSettings(points_per_side=8),
        tiling=TilingSettings(side=SIDE), contrast_limits=raster.contrast_limits, workers=ThisProcess(segment),
        on_map=out,
    )  # fmt: skip
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        result = drain(steps)
    assert any("longitude and latitude" in str(warning.message) for warning in told)
    with rasterio.open(result.labels.with_suffix(".tif")) as file:
        labels = file.read(1)
        assert file.transform == PLACE
    expected = pixels == 200
    np.testing.assert_array_equal(labels > 0, expected)
    _, _, geometry, values = pyogrio.raw.read(tmp_path / "out/town.gpkg")
    areas = dict(zip(values[0].tolist(), shapely.area(shapely.from_wkb(geometry)).tolist(), strict=True))
    for number in range(1, labels.max() + 1):
        assert areas[number] == pytest.approx(0.25 * np.count_nonzero(labels == number))
        row, col = np.argwhere(labels == number).mean(axis=0) + 0.5
        outline = shapely.from_wkb(geometry)[values[0].tolist().index(number)]
        assert outline.centroid.distance(shapely.Point(PLACE @ (col, row))) < 1e-6
    assert labels.max() == 3
    table = read_table(result.table)
    assert table["area"].tolist() == np.bincount(labels.ravel())[1:].tolist()
    assert table["intensity_mean"].tolist() == [200.0] * 3, "and nothing of nodata"
    np.testing.assert_allclose(table["area_m2"], 0.25 * table["area"])


def write_cog(path, pixels):
    """Write a cloud-optimised GeoTIFF whose overviews are no averages, so that it is seen which level was read."""
    profile = {"driver": "COG", "crs": "EPSG:25833", "transform": COG_PLACE, "compress": "DEFLATE"}
    options = {"blocksize": 256, "overview_resampling": "nearest", "overviews": "IGNORE_EXISTING"}
    with rasterio.open(
        path, "w", count=1, height=pixels.shape[0], width=pixels.shape[1], dtype=pixels.dtype, **profile, **options
    ) as file:
        file.write(pixels, 1)


def test_the_levels_of_a_cloud_optimised_geotiff_are_its_overviews_and_windows_are_all_that_is_read(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 250, (1500, 2300)).astype(np.uint8)
    path = tmp_path / "cog.tif"
    write_cog(path, pixels)
    overviews = []
    with rasterio.open(path) as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        count = len(file.overviews(1))
    for number in range(count):
        with rasterio.open(path, OVERVIEW_LEVEL=number) as file:
            overviews.append(file.read(1))
    raster = read_raster(path)
    assert count > 1
    assert [(level.size, level.overview) for level in raster.levels[1 : count + 1]] == [
        (overview.shape, number) for number, overview in enumerate(overviews)
    ]
    assert raster.grid.transform == tuple(COG_PLACE)[:6]
    assert rasterio.crs.CRS.from_wkt(raster.grid.crs).to_epsg() == 25833

    image = raster_levels(drain(view_steps(path), lambda step: None))
    np.testing.assert_array_equal(image.read((100, 200, 300, 500), 2), overviews[0][100:300, 200:500])
    np.testing.assert_array_equal(image.read((10, 20, 300, 500), 4), overviews[1][10:300, 20:500])
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:  # everything but the tile at row 2, column 3 is destroyed
        for page in (file.pages[0], *file.pages[1:]):
            for number, (start, size) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
                if page is not file.pages[0] or number != 2 * 9 + 3:
                    content[start : start + size] = b"x" * size
    path.write_bytes(content)
    np.testing.assert_array_equal(image.read((520, 780, 760, 1020)), pixels[520:760, 780:1020])
    with pytest.raises(ValueError, match="damaged or no raster"):
        image.read((520, 700, 760, 1020))


def test_labels_of_a_cloud_optimised_geotiff_come_back_on_its_grid(tmp_path):
    pixels = np.full((700, 900), 60, np.uint8)
    for top, left, bottom, right in [(20, 30, 60, 80), (300, 500, 380, 620), (640, 850, 700, 900)]:
        pixels[top:bottom, left:right] = 200
    path = tmp_path / "cog.tif"
    write_cog(path, pixels)
    raster = RasterAtPath(path, "cog.tif", drain(view_steps(path), lambda step: None))
    steps = large_steps(
        raster, "cog", tmp_path / "out", class_model(), AutomaticSettings(points_per_side=8),
        tiling=TilingSettings(side=256), contrast_limits=raster.contrast_limits, workers=ThisProcess(Bright()),
        on_map=MapOutputs(raster, ()),
    )  # fmt: skip
    result = drain(steps)
    with rasterio.open(path) as file, rasterio.open(result.labels.with_suffix(".tif")) as labels:
        assert (labels.shape, labels.transform, labels.crs) == (file.shape, file.transform, file.crs)
        np.testing.assert_array_equal(labels.read(1) > 0, file.read(1) == 200)
