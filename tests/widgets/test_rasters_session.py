"""The dock of rasters: bands are chosen, objects go to vector files with a minimum area, errors are sentences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.layers import Labels

rasterio = pytest.importorskip("rasterio")
pyogrio = pytest.importorskip("pyogrio")
pytest.importorskip("shapely")

from napari_segany.formats.geo_pyramid import VIEW_KEY  # noqa: E402
from napari_segany.widgets.geo_metadata import inherited_place  # noqa: E402
from napari_segany.widgets.progress_runner import SynchronousRunner  # noqa: E402
from napari_segany.widgets.rasters_session import RastersSession  # noqa: E402

SHAPE = (30, 40)


@pytest.fixture
def town(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(1, 4000, (5, *SHAPE)).astype(np.uint16)
    path = tmp_path / "town.tif"
    profile = {"driver": "GTiff", "crs": "EPSG:32633", "transform": rasterio.Affine(2, 0, 500_000, 0, -2, 5_400_000)}
    with rasterio.open(path, "w", count=5, height=SHAPE[0], width=SHAPE[1], dtype="uint16", **profile) as file:
        file.write(pixels)
        for number, name in enumerate(("blue", "green", "red", "red edge", "nir"), 1):
            file.set_band_description(number, name)
    return path


@pytest.fixture
def rasters(viewer) -> RastersSession:
    return RastersSession(viewer, SynchronousRunner())


@pytest.mark.parametrize(
    ("text", "bands"),
    [("", (3, 2, 1)), ("False-colour", (5, 3, 2)), ("ndvi", (5, 3)), ("4", (4,)), ("5,4,1", (5, 4, 1))],
)
def test_bands_are_chosen_by_name_or_number(rasters, viewer, town, text, bands):
    rasters.bands = text
    rasters.open([town])
    (layer,) = viewer.layers
    assert layer.metadata[VIEW_KEY].choice.bands == bands
    assert rasters.message.startswith("Opened town")
    assert rasters.progress is None


def test_what_cannot_be_opened_is_told_and_stops_no_other(rasters, viewer, town, tmp_path):
    (tmp_path / "broken.tif").write_bytes(b"II")
    rasters.open([tmp_path / "nowhere.tif", tmp_path / "broken.tif", town])
    assert len(viewer.layers) == 1
    assert "nowhere.tif: No such file or directory." in rasters.message
    assert "broken.tif is damaged or no raster" in rasters.message
    for text, sentence in (("purple", "is neither a preset"), ("9", "has no band 9"), ("1,2", "2 bands were chosen")):
        rasters.bands = text
        rasters.open([town])
        assert sentence in rasters.message
    assert len(viewer.layers) == 1


@pytest.mark.filterwarnings("ignore::napari_segany.formats.geo_features.ReprojectedWarning")
def test_objects_are_saved_as_features_with_a_minimum_area(rasters, viewer, town, tmp_path):
    rasters.save(tmp_path / "nothing.gpkg")
    assert rasters.message == "there is no Labels layer; accept an object first, or choose a layer."
    rasters.open([town])
    labels = np.zeros(SHAPE, np.uint16)
    labels[2:5, 2:6], labels[10:12, 10:12] = 1, 2
    rasters.labels = viewer.add_layer(Labels(labels, metadata=inherited_place(viewer.layers[0].metadata)))
    rasters.min_area = 40
    rasters.save(tmp_path / "houses")
    assert rasters.message == "1 object is in houses.gpkg; 1 under the minimum area were left out."
    assert len(pyogrio.raw.read(tmp_path / "houses.gpkg")[2]) == 1
    rasters.min_area, rasters.measure = 0, "projected"
    rasters.save(tmp_path / "houses.geojson")
    assert "2 objects are in houses.geojson; it is in longitude and latitude of WGS 84" in rasters.message
    values = pyogrio.raw.read(tmp_path / "houses.geojson")[3]
    assert values[4].tolist() == pytest.approx([48, 16])
    rasters.save_prompts(tmp_path / "asked")
    assert rasters.message.startswith("there is no prompt to save")
    before = (tmp_path / "houses.gpkg").read_bytes()
    rasters.save(tmp_path / "houses")
    assert rasters.message.startswith("houses.gpkg exists already; give the whole name")
    assert (tmp_path / "houses.gpkg").read_bytes() == before


def test_the_dock_shows_its_session(viewer, qtbot, town, tmp_path):
    from napari_segany.widgets.rasters_widget import RastersWidget

    widget = RastersWidget(viewer, runner=SynchronousRunner())
    qtbot.addWidget(widget)
    assert not widget.save_button.isEnabled()
    widget.bands.setCurrentText("4,3,2")
    widget.session.open([town])
    assert viewer.layers[0].metadata[VIEW_KEY].choice.bands == (4, 3, 2)
    assert widget.note.text().startswith("Opened town")
    viewer.add_labels(np.ones(SHAPE, np.uint8))
    assert widget.save_button.isEnabled()
    widget.min_area.setValue(5)
    widget.save_button.click()
    widget.dialog.selectNameFilter("Shapefile (*.shp)")
    widget.dialog.filterSelected.emit("Shapefile (*.shp)")
    assert widget.dialog.defaultSuffix() == "shp"
    widget.dialog.fileSelected.emit(str(tmp_path / "all.gpkg"))
    assert (tmp_path / "all.gpkg").is_file()
    assert widget.session.min_area == 5
    widget.session.close()
