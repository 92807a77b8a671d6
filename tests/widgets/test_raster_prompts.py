"""Prompts on rasters: from vector files, never on nodata, attributes carried, saved as vectors."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer

rasterio = pytest.importorskip("rasterio")
pyogrio = pytest.importorskip("pyogrio")
pyproj = pytest.importorskip("pyproj")
shapely = pytest.importorskip("shapely")

from napari_segany.engine import tiling  # noqa: E402
from napari_segany.engine.progress import drain  # noqa: E402
from napari_segany.formats.geo_features import Features, write_features  # noqa: E402
from napari_segany.formats.geo_view import view_steps  # noqa: E402
from napari_segany.widgets.drafts import Prompts  # noqa: E402
from napari_segany.widgets.geo_reader import raster_layer  # noqa: E402
from napari_segany.widgets.geo_writers import write_geopackage, write_prompt_geopackage  # noqa: E402
from napari_segany.widgets.preview_asker import preview_steps  # noqa: E402
from napari_segany.widgets.progress_runner import SynchronousRunner  # noqa: E402
from napari_segany.widgets.raster_data import RasterData, region_on_data  # noqa: E402
from napari_segany.widgets.session import PromptSession  # noqa: E402

PLACE = (
    rasterio.Affine.translation(500_000, 5_400_000) * rasterio.Affine.rotation(25) * rasterio.Affine.scale(0.5, -0.5)
)
SHAPE = (80, 120)


@pytest.fixture
def town(tmp_path: Path) -> Path:
    """A turned raster with nodata from column 90 on."""
    pixels = np.random.default_rng(0).integers(50, 250, (1, *SHAPE)).astype(np.uint8)
    pixels[:, :, 90:] = 0
    path = tmp_path / "town.tif"
    profile = {"driver": "GTiff", "crs": "EPSG:32633", "transform": PLACE, "nodata": 0}
    with rasterio.open(path, "w", count=1, height=SHAPE[0], width=SHAPE[1], dtype="uint8", **profile) as file:
        file.write(pixels)
    return path


@pytest.fixture
def image(viewer, town):
    return viewer.add_layer(Layer.create(*raster_layer(town)))


def in_degrees(geometry):
    """Pixels (row, col) of a geometry's (y, x), integers at pixel centres, as longitude and latitude."""
    to_degrees = pyproj.Transformer.from_crs(32633, 4326, always_xy=True).transform
    return shapely.transform(
        geometry, lambda xy: np.stack(to_degrees(*np.stack(PLACE @ tuple(np.stack(xy.T + 0.5)))), axis=1)
    )


def written(path: Path, geometries, kind="Unknown", **columns) -> Path:
    array = np.array([in_degrees(one) for one in geometries], object)
    values = {name: np.array(column, object) for name, column in columns.items()}
    write_features(path, Features(array, values, "EPSG:4326"), kind=kind, resolution=1e-7)
    return path


def prompts_of(session, label):
    return json.loads(session.objects.row(label)["prompts"])


def test_features_in_degrees_become_objects_with_their_attributes(session, image, tmp_path):
    session.choose_image(image)
    features = [
        shapely.Point(20, 30),
        shapely.box(29.5, 39.5, 45.5, 60.5),
        shapely.Point(400, 30),  # outside
        shapely.Point(100, 30),  # on nodata
        shapely.Polygon([(60, 10), (75, 14), (66, 30)]),
    ]
    path = written(tmp_path / "asked.geojson", features, owner=["Ada", "Bob", "Eve", "Dan", "Flo"])
    session.one_each.from_file(path)
    assert session.objects.labels == (1, 2, 3)
    assert [prompts_of(session, label)["attributes"]["owner"] for label in (1, 2, 3)] == ["Ada", "Bob", "Flo"]
    assert session.objects.layer.data[30, 20] == 1
    assert prompts_of(session, 2)["box"] == pytest.approx([39.5, 29.5, 60.5, 45.5], abs=0.02)
    assert prompts_of(session, 3)["mask"]["label"] == 5
    outside, nodata = session.one_each.left_out
    assert outside == "feature 3: it lies outside of the raster"
    assert nodata == "feature 4: it lies where the raster has no data"
    assert outside in session.status

    objects = session.objects.layer.as_layer_data_tuple()
    target = str(tmp_path / "found.gpkg")
    assert write_geopackage(target, [objects, image.as_layer_data_tuple()]) == [target]
    meta, _, _, values = pyogrio.raw.read(target)
    assert dict(zip(meta["fields"], values, strict=True))["owner"].tolist() == ["Ada", "Bob", "Flo"]

    target = str(tmp_path / "prompts.prompts.gpkg")
    assert write_prompt_geopackage(target, [objects]) == [target]
    session.undo()
    assert session.objects.labels == ()
    session.one_each.from_file(target)
    assert [prompts_of(session, label)["attributes"]["owner"] for label in session.objects.labels] == [
        "Ada",
        "Bob",
        "Flo",
    ]


def test_points_alone_are_asked_together(session, image, predictor, tmp_path, monkeypatch):
    session.choose_image(image)
    path = written(tmp_path / "points.gpkg", [shapely.Point(20, 30), shapely.Point(50, 60)], "Point")
    asked = []
    monkeypatch.setattr(session.one_each, "_begin", lambda prompts, own=None: asked.append(prompts))
    session.one_each.from_file(path)
    assert asked[0].kind == "point"
    np.testing.assert_allclose(next(iter(asked[0].planes.values())), [(30, 20), (60, 50)], atol=0.02)


def test_files_that_will_not_do_are_told_and_change_nothing(session, viewer, image, tmp_path):
    session.choose_image(image)
    far = written(tmp_path / "far.geojson", [shapely.Point(4000, 30)], "Point")
    (tmp_path / "broken.gpkg").write_bytes(b"no")
    for name, sentence in (
        (far, "feature 1: it lies outside of the raster"),
        (tmp_path / "broken.gpkg", "broken.gpkg is damaged or no vector file"),
        (tmp_path / "nowhere.shp", "nowhere.shp cannot be read: No such file or directory"),
    ):
        session.one_each.attempt("from_file", name)
        assert sentence in session.status
    session.choose_image(viewer.add_image(np.zeros((30, 30), np.uint8)))
    session.one_each.attempt("from_file", far)
    assert "has no place on Earth" in session.status
    assert session.objects.layer is None


def test_nothing_is_asked_or_found_on_nodata(session, image):
    session.choose_image(image)
    session.add_point((30, 100))
    assert session.candidates == ()
    assert "town.tif has no data at row 30, column 100" in session.status
    session.clear_prompts()
    session.add_point((30, 88))
    assert session.candidates[0].mask.any()
    assert not any(one.mask[:, 90:].any() for one in session.candidates)
    session.clear_prompts()
    session.add_box((10, 95, 30, 110))
    assert session.candidates == ()
    assert "has no data in the box" in session.status


def test_on_a_large_raster_a_chosen_mask_is_refined_and_comes_back_with_a_session(
    session, image, predictor, tmp_path, monkeypatch
):
    monkeypatch.setattr(tiling, "LARGE_SIDE", 100)
    session.choose_image(image)
    session.add_point((30, 86))
    session.select_candidate(1)
    session.add_point((30, 87))
    assert predictor.asked[-1]["mask"][0, 0] == pytest.approx(1.1)
    session.add_point((30, 100), label=0)
    assert "has no data" in session.status
    session.undo()
    session.files.save(tmp_path / "one.json")
    again = PromptSession(ViewerModel(), SynchronousRunner(), lambda model, device: predictor)
    again.files.open(tmp_path / "one.json")
    assert predictor.asked[-1]["mask"][0, 0] == pytest.approx(len(predictor.asked) - 1 + 0.1)
    np.testing.assert_array_equal(again.candidates[0].mask, session.candidates[0].mask)
    assert not again.candidates[0].mask[:, 90:].any()


def test_nothing_is_asked_or_found_where_an_index_is_undefined(session, viewer, tmp_path):
    pixels = np.random.default_rng(0).integers(50, 250, (2, *SHAPE)).astype(np.uint8)
    pixels[:, :, 90:] = 0  # no nodata: 0 is a value of each band
    profile = {"driver": "GTiff", "crs": "EPSG:32633", "transform": PLACE}
    with rasterio.open(tmp_path / "a.tif", "w", count=2, height=80, width=120, dtype="uint8", **profile) as file:
        file.write(pixels)
        for number, name in enumerate(("red", "nir"), 1):
            file.set_band_description(number, name)
    image = viewer.add_layer(Layer.create(*raster_layer(tmp_path / "a.tif", "ndvi")))
    session.choose_image(image)
    session.add_point((30, 100))
    assert session.candidates == ()
    assert "a.tif has no data at row 30, column 100" in session.status
    session.clear_prompts()
    session.add_point((30, 88))
    assert session.candidates[0].mask.any()
    assert not any(one.mask[:, 90:].any() for one in session.candidates)
    region = region_on_data(image, lambda plane: None)(None)
    assert region[:, :90].all()
    assert not region[:, 90:].any()


def test_nothing_is_previewed_on_nodata(town):
    data = RasterData(drain(view_steps(town), lambda step: None))
    assert data.allows(Prompts(((30.0, 20.0),), (1,)))
    assert not data.allows(Prompts(((30.0, 20.0), (30.0, 100.0)), (1, 0)))
    question = SimpleNamespace(data=data, prompts=Prompts(((30.0, 100.0),), (1,)))
    assert drain(preview_steps(question)) is None
