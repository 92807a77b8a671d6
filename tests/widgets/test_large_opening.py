"""Large TIFF and zarr files as layers of which only what is shown is read."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialogButtonBox, QListView

from napari_segany.engine import lazy_opening
from napari_segany.formats.pixel_size import PixelSize, tiff_resolution
from napari_segany.formats.reduced_level import ReducedLevel
from napari_segany.widgets.large_opening import choose_large, choose_large_zarr, open_large
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession

PIXELS = np.random.default_rng(0).integers(9, 3000, (700, 500)).astype(np.uint16)


@pytest.fixture
def kept(monkeypatch):
    monkeypatch.setattr(lazy_opening, "KEPT_SIDE", 200)


def test_a_tiff_opens_with_levels_limits_and_the_size_of_its_pixels(viewer, tmp_path, kept):
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, PIXELS, tile=(64, 64), compression="zlib", **tiff_resolution(PixelSize(0.5, 0.25)))
    open_large(viewer, [path])
    (layer,) = viewer.layers
    assert (layer.name, layer.multiscale, layer.rgb) == ("slide", True, False)
    assert isinstance(layer.data[0], ReducedLevel)
    np.testing.assert_array_equal(np.asarray(layer.data[0]), PIXELS)
    assert [level.shape for level in layer.data] == [(700, 500), (350, 250), (175, 125), (88, 63)]
    assert tuple(layer.contrast_limits) == (PIXELS.min(), PIXELS.max())
    np.testing.assert_allclose(layer.scale, (0.5, 0.25))
    assert {str(unit) for unit in layer.units} == {"micrometer"}
    assert layer.metadata["napari_segany_file"] == str(path)


def test_colours_and_zarrs_open(viewer, tmp_path, kept):
    colours = np.random.default_rng(1).integers(0, 255, (300, 400, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "colours.tif", colours, tile=(64, 64), photometric="rgb")
    zarr.open_array(tmp_path / "grey.zarr", mode="w", shape=PIXELS.shape, chunks=(64, 64), dtype=PIXELS.dtype)[:] = (
        PIXELS
    )
    open_large(viewer, [tmp_path / "colours.tif", tmp_path / "grey.zarr"])
    rgb, grey = viewer.layers
    assert (rgb.rgb, grey.rgb) == (True, False)
    np.testing.assert_array_equal(np.asarray(rgb.data[0]), colours)
    np.testing.assert_array_equal(grey.data[0][600:, 400:], PIXELS[600:, 400:])


def test_a_file_that_is_not_opened_so_stops_no_other(viewer, tmp_path):
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((5, 20, 30), np.uint8), photometric="minisblack")
    tifffile.imwrite(tmp_path / "plane.tif", PIXELS)
    with pytest.raises(ValueError, match=r"^stack\.tif cannot be read in parts: it is a stack along "):
        open_large(viewer, [tmp_path / "stack.tif", tmp_path / "plane.tif"])
    assert [layer.name for layer in viewer.layers] == ["plane"]
    assert not viewer.layers[0].multiscale, "it is not large"


def test_a_raster_keeps_its_place(viewer, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    place = rasterio.Affine(0.5, 0, 5e5, 0, -0.5, 5.4e6)
    options = {"driver": "GTiff", "width": 500, "height": 700, "count": 1, "dtype": "uint16", "crs": "EPSG:32633"}
    with rasterio.open(tmp_path / "town.tif", "w", transform=place, **options) as raster:
        raster.write(PIXELS, 1)
    open_large(viewer, [tmp_path / "town.tif"])
    assert viewer.layers[0].metadata["napari_segany_grid"].transform == tuple(place)[:6]


def test_a_click_encodes_one_window_and_reads_little(viewer, tmp_path, tiles, monkeypatch):
    side = 6000
    image = np.zeros((side, side), np.uint8)
    rows, cols = np.indices((81, 81)) - 40
    image[4960:5041, 3960:4041] = np.where(np.hypot(rows, cols) <= 40, 200, 0)
    tifffile.imwrite(tmp_path / "large.tif", image, tile=(512, 512))
    open_large(viewer, [tmp_path / "large.tif"])
    (layer,) = viewer.layers
    predictor = tiles.ComponentPredictor(side=1024)
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: predictor)
    session.choose_image(layer)
    viewer.scene.camera.zoom = 1
    session.add_point((5000, 4000))
    assert predictor.encoded == [(1024, 1024)]
    np.testing.assert_array_equal(session.candidates[0].mask, image > 0)


def test_files_are_chosen_in_a_dialog_and_read_in_the_background(viewer, tmp_path, qtbot, kept):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, tile=(64, 64))
    dialog = choose_large(viewer)
    qtbot.addWidget(dialog)
    assert not dialog.isModal()
    dialog.filesSelected.emit([str(tmp_path / "a.tif")])
    dialog.close()
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=60_000)
    assert viewer.layers[0].multiscale


def test_a_zarr_is_a_folder_that_is_chosen_in_a_dialog_of_its_own(viewer, tmp_path, qtbot):
    group = zarr.open_group(tmp_path / "brain.ome.zarr", mode="w", zarr_format=2)
    group.create_array("0", shape=PIXELS.shape, chunks=(64, 64), dtype=PIXELS.dtype)[:] = PIXELS
    levels = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.5, 0.25]}]}]
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": levels}]
    dialog = choose_large_zarr(viewer)
    qtbot.addWidget(dialog)
    assert not dialog.isModal()
    choose_folder(qtbot, dialog, tmp_path / "brain.ome.zarr")
    assert not dialog.isVisible()
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=60_000)
    (layer,) = viewer.layers
    np.testing.assert_array_equal(np.asarray(layer.data), PIXELS)
    np.testing.assert_allclose(layer.scale, (0.5, 0.25))


def test_a_folder_that_is_no_zarr_is_told_in_a_sentence(viewer, tmp_path):
    (tmp_path / "slides").mkdir()
    with pytest.raises(ValueError, match=r"^slides is a folder but no zarr; choose one with a zarr\.json"):
        open_large(viewer, [tmp_path / "slides"])
    assert not viewer.layers


def choose_folder(qtbot, dialog, folder) -> None:
    """Choose the only folder within another, with the mouse."""
    dialog.setDirectory(str(folder.parent))
    listed = dialog.findChild(QListView, "listView")
    qtbot.waitUntil(lambda: listed.model().rowCount(listed.rootIndex()) == 1)
    place = listed.visualRect(listed.model().index(0, 0, listed.rootIndex())).center()
    qtbot.mouseClick(listed.viewport(), Qt.LeftButton, pos=place)
    qtbot.mouseClick(dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.Open), Qt.LeftButton)
