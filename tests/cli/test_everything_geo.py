"""Rasters with a place on Earth on the command line: bands, nodata, and objects that come back on the map."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

rasterio = pytest.importorskip("rasterio")
pyogrio = pytest.importorskip("pyogrio")
pytest.importorskip("shapely")

from napari_segany.cli.main import main  # noqa: E402
from napari_segany.engine.batch.raster_source import RasterSource  # noqa: E402
from napari_segany.engine.batch.settings import BatchSettings  # noqa: E402
from napari_segany.engine.large.inputs import file_on_demand, limits_in_tiles  # noqa: E402
from napari_segany.formats.record import read_records  # noqa: E402

LOOSE = (
    "--points-per-side", 2, "--pred-iou-thresh", 0, "--stability-score-thresh", 0, "--max-mask-area-fraction", "none",
)  # fmt: skip
TURNED = rasterio.Affine(0.4, 0.3, 500_000.0, 0.3, -0.4, 5_400_000.0)


def everything(*arguments: object) -> int:
    return main(["everything", *(str(argument) for argument in arguments)])


@pytest.fixture
def town(tmp_path: Path) -> Path:
    """A turned raster of five interleaved bands, with nodata at the left."""
    pixels = np.random.default_rng(0).integers(300, 4000, (5, 40, 60)).astype(np.uint16)
    pixels[:, :, :9] = 0
    path = tmp_path / "town.tif"
    profile = {"driver": "GTiff", "crs": "EPSG:32633", "transform": TURNED, "nodata": 0, "interleave": "pixel"}
    with rasterio.open(path, "w", count=5, height=40, width=60, dtype="uint16", **profile) as file:
        file.write(pixels)
        for number, name in enumerate(("blue", "green", "red", "red edge", "nir"), 1):
            file.set_band_description(number, name)
    return path


@pytest.mark.filterwarnings("always::napari_segany.formats.geo_features.ReprojectedWarning")
@pytest.mark.parametrize("tiles", ["never", "always"])
def test_objects_come_back_on_the_map_and_never_on_nodata(town, checkpoint, tmp_path, capsys, tiles):
    out = tmp_path / "out"
    arguments = (
        town, "-o", out, "--model", checkpoint, *LOOSE, "--tiles", tiles, "--bands", "false-colour",
        "--outputs", "labels,csv,gpkg,geojson,shp",
    )  # fmt: skip
    assert everything(*arguments) == 0
    assert "and not in WGS 84 / UTM zone 33N" in capsys.readouterr().err, "GeoJSON changes the coordinates"
    with rasterio.open(out / "labels/town.tif") as file:
        labels = file.read(1)
        assert (file.crs.to_epsg(), file.transform) == (32633, TURNED)
    assert labels.any()
    assert not labels[:, :9].any()
    numbers = set(range(1, labels.max() + 1))
    for ending in ("gpkg", "geojson", "shp"):
        meta, _, _, values = pyogrio.raw.read(out / f"vectors/town.{ending}")
        assert set(values[list(meta["fields"]).index("id")]) == numbers
        assert meta["crs"] == ("EPSG:4326" if ending == "geojson" else "EPSG:32633")

    assert everything(*arguments) == 0
    assert ("of them complete before" if tiles == "never" else "of them kept from before") in capsys.readouterr().out
    assert everything(*arguments, "--min-area", 1e9) == 0
    assert len(pyogrio.raw.read(out / "vectors/town.gpkg")[2]) == 0


def test_a_raster_with_next_to_no_data_has_no_objects(checkpoint, tmp_path, capsys):
    pixels = np.zeros((1, 40, 60), np.uint16)
    pixels[:, :4, :4] = np.arange(100, 116).reshape(4, 4)  # no point of two by two lies there
    profile = {"driver": "GTiff", "crs": "EPSG:32633", "transform": TURNED, "nodata": 0}
    with rasterio.open(tmp_path / "margin.tif", "w", count=1, height=40, width=60, dtype="uint16", **profile) as file:
        file.write(pixels)
    assert everything(tmp_path / "margin.tif", "-o", tmp_path / "out", "--model", checkpoint, *LOOSE) == 0
    assert "1 of 1 image, 0 masks" in capsys.readouterr().out
    with rasterio.open(tmp_path / "out/labels/margin.tif") as file:
        assert not file.read(1).any()


def test_limits_of_choice_are_intensities_of_the_file_in_colours_too(town, checkpoint, tmp_path):
    with rasterio.open(town) as file:
        bands = np.moveaxis(file.read((3, 2, 1)), 0, -1)
    expected = np.clip((bands.astype(float) - 300) * 255 / 3000, 0, 255)
    line = (town, "-o", tmp_path, "--bands", "3,2,1", "--contrast-limits", "300,3300", "--outputs", "yolo")
    assert everything(*line, "--model", checkpoint, *LOOSE) == 0
    with Image.open(next(tmp_path.rglob("town.png"))) as picture:
        np.testing.assert_allclose(np.asarray(picture), expected, atol=0.51)

    settings = BatchSettings(contrast_limits=(300, 3300))
    image, _ = file_on_demand("town", RasterSource(town, "town.tif", (3, 2, 1)), tmp_path, settings)
    np.testing.assert_allclose(image.open().read((0, 0, 40, 60)), expected, atol=0.51)
    assert limits_in_tiles(image, settings) is None
    image, _ = file_on_demand("town", RasterSource(town, "town.tif", 4), tmp_path, settings)
    assert limits_in_tiles(image, settings) == (300, 3300)


@pytest.fixture
def fields(tmp_path: Path) -> Path:
    """Red and near infrared without a value for nodata, both 0 left of column 20."""
    pixels = np.random.default_rng(0).integers(300, 4000, (2, 40, 60)).astype(np.uint16)
    pixels[:, :, :20] = 0
    path = tmp_path / "fields.tif"
    profile = {"driver": "GTiff", "crs": "EPSG:32633", "transform": TURNED}
    with rasterio.open(path, "w", count=2, height=40, width=60, dtype="uint16", **profile) as file:
        file.write(pixels)
        for number, name in enumerate(("red", "nir"), 1):
            file.set_band_description(number, name)
    return path


@pytest.mark.parametrize("tiles", ["never", "always"])
def test_nothing_is_found_where_an_index_is_undefined(fields, checkpoint, tmp_path, tiles):
    line = (fields, "-o", tmp_path / "out", "--model", checkpoint, *LOOSE, "--tiles", tiles, "--bands", "ndvi")
    assert everything(*line, "--outputs", "labels") == 0
    with rasterio.open(tmp_path / "out/labels/fields.tif") as file:
        labels = file.read(1)
    assert labels.any()
    assert not labels[:, :20].any()


@pytest.mark.parametrize(
    ("bands", "column", "question"),
    [
        ("false-colour", 4, ("--point", "20,4")),
        ("false-colour", 4, ("--point", "20,40", "--background", "20,4")),
        ("false-colour", 4, ("--point", "20,40", "--box", "10,1,30,7")),
        ("ndvi", 12, ("--point", "20,12")),
    ],
)
def test_a_question_on_nodata_is_refused(town, fields, checkpoint, tmp_path, capsys, bands, column, question):
    image, out = fields if bands == "ndvi" else town, tmp_path / "out.tif"
    line = ["segment", image, *question, "--bands", bands, "--model", checkpoint, "-o", out]
    assert main([str(word) for word in line]) == 2
    error = capsys.readouterr().err
    assert f"{image.name} has no data " in error
    assert "the box (10, 1, 30, 7)" in error if "--box" in question else f"the point (20, {column})" in error
    assert not out.exists()
    line[2:-6] = ["--point", "20,40", "--box", "10,1,30,50"]
    assert main([str(word) for word in line]) == 0, "a box may hold some nodata"


@pytest.mark.parametrize("table", ["row,col\n20,4\n20,40\n5,8\n", "axis-0,axis-1\n20,4\n20,40\n5,8\n"])
def test_lines_on_nodata_are_told_and_left_out(town, checkpoint, tmp_path, capsys, table):
    path, out = tmp_path / "points.csv", tmp_path / "out.json"
    path.write_text(table)
    line = [str(word) for word in ("segment", town, "--csv", path, "--model", checkpoint, "-o", out)]
    assert main(line) == 0
    printed = capsys.readouterr()
    for number in (1, 3):
        assert f"left out: object {number} of points.csv: it lies where the raster has no data" in printed.err
    assert [record.prompt["points"] for record in read_records(out)] == [[[20, 40]]]
    path.write_text("row_min,col_min,row_max,col_max\n5,1,20,7\n")
    assert main(line) == 2
    assert "points.csv asks for nothing on the image" in capsys.readouterr().err


def test_features_of_a_vector_file_become_objects_with_their_attributes(town, checkpoint, tmp_path, capsys):
    import shapely

    from napari_segany.formats.geo_features import Features, write_features

    places = [TURNED @ position for position in ((30.5, 20.5), (4.5, 20.5), (900, 20), (45.5, 30.5))]
    array = np.array([shapely.Point(place) for place in places], object)
    names = {"name": np.array(["Ada", "Bob", "Eve", "Dan"], object)}
    write_features(tmp_path / "asked.gpkg", Features(array, names, "EPSG:32633"), kind="Point", resolution=0.5)
    out = tmp_path / "out.gpkg", tmp_path / "out.tif"
    line = ["segment", town, "--csv", tmp_path / "asked.gpkg", "--model", checkpoint, "-o", out[0], "-o", out[1]]
    assert main([str(word) for word in line]) == 0
    printed = capsys.readouterr()
    assert "left out: feature 2: it lies where the raster has no data" in printed.err
    assert "left out: feature 3: it lies outside of the raster" in printed.err
    assert "objects of 2 lines of asked.gpkg" in printed.out
    meta, _, _, values = pyogrio.raw.read(out[0])
    assert set(values[list(meta["fields"]).index("name")]) <= {"Ada", "Dan"}
    with rasterio.open(out[1]) as file:
        assert (file.transform, file.read(1)[:, :9].max()) == (TURNED, 0)
    assert main([str(word) for word in [*line[:-4], "--bands", "7", "-o", out[0]]]) == 2
    assert "has no band 7" in capsys.readouterr().err


def test_a_library_that_only_vectors_need_is_missed_before_the_work(town, tmp_path, capsys, monkeypatch):
    from napari_segany.formats import geo_extra

    real = geo_extra.import_module

    def refuse(name):
        if name == "pyogrio":
            raise ModuleNotFoundError(name)
        return real(name)

    monkeypatch.delitem(sys.modules, "pyogrio")
    monkeypatch.setattr(geo_extra, "import_module", refuse)
    line = ("segment", town, "--point", "20,40", "--model", tmp_path / "no-model.pth", "-o", tmp_path / "out.gpkg")
    assert main([str(word) for word in line]) == 2
    assert "need pyogrio, which is not installed; `pip install" in capsys.readouterr().err


def test_a_file_with_ground_control_points_alone_is_an_image_like_any_other(tmp_path):
    from rasterio.control import GroundControlPoint

    from napari_segany.formats.geo_recognition import has_place, is_readable_raster

    path = tmp_path / "drone.tif"
    corners = [(0, 0, 10.0, 45.0), (0, 60, 10.1, 45.0), (40, 0, 10.0, 44.9), (40, 60, 10.1, 44.9)]
    points = [GroundControlPoint(*corner) for corner in corners]
    profile = {"driver": "GTiff", "gcps": points, "crs": "EPSG:4326"}
    with rasterio.open(path, "w", count=1, height=40, width=60, dtype="uint8", **profile) as file:
        file.write(np.ones((1, 40, 60), np.uint8))
    assert has_place(path)
    assert not is_readable_raster(path)


def test_vectors_are_asked_for_besides_all_others(town, checkpoint, tmp_path):
    out = tmp_path / "out"
    assert everything(town, "-o", out, "--model", checkpoint, *LOOSE, "--outputs", "all,gpkg") == 0
    assert (out / "coco.json").exists()
    assert (out / "vectors/town.gpkg").exists()


def test_what_rasters_cannot_give_is_told(town, checkpoint, image, tmp_path, capsys):
    assert everything(town, "-o", tmp_path / "a", "--model", checkpoint, *LOOSE, "--bands", "1,9,2") == 1
    assert "town.tif has no band 9; its bands are 1 to 5" in capsys.readouterr().err
    assert everything(image, "-o", tmp_path / "b", "--model", checkpoint, *LOOSE, "--outputs", "labels,gpkg") == 1
    assert "has no place on Earth that is known here, which gpkg needs" in capsys.readouterr().err
    assert everything(town, "-o", tmp_path / "c", "--bands", "4,x") == 2
    assert "is neither a preset nor one number or three" in capsys.readouterr().err
    assert everything(image, "-o", tmp_path / "d", "--bands", "ndvi") == 2
    assert "none of the inputs is a raster with a place on Earth, whose --bands could be" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::napari_segany.formats.geo_features.ReprojectedWarning")
def test_a_raster_that_does_not_say_where_on_earth_it_is_costs_itself_alone(town, checkpoint, tmp_path, capsys):
    site = tmp_path / "site.tif"
    pixels = np.random.default_rng(1).integers(0, 255, (1, 40, 60)).astype(np.uint8)
    profile = {"driver": "GTiff", "crs": 'LOCAL_CS["site",UNIT["metre",1]]', "transform": TURNED}
    with rasterio.open(site, "w", count=1, height=40, width=60, dtype="uint8", **profile) as file:
        file.write(pixels)
    line = (site, town, "--model", checkpoint, *LOOSE)
    for tiles in ("never", "always"):
        out = tmp_path / tiles
        assert everything(*line, "-o", out, "--outputs", "labels,gpkg", "--tiles", tiles) == 1
        assert "site.tif: site is on no ellipsoid; choose the measure 'projected'" in capsys.readouterr().err
        assert (out / "vectors/town.gpkg").exists()
    measured = ("--measure", "projected")
    assert everything(*line, "-o", tmp_path / "b", "--outputs", "gpkg", *measured) == 0
    assert everything(*line, "-o", tmp_path / "c", "--outputs", "geojson", *measured) == 1
    assert "site does not say where on Earth it is; choose GeoPackage or Shapefile" in capsys.readouterr().err
    asked = ("segment", site, "--point", "20,30", "--model", checkpoint, "-o")
    assert main([str(word) for word in (*asked, tmp_path / "one.gpkg")]) == 0
    assert main([str(word) for word in (*asked, tmp_path / "one.geojson")]) == 2
    assert "choose GeoPackage or Shapefile" in capsys.readouterr().err
