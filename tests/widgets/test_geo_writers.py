"""Labels with a place on Earth, through napari's own saving."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.layers import Image
from napari.utils.notifications import notification_manager

rasterio = pytest.importorskip("rasterio")
pyogrio = pytest.importorskip("pyogrio")
shapely = pytest.importorskip("shapely")

from napari_segany.formats.geo_features import ReprojectedWarning  # noqa: E402
from napari_segany.formats.geo_grid import GRID_KEY, GeoGrid  # noqa: E402
from napari_segany.formats.geo_pyramid import VIEW_KEY  # noqa: E402
from napari_segany.widgets import geo_place, labels_source  # noqa: E402
from napari_segany.widgets.everything_session import EverythingSession  # noqa: E402
from napari_segany.widgets.file_writers import NotSavedError  # noqa: E402
from napari_segany.widgets.geo_metadata import inherited_place  # noqa: E402
from napari_segany.widgets.geo_opening import open_rasters  # noqa: E402
from napari_segany.widgets.labels_source import FOUND_IN_KEY  # noqa: E402
from napari_segany.widgets.objects import OWNER_KEY  # noqa: E402
from napari_segany.widgets.progress_runner import SynchronousRunner  # noqa: E402

SHAPE = (60, 80)
TRANSFORM = (0.5, 0.0, 500_000.0, 0.0, -0.5, 5_400_000.0)
ENDINGS = [".geo.tif", ".gpkg", ".geojson", ".shp"]


pytestmark = pytest.mark.usefixtures("known_to_napari")


@pytest.fixture
def raster(viewer, tmp_path, monkeypatch):
    """A raster with nodata in its left ten columns, opened in the viewer."""
    for module in (geo_place, labels_source):
        monkeypatch.setattr(
            module, "shown_images", lambda: [layer for layer in viewer.layers if isinstance(layer, Image)]
        )
    path = tmp_path / "town.tif"
    pixels = np.full((1, *SHAPE), 7, np.int16)
    pixels[0, :, :10] = -1
    profile = {"driver": "GTiff", "crs": "EPSG:32633", "transform": rasterio.Affine(*TRANSFORM), "nodata": -1}
    with rasterio.open(path, "w", count=1, height=60, width=80, dtype="int16", **profile) as file:
        file.write(pixels)
    (layer,) = open_rasters(viewer, [path])
    return layer


@pytest.fixture
def labels() -> np.ndarray:
    labels = np.zeros(SHAPE, np.int32)
    labels[5:30, 5:30] = 2
    labels[10:20, 14:20] = 0
    labels[40:44, 50:60] = 5
    return labels


@pytest.fixture
def features() -> dict[str, list]:
    return {"index": [0, 2, 5], "predicted_iou": [np.nan, 0.91, 0.85], "category": ["", "house", "shed"]}


def test_a_geotiff_lies_on_its_raster(viewer, raster, labels, tmp_path):
    layer = viewer.add_labels(labels, name="houses", metadata={OWNER_KEY: raster.unique_id})
    path = str(tmp_path / "houses.geo.tif")
    assert layer.save(path) == [path]
    with rasterio.open(path) as file:
        assert file.crs.to_epsg() == 32633
        assert tuple(file.transform)[:6] == TRANSFORM
        expected = labels.copy()
        expected[:, :10] = 0
        np.testing.assert_array_equal(file.read(1), expected)


@pytest.mark.filterwarnings("ignore::napari_segany.formats.geo_features.ReprojectedWarning")
@pytest.mark.parametrize("ending", ENDINGS[1:])
def test_objects_are_features_with_their_scores(viewer, raster, labels, features, tmp_path, ending):
    layer = viewer.add_labels(labels, name="houses", features=features)
    (path,) = layer.save(str(tmp_path / f"houses{ending}"))
    meta, _, geometry, columns = pyogrio.raw.read(path)
    table = dict(zip(meta["fields"], columns, strict=True))
    assert table["id"].tolist() == [2, 5]
    assert table["class"].tolist() == ["house", "shed"]
    assert table["pred_iou" if ending == ".shp" else "predicted_iou"].tolist() == [0.91, 0.85]
    pixels = np.array([20 * 25 - 60, 40])
    np.testing.assert_allclose(table["area_m2"], pixels / 4 / 0.9996**2, rtol=1e-5)
    assert all(shapely.is_valid(shapely.from_wkb(geometry)))


def test_geojson_tells_that_it_changes_the_system(viewer, raster, labels, tmp_path):
    layer = viewer.add_labels(labels, name="houses")
    with pytest.warns(ReprojectedWarning, match="GeoPackage keeps"):
        layer.save(str(tmp_path / "houses.geojson"))


def test_the_place_goes_along_without_the_image(viewer, raster, labels, tmp_path):
    place = inherited_place(raster.metadata)
    assert set(place) == {GRID_KEY, VIEW_KEY}
    viewer.layers.remove(raster)
    (path,) = viewer.add_labels(labels, metadata=place).save(str(tmp_path / "houses.geo.tif"))
    with rasterio.open(path) as file:
        assert not file.read(1)[:, :10].any(), "the raster's file still tells what is nodata"


@pytest.mark.parametrize("is_placed", [True, False])
def test_of_an_image_that_napari_opened_the_file_tells_the_place(viewer, raster, labels, tmp_path, is_placed):
    viewer.layers.clear()
    path = tmp_path / "town.tif"
    if not is_placed:
        path = tmp_path / "cells.tif"
        tifffile.imwrite(path, np.zeros(SHAPE, np.uint8))
    viewer.open(str(path), plugin="napari")
    layer = viewer.add_labels(labels, name="houses")
    if not is_placed:
        with pytest.raises(NotSavedError, match="has no place on Earth"):
            layer.save(str(tmp_path / "houses.geo.tif"))
        return
    layer.save(str(tmp_path / "houses.geo.tif"))
    with rasterio.open(tmp_path / "houses.geo.tif") as file:
        assert tuple(file.transform)[:6] == TRANSFORM
        assert not file.read(1)[:, :10].any(), "nodata is known of the file too"


def test_accepted_objects_inherit_the_place(viewer, session, raster):
    session.choose_image(raster)
    session.add_point((20, 30))
    assert session.accept()
    (objects,) = [layer for layer in viewer.layers if layer.name == "objects"]
    assert objects.metadata[GRID_KEY] == raster.metadata[GRID_KEY]


def test_a_raster_that_is_gone_is_told(viewer, raster, labels, tmp_path):
    layer = viewer.add_labels(labels, metadata=inherited_place(raster.metadata))
    (tmp_path / "town.tif").unlink()
    (path,) = layer.save(str(tmp_path / "houses.geo.tif"))
    assert "is not there any more" in notification_manager.records[-1].message
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(1), labels)


@pytest.mark.parametrize("ending", ENDINGS)
def test_labels_without_a_place_are_told_what_to_do(viewer, labels, tmp_path, ending):
    layer = viewer.add_labels(labels, name="cells")
    with pytest.raises(NotSavedError, match="'cells' has no place on Earth: no raster of its size is open"):
        layer.save(str(tmp_path / f"cells{ending}"))
    assert list(tmp_path.iterdir()) == []


def test_two_rasters_alike_are_not_guessed_between(viewer, raster, labels, tmp_path):
    other = GeoGrid(SHAPE, (1, 0, 0, 0, 1, 0), "EPSG:32633")
    viewer.add_image(np.zeros(SHAPE), metadata={GRID_KEY: other})
    layer = viewer.add_labels(labels)
    with pytest.raises(NotSavedError, match="several rasters of its size"):
        layer.save(str(tmp_path / "a.gpkg"))
    layer.metadata = {OWNER_KEY: raster.unique_id}
    assert layer.save(str(tmp_path / "a.gpkg"))


@pytest.mark.parametrize("key", [OWNER_KEY, FOUND_IN_KEY])
def test_labels_of_an_image_that_is_closed_are_not_saved_at_another_ones_place(viewer, raster, labels, tmp_path, key):
    closed = viewer.add_image(np.zeros(SHAPE))
    layer = viewer.add_labels(labels, name="found", metadata={key: closed.unique_id})
    viewer.layers.remove(closed)
    for ending in ENDINGS:
        with pytest.raises(NotSavedError, match=r"'found' has no place on Earth: the image .* is not open any more"):
            layer.save(str(tmp_path / f"found{ending}"))
    (path,) = layer.save(str(tmp_path / "found.coco.json"))
    assert json.loads(Path(path).read_text())["images"][0]["file_name"] == "found"


@pytest.mark.parametrize("ending", ENDINGS)
def test_labels_of_an_image_without_a_place_get_none_of_a_raster_that_is_open_by_chance(
    viewer, raster, labels, tmp_path, ending
):
    cells = viewer.add_image(np.zeros(SHAPE), name="cells")
    layer = viewer.add_labels(labels, name="found", metadata={OWNER_KEY: cells.unique_id})
    with pytest.raises(NotSavedError, match=r"the image that it was found in \('cells'\) has none"):
        layer.save(str(tmp_path / f"found{ending}"))


def test_labels_of_an_image_that_was_made_of_a_raster_get_its_place(viewer, raster, labels, tmp_path):
    index = viewer.add_image(np.zeros(SHAPE), name="index", scale=raster.scale, units=raster.units)
    layer = viewer.add_labels(labels, metadata={OWNER_KEY: index.unique_id})
    (path,) = layer.save(str(tmp_path / "found.geo.tif"))
    with rasterio.open(path) as file:
        assert tuple(file.transform)[:6] == TRANSFORM


def test_everything_that_was_found_keeps_place_and_name_of_its_image(viewer, raster, discs, tmp_path):
    finder = EverythingSession(viewer, SynchronousRunner(), lambda model, device: discs.DiscFinder())
    finder.change(points_per_side=2, pred_iou_thresh=0.0, stability_score_thresh=0.0)
    finder.choose_image(raster)
    finder.run()
    found = finder.layer
    viewer.layers.remove(raster)
    other = GeoGrid(SHAPE, (1, 0, 0, 0, 1, 0), "EPSG:32633")
    viewer.add_image(np.zeros(SHAPE), name="other", metadata={GRID_KEY: other})
    (path,) = found.save(str(tmp_path / "found.geo.tif"))
    with rasterio.open(path) as file:
        assert tuple(file.transform)[:6] == TRANSFORM
    (path,) = found.save(str(tmp_path / "found.coco.json"))
    assert json.loads(Path(path).read_text())["images"][0]["file_name"] == "town.tif"


def test_everything_is_estimated_without_reading_the_raster(viewer, raster, discs, tmp_path):
    finder = EverythingSession(viewer, SynchronousRunner(), lambda model, device: discs.DiscFinder())
    (tmp_path / "town.tif").unlink()
    finder.choose_image(raster)
    finder.change(points_per_side=4)
    assert finder.estimate().points == 16


def test_labels_from_a_file_go_back_to_their_place(viewer, raster, labels, tmp_path):
    (path,) = viewer.add_labels(labels, metadata={OWNER_KEY: raster.unique_id}).save(str(tmp_path / "a.geo.tif"))
    (again,) = viewer.open(path, plugin="napari-segany")
    (second,) = again.save(str(tmp_path / "b.geo.tif"))
    with rasterio.open(path) as one, rasterio.open(second) as other:
        np.testing.assert_array_equal(one.read(1), other.read(1))
        assert one.profile == other.profile
