"""Rasters and label GeoTIFFs through napari's own opening."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
import tifffile
from napari.plugins._npe2 import get_readers

rasterio = pytest.importorskip("rasterio")

from napari_segany.formats import geo_view  # noqa: E402
from napari_segany.formats.geo_extra import GeoMissingError  # noqa: E402
from napari_segany.formats.geo_grid import GRID_KEY, GeoGrid  # noqa: E402
from napari_segany.formats.geo_labels import write_label_geotiff  # noqa: E402
from napari_segany.formats.geo_pyramid import VIEW_KEY, RasterView  # noqa: E402
from napari_segany.widgets import geo_reader  # noqa: E402
from napari_segany.widgets.geo_opening import choose_rasters, open_rasters  # noqa: E402
from napari_segany.widgets.geo_reader import get_geo_reader, raster_layer  # noqa: E402

TRANSFORM = (0.5, 0.0, 500_000.0, 0.0, -0.5, 5_400_000.0)


pytestmark = pytest.mark.usefixtures("known_to_napari")


def write(path, pixels, *, crs="EPSG:32633", overviews=(), colours=(), **profile):
    profile = {"driver": "GTiff", "crs": crs, "transform": rasterio.Affine(*TRANSFORM), **profile}
    count, height, width = pixels.shape
    with rasterio.open(path, "w", count=count, height=height, width=width, dtype=pixels.dtype, **profile) as file:
        file.write(pixels)
        if colours:
            file.colorinterp = [rasterio.enums.ColorInterp[colour] for colour in colours]
        if overviews:
            file.build_overviews(list(overviews), rasterio.enums.Resampling.average)
    return path


@pytest.fixture
def pixels() -> np.ndarray:
    pixels = np.random.default_rng(0).integers(1, 4000, (4, 300, 1300)).astype(np.uint16)
    pixels[:, :20, :30] = 0
    return pixels


def opened(viewer, path):
    return open_rasters(viewer, [path])


def test_a_raster_opens_in_its_colours_as_multiscale_with_its_place(viewer, pixels, tmp_path):
    path = write(tmp_path / "town.tif", pixels, nodata=0, overviews=(2, 4), colours=("red", "green", "blue", "nir"))
    (layer,) = opened(viewer, path)
    assert layer.name == "town (true colour)"
    assert layer.rgb
    assert layer.multiscale
    assert [level.shape for level in layer.data] == [(300, 1300, 3), (150, 650, 3), (75, 325, 3)]
    grid = layer.metadata[GRID_KEY]
    assert (grid.size, grid.transform) == ((300, 1300), TRANSFORM)
    assert rasterio.crs.CRS.from_wkt(grid.crs).to_epsg() == 32633
    colours = pixels[:3].astype(float)
    low, high = (np.percentile(colours[:, pixels[0] > 0], p, axis=1, method="lower") for p in (2, 98))
    shown = np.clip((np.moveaxis(colours, 0, -1) - low) * 255 / (high - low), 0, 255)
    shown[:20, :30] = 0
    assert np.abs(np.asarray(layer.data[0]) - shown).max() <= 0.51
    np.testing.assert_array_equal(layer.scale, [0.5, 0.5])
    assert [str(unit) for unit in layer.units] == ["meter", "meter"]


def test_a_single_band_opens_with_its_contrast(viewer, pixels, tmp_path):
    path = write(tmp_path / "height.tif", pixels[:1, :, :500].astype(np.float32), nodata=0)
    (layer,) = opened(viewer, path)
    assert (layer.rgb, layer.multiscale) == (False, False)
    valid = pixels[0, :, :500][pixels[0, :, :500] > 0]
    assert layer.contrast_limits == np.percentile(valid, [2, 98], method="lower").tolist()
    assert np.asarray(layer.data).dtype == np.float32


def test_degrees_are_no_metres(viewer, tmp_path):
    path = write(tmp_path / "a.tif", np.ones((1, 9, 9), np.uint8), crs="EPSG:4326")
    (layer,) = opened(viewer, path)
    np.testing.assert_array_equal(layer.scale, [1, 1])
    assert {str(unit) for unit in layer.units} == {"pixel"}


def test_a_script_chooses_bands(viewer, pixels, tmp_path):
    path = write(tmp_path / "a.tif", pixels, nodata=0, colours=("red", "green", "blue", "nir"))
    data, meta, kind = raster_layer(path, "ndvi")
    assert (kind, meta["name"], meta["rgb"]) == ("image", "a (ndvi)", False)
    assert data[0].dtype == np.float32
    view = meta["metadata"][VIEW_KEY]
    assert isinstance(view, RasterView)
    assert view.choice.bands == (4, 1)
    assert raster_layer(path, (4, 1, 2))[1]["name"] == "a (bands 4, 1, 2)"


def test_a_label_geotiff_opens_as_labels_in_its_place(viewer, tmp_path):
    labels = np.zeros((30, 40), np.uint16)
    labels[3:9, 4:20] = 5
    grid = GeoGrid(labels.shape, TRANSFORM, "EPSG:32633")
    write_label_geotiff(tmp_path / "houses.geo.tif", labels, grid)
    (layer,) = viewer.open(str(tmp_path / "houses.geo.tif"), plugin="napari-segany")
    assert type(layer).__name__ == "Labels"
    np.testing.assert_array_equal(layer.data, labels)
    assert layer.metadata[GRID_KEY].transform == TRANSFORM


def test_a_large_raster_is_measured_in_an_overview(pixels, tmp_path, monkeypatch):
    path = write(tmp_path / "a.tif", pixels[:1], overviews=(2, 4))
    monkeypatch.setattr(geo_view, "MOST_MEASURED", 150 * 650)
    with rasterio.open(path, OVERVIEW_LEVEL=0) as overview:
        expected = np.percentile(overview.read(1), [2, 98], method="lower")
    assert raster_layer(path)[1]["contrast_limits"] == expected.tolist()


def test_micrographs_and_label_tiffs_are_left_to_others(pixels, tmp_path):
    tifffile.imwrite(tmp_path / "cells.tif", pixels[0])
    (tmp_path / "broken.tif").write_bytes(b"II")
    (tmp_path / "other.vrt").write_text("<something/>")
    labels = write(tmp_path / "cells.labels.tif", pixels[:1])
    for name in ("cells.tif", "broken.tif", "other.vrt", labels.name, "nowhere.tif"):
        assert get_geo_reader(str(tmp_path / name)) is None
    assert get_geo_reader([str(labels)]) is None


def test_napari_does_not_ask_which_reader_a_tiff_is_for(pixels, tmp_path):
    write(tmp_path / "town.tif", pixels)
    assert set(get_readers(tmp_path / "town.tif")) == {"napari"}
    assert set(get_readers(tmp_path / "town.vrt")) == {"napari-segany"}


def test_rasters_are_chosen_in_a_dialog(viewer, pixels, tmp_path, qtbot):
    paths = [str(write(tmp_path / f"{name}.tif", pixels[:1, :9, :9])) for name in "ab"]
    dialog = choose_rasters(viewer)
    qtbot.addWidget(dialog)
    assert not dialog.isModal()
    dialog.filesSelected.emit(paths)
    dialog.close()
    assert [layer.name for layer in viewer.layers] == ["a (band 1)", "b (band 1)"]


def test_a_world_file_is_a_place(viewer, pixels, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", pixels[0])
    (tmp_path / "a.tfw").write_text("0.5\n0\n0\n-0.5\n500000.25\n5399999.75\n")
    (layer,) = opened(viewer, tmp_path / "a.tif")
    assert layer.metadata[GRID_KEY].transform == TRANSFORM


def test_a_vrt_opens(viewer, pixels, tmp_path):
    source = write(tmp_path / "a.tif", pixels[:1, :50, :60])
    (tmp_path / "a.vrt").write_text(
        f"""<VRTDataset rasterXSize="60" rasterYSize="50"><SRS>EPSG:32633</SRS>
        <GeoTransform>500000, 0.5, 0, 5400000, 0, -0.5</GeoTransform><VRTRasterBand dataType="UInt16" band="1">
        <SimpleSource><SourceFilename relativeToVRT="1">{source.name}</SourceFilename><SourceBand>1</SourceBand>
        </SimpleSource></VRTRasterBand></VRTDataset>"""
    )
    (layer,) = viewer.open(str(tmp_path / "a.vrt"), plugin="napari-segany")
    np.testing.assert_array_equal(np.asarray(layer.data), pixels[0, :50, :60])


def test_without_the_extra_one_sentence_says_what_brings_it(pixels, tmp_path, monkeypatch):
    path = write(tmp_path / "a.tif", pixels)

    def missing(*args, **kwargs):
        raise GeoMissingError("rasterio")

    monkeypatch.setattr(geo_reader, "holds_labels", missing)
    read = get_geo_reader(str(path))
    assert read is not None
    with pytest.raises(ValueError, match=r"a\.tif: rasters .* need rasterio, .*pip install 'napari-segany\[geo\]'"):
        read(str(path))


def test_a_damaged_raster_is_one_sentence(pixels, tmp_path):
    path = write(tmp_path / "a.tif", pixels)
    path.write_bytes(path.read_bytes()[:5000])
    read = get_geo_reader(str(path))
    assert read is not None
    with pytest.raises(ValueError, match=r"a\.tif is damaged or no raster"):
        read(str(path))


def test_the_reader_is_found_without_importing_the_extra(monkeypatch, tmp_path):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        assert name.partition(".")[0] not in ("rasterio", "pyproj", "shapely", "pyogrio")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert get_geo_reader(str(tmp_path / "nothing.tif")) is None
