from __future__ import annotations

import numpy as np
import pytest

rasterio = pytest.importorskip("rasterio")
pytest.importorskip("dask.array")

from napari_segany.formats.geo_bands import choose_bands, normalised_difference  # noqa: E402
from napari_segany.formats.geo_pyramid import RasterView, lazy_levels  # noqa: E402
from napari_segany.formats.geo_raster import read_raster  # noqa: E402
from napari_segany.formats.geo_stretch import Stretch  # noqa: E402

NODATA = 65535
LAYOUTS = {
    "tiles": {"tiled": True, "blockxsize": 256, "blockysize": 512},
    "strips": {"blockysize": 7},
    "large tiles": {"tiled": True, "blockxsize": 2048, "blockysize": 2048},
}


@pytest.fixture
def pixels() -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 4000, (3, 120, 1300)).astype(np.uint16)
    pixels[:, :50, :60] = NODATA
    return pixels


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_every_level_is_the_raster(write_raster, pixels, layout):
    raster = read_raster(write_raster(pixels, nodata=NODATA, overviews=(2,), **LAYOUTS[layout]))
    view = RasterView(raster, choose_bands(raster), Stretch((100.0,) * 3, (3000.0,) * 3))
    levels = lazy_levels(view)
    assert [level.shape for level in levels] == [(120, 1300, 3), (60, 650, 3)]
    assert {level.dtype for level in levels} == {np.dtype(np.uint8)}
    expected = np.clip((np.moveaxis(pixels, 0, -1) - 100.0) * (255 / 2900), 0, 255)
    expected[:50, :60] = 0
    assert np.abs(np.asarray(levels[0]) - expected).max() <= 0.5 + 1e-4
    with rasterio.open(raster.path, OVERVIEW_LEVEL=0) as overview:
        half = np.clip((np.moveaxis(overview.read(), 0, -1) - 100.0) * (255 / 2900), 0, 255)
    half[:25, :30] = 0
    assert np.abs(np.asarray(levels[1]) - half).max() <= 0.5 + 1e-4


def test_chunks_are_whole_blocks(write_raster):
    pixels = np.zeros((3, 1100, 1300), np.uint8)
    tiles = read_raster(write_raster(pixels, **LAYOUTS["tiles"]))
    strips = read_raster(write_raster(pixels, name="strips.tif", **LAYOUTS["strips"]))
    stretch = Stretch((0.0,) * 3, (1.0,) * 3)
    chunks = [
        lazy_levels(RasterView(raster, choose_bands(raster), stretch))[0].chunksize for raster in (tiles, strips)
    ]
    assert chunks[0] == (1024, 1024, 3)
    assert chunks[1][0] % 7 == 0
    assert chunks[1][1] == 1300


def test_nothing_is_read_before_it_is_asked_for(write_raster, pixels):
    path = write_raster(pixels)
    raster = read_raster(path)
    level = lazy_levels(RasterView(raster, choose_bands(raster), Stretch((0.0,) * 3, (1.0,) * 3)))[0]
    path.unlink()
    with pytest.raises(FileNotFoundError):
        np.asarray(level[:5, :5])


def test_a_single_band_keeps_its_numbers_and_nodata_is_dark(write_raster, pixels):
    raster = read_raster(write_raster(pixels, nodata=NODATA))
    view = RasterView(raster, choose_bands(raster, 2), Stretch((100.0,), (3000.0,)))
    shown = view.read()
    assert shown.dtype == np.uint16
    np.testing.assert_array_equal(shown, np.where(pixels[1] == NODATA, 100, pixels[1]))
    np.testing.assert_array_equal(view.read((3, 40, 30, 90)), shown[3:30, 40:90])


def test_an_index_is_float32(write_raster, pixels):
    raster = read_raster(write_raster(pixels, nodata=NODATA))
    view = RasterView(raster, normalised_difference(raster, 3, 1), Stretch((-0.5,), (0.5,)))
    shown = np.asarray(lazy_levels(view)[0])
    assert shown.dtype == np.float32
    third, first = pixels[2].astype(float), pixels[0].astype(float)
    expected = np.where(pixels[0] == NODATA, -0.5, (third - first) / np.maximum(third + first, 1))
    expected[(third + first) == 0] = -0.5
    np.testing.assert_allclose(shown, expected, atol=1e-6)
