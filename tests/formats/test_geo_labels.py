"""Label images with a place, with rasterio as judge."""

from __future__ import annotations

import dask.array
import numpy as np
import pytest

rasterio = pytest.importorskip("rasterio")

from napari_segany.formats.geo_grid import GeoGrid  # noqa: E402
from napari_segany.formats.geo_labels import holds_labels, read_label_geotiff, write_label_geotiff  # noqa: E402
from napari_segany.formats.geo_raster import read_raster  # noqa: E402

SIZE = (40, 50)


@pytest.fixture
def labels() -> np.ndarray:
    labels = np.zeros(SIZE, np.int32)
    labels[2:20, 3:30], labels[25:30, 5:9] = 7, 300
    return labels


def test_the_file_lies_on_the_grid_of_its_raster(write_raster, labels, place, tmp_path):
    source = write_raster(np.ones((1, *SIZE), np.uint8), place)
    path = tmp_path / "labels.geo.tif"
    write_label_geotiff(path, labels, read_raster(source).grid)
    with rasterio.open(source) as expected, rasterio.open(path) as found:
        assert found.crs == expected.crs
        np.testing.assert_allclose(found.transform, expected.transform, rtol=1e-12)
        assert found.shape == expected.shape
        assert (found.dtypes, found.nodata) == (("uint16",), 0)
        np.testing.assert_array_equal(found.read(1), labels)
    back, grid = read_label_geotiff(path)
    np.testing.assert_array_equal(back, labels)
    assert grid == read_raster(source).grid
    assert holds_labels(path)
    assert not holds_labels(source)


def test_many_labels_take_32_bits(labels, places, tmp_path):
    labels[0, 0] = 70_000
    grid = GeoGrid(SIZE, places["projected"][1], places["projected"][0])
    write_label_geotiff(tmp_path / "a.tif", labels, grid)
    assert read_label_geotiff(tmp_path / "a.tif")[0].dtype == np.uint32


def test_nothing_is_written_on_nodata(write_raster, labels, tmp_path):
    pixels = np.ones((2, *SIZE), np.float32)
    pixels[1, :10] = np.nan
    raster = read_raster(write_raster(pixels))
    write_label_geotiff(tmp_path / "a.tif", labels, raster.grid, raster=raster, bands=(2,))
    expected = labels.copy()
    expected[:10] = 0
    np.testing.assert_array_equal(read_label_geotiff(tmp_path / "a.tif")[0], expected)


def test_large_and_lazy_labels_are_written_by_windows_and_have_overviews(places, tmp_path):
    labels = dask.array.zeros((2500, 1800), dtype=np.uint8, chunks=600)
    labels[2000:, 1500:] = 9
    write_label_geotiff(tmp_path / "a.tif", labels, GeoGrid((2500, 1800), places["rotated"][1], "EPSG:3857"))
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.overviews(1) == [2, 4]
        np.testing.assert_array_equal(file.read(1), np.asarray(labels))


def test_a_raster_without_a_system_keeps_its_transform(labels, tmp_path):
    grid = GeoGrid(SIZE, (2, 0, 10, 0, -2, 20))
    write_label_geotiff(tmp_path / "a.tif", labels, grid)
    assert read_label_geotiff(tmp_path / "a.tif")[1] == grid


def test_what_is_no_label_image_is_refused_and_leaves_no_file(labels, tmp_path):
    grid = GeoGrid(SIZE, (1, 0, 0, 0, 1, 0), "EPSG:32633")
    path = tmp_path / "a.tif"
    with pytest.raises(ValueError, match="integers or bool"):
        write_label_geotiff(path, labels.astype(float), grid)
    with pytest.raises(ValueError, match="from -1 to"):
        write_label_geotiff(path, labels - 1, grid)
    with pytest.raises(ValueError, match="must be the same"):
        write_label_geotiff(path, labels[:-1], grid)
    with pytest.raises(FileNotFoundError):
        write_label_geotiff(tmp_path / "nowhere" / "a.tif", labels, grid)
    assert list(tmp_path.iterdir()) == []


def test_measurements_are_no_labels(write_raster):
    with pytest.raises(ValueError, match="no labels"):
        read_label_geotiff(write_raster(np.ones((1, 5, 5), np.float32)))
