"""What is in a raster, its pixels by windows and levels, with rasterio as judge."""

from __future__ import annotations

import numpy as np
import pytest

rasterio = pytest.importorskip("rasterio")

from napari_segany.formats.geo_crs import crs_name, is_same_crs  # noqa: E402
from napari_segany.formats.geo_raster import COARSEST, read_raster  # noqa: E402
from napari_segany.formats.geo_windows import boxes_of, read_valid, read_window, valid_at  # noqa: E402

NODATA = -9999.0


@pytest.fixture
def pixels() -> np.ndarray:
    """Two bands of 70 x 90, with nodata in a corner of the first, and elsewhere in the second."""
    pixels = np.random.default_rng(0).normal(100, 20, (2, 70, 90)).astype(np.float32)
    pixels[0, :10, :20] = pixels[1, 60:, 80:] = NODATA
    return pixels


def test_the_place_is_that_of_the_file(write_raster, place, places, pixels):
    crs, transform = places[place]
    grid = read_raster(write_raster(pixels, place)).grid
    assert grid.size == (70, 90)
    assert is_same_crs(grid.crs, crs)
    np.testing.assert_allclose(grid.transform, transform, rtol=1e-12)


def test_the_name_of_a_system_has_its_code(write_raster, pixels):
    assert crs_name(read_raster(write_raster(pixels)).grid.crs) == "WGS 84 / UTM zone 33N (EPSG:32633)"


def test_bands_are_described(write_raster):
    pixels = np.zeros((4, 8, 9), np.uint8)
    path = write_raster(pixels, descriptions=("", "near infrared"), colours=("red", "nir", "blue", "alpha"))
    bands = read_raster(path).bands
    assert [band.number for band in bands] == [1, 2, 3, 4]
    assert [band.colour for band in bands] == ["red", "nir", "blue", "alpha"]
    assert bands[1].description == "near infrared"
    assert {band.dtype for band in bands} == {"uint8"}


def test_windows_are_those_of_the_file(write_raster, pixels):
    raster = read_raster(write_raster(pixels, tiled=True, blockxsize=32, blockysize=16, nodata=NODATA))
    window, valid = read_window(raster, (2, 1), (5, 7, 33, 61))
    np.testing.assert_array_equal(window, pixels[[1, 0], 5:33, 7:61])
    np.testing.assert_array_equal(valid, (pixels != NODATA).all(axis=0)[5:33, 7:61])
    assert raster.block == (16, 32)


def test_what_is_no_number_is_nodata_though_the_file_says_nothing(write_raster, pixels):
    pixels[0, 3, 4], pixels[1, 5, 6] = np.nan, np.inf
    raster = read_raster(write_raster(pixels))
    valid = read_valid(raster, (1, 2), (0, 0, 70, 90))
    assert np.argwhere(~valid).tolist() == [[3, 4], [5, 6]]
    assert read_valid(raster, (2,), (0, 0, 70, 90)).sum() == 70 * 90 - 1


def test_transparent_pixels_are_nodata(write_raster):
    pixels = np.full((4, 8, 9), 7, np.uint8)
    pixels[3, :2] = 0
    raster = read_raster(write_raster(pixels, colours=("red", "green", "blue", "alpha")))
    np.testing.assert_array_equal(read_valid(raster, (1, 2, 3), (0, 0, 8, 9)), pixels[3] > 0)


def test_points_on_nodata_are_told(write_raster, pixels):
    raster = read_raster(write_raster(pixels, nodata=NODATA))
    rng = np.random.default_rng(1)
    positions = rng.uniform((-0.5, -0.5), (69.49, 89.49), (200, 2))
    rows, cols = np.floor(positions + 0.5).astype(int).T
    np.testing.assert_array_equal(valid_at(raster, (1,), positions), pixels[0, rows, cols] != NODATA)
    assert valid_at(raster, (1,), np.zeros((0, 2))).shape == (0,)


def test_overviews_of_the_file_are_its_levels(write_raster):
    pixels = np.random.default_rng(0).integers(0, 4000, (1, 600, 2500)).astype(np.uint16)
    path = write_raster(pixels, overviews=(2, 4), tiled=True, blockxsize=256, blockysize=256)
    raster = read_raster(path)
    assert [level.size for level in raster.levels] == [(600, 2500), (300, 1250), (150, 625)]
    assert [level.overview for level in raster.levels] == [None, 0, 1]
    with rasterio.open(path, OVERVIEW_LEVEL=1) as overview:
        expected = overview.read(1)
    np.testing.assert_array_equal(read_window(raster, (1,), level=2)[0][0], expected)
    np.testing.assert_array_equal(
        read_window(raster, (1,), (50, 60, 70, 200), level=2)[0][0], expected[50:70, 60:200]
    )


def test_levels_that_the_file_has_not_are_means_of_its_valid_pixels(write_raster):
    pixels = np.random.default_rng(0).integers(0, 4000, (1, 64, 4100)).astype(np.float32)
    pixels[0, :2, :2] = NODATA
    pixels[0, 0, 4] = NODATA
    raster = read_raster(write_raster(pixels, nodata=NODATA))
    assert [level.size for level in raster.levels] == [(64, 4100), (32, 2050), (16, 1025), (8, 513)]
    assert max(raster.levels[-1].size) <= COARSEST
    half, valid = read_window(raster, (1,), level=1)
    blocks = pixels[0].reshape(32, 2, 2050, 2)
    expected = np.ma.masked_equal(blocks, NODATA).mean(axis=(1, 3))
    assert not valid[0, 0]
    np.testing.assert_allclose(half[0][valid], expected[valid], rtol=1e-5)
    part, _ = read_window(raster, (1,), (3, 100, 20, 300), level=1)
    np.testing.assert_allclose(part[0], half[0, 3:20, 100:300], rtol=1e-6)


def test_classes_of_a_palette_are_not_averaged(write_raster):
    pixels = np.random.default_rng(0).choice([1, 9], (1, 40, 3000)).astype(np.uint8)
    raster = read_raster(write_raster(pixels, photometric="palette"))
    assert raster.bands[0].colour == "palette"
    assert set(np.unique(read_window(raster, (1,), level=1)[0])) == {1, 9}


def test_a_vrt_opens_its_sources(write_raster, pixels, tmp_path):
    left = write_raster(pixels[:1], name="left.tif", nodata=NODATA)
    vrt = tmp_path / "mosaic.vrt"
    vrt.write_text(
        f"""<VRTDataset rasterXSize="180" rasterYSize="70"><SRS>EPSG:32633</SRS>
        <GeoTransform>500000, 0.5, 0, 5400000, 0, -0.5</GeoTransform>
        <VRTRasterBand dataType="Float32" band="1"><NoDataValue>{NODATA}</NoDataValue><ComplexSource>
        <SourceFilename relativeToVRT="1">{left.name}</SourceFilename><SourceBand>1</SourceBand>
        <NODATA>{NODATA}</NODATA>
        <SrcRect xOff="0" yOff="0" xSize="90" ySize="70"/><DstRect xOff="90" yOff="0" xSize="90" ySize="70"/>
        </ComplexSource></VRTRasterBand></VRTDataset>"""
    )
    raster = read_raster(vrt)
    assert raster.size == (70, 180)
    found, valid = read_window(raster, (1,))
    assert not valid[:, :90].any(), "no source covers it"
    np.testing.assert_array_equal(found[0, :, 90:], pixels[0])


def test_windows_cover_the_raster_once():
    for size, block in [((5000, 7001), (256, 256)), ((300, 40_000), (1, 40_000)), ((9, 7), (512, 512))]:
        seen = np.zeros(size, np.uint8)
        for row_min, col_min, row_max, col_max in boxes_of(size, block):
            seen[row_min:row_max, col_min:col_max] += 1
            assert row_min % block[0] == col_min % block[1] == 0
            assert (row_max - row_min) * (col_max - col_min) <= 4_000_000
        assert (seen == 1).all()


def test_a_raster_without_a_place_has_its_pixels_as_grid(write_raster, pixels):
    path = write_raster(pixels, crs=None, transform=rasterio.Affine.identity())
    grid = read_raster(path).grid
    assert not grid.has_place
    assert grid.transform == (1, 0, 0, 0, 1, 0)


@pytest.mark.parametrize("content", [b"", b"II*\x00 broken", b"no raster at all"])
def test_what_is_no_raster_is_refused(tmp_path, content):
    path = tmp_path / "broken.tif"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.tif is damaged or no raster"):
        read_raster(path)


def test_a_raster_that_is_cut_off_is_refused(write_raster, pixels):
    path = write_raster(pixels)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(ValueError, match="damaged or no raster"):
        read_window(read_raster(path), (1, 2))


def test_what_cannot_be_used_is_refused(write_raster, pixels, tmp_path):
    with pytest.raises(FileNotFoundError):
        read_raster(tmp_path / "nowhere.tif")
    with pytest.raises(ValueError, match="complex64"):
        read_raster(write_raster(pixels.astype(np.complex64), name="complex.tif"))
    points = [
        rasterio.control.GroundControlPoint(row, col, col, row) for row, col in [(0, 0), (0, 9), (9, 0), (9, 9)]
    ]
    path = write_raster(pixels, name="points.tif", crs=None, transform=None)
    with rasterio.open(path, "r+") as file:
        file.gcps = (points, rasterio.crs.CRS.from_epsg(4326))
    with pytest.raises(ValueError, match="gdalwarp"):
        read_raster(path)
    raster = read_raster(write_raster(pixels))
    with pytest.raises(ValueError, match="bands 1 to 2"):
        read_window(raster, (3,))
    with pytest.raises(ValueError, match="window"):
        read_window(raster, (1,), (0, 0, 71, 5))
