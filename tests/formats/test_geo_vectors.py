"""Objects as vector files, with pyogrio, shapely, pyproj and rasterio as judges."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest

rasterio = pytest.importorskip("rasterio")
pyproj = pytest.importorskip("pyproj")
shapely = pytest.importorskip("shapely")
pyogrio = pytest.importorskip("pyogrio")
from rasterio import features as rasterio_features  # noqa: E402

from napari_segany.formats.geo_features import DRIVERS, ReprojectedWarning  # noqa: E402
from napari_segany.formats.geo_grid import GeoGrid  # noqa: E402
from napari_segany.formats.geo_raster import read_raster  # noqa: E402
from napari_segany.formats.geo_vectors import VectorObject, VectorSettings, write_vectors  # noqa: E402
from napari_segany.formats.labels import run_lengths_by_label  # noqa: E402
from napari_segany.formats.record import MaskRecord  # noqa: E402

SIZE = (60, 80)


@pytest.fixture
def labels() -> np.ndarray:
    """A square with a hole, its neighbour, an object of two parts and a single pixel."""
    labels = np.zeros(SIZE, np.uint8)
    labels[5:20, 5:30] = 1
    labels[8:12, 8:12] = 0
    labels[20:30, 5:30] = 2
    labels[40:44, 50:60] = labels[46:50, 50:60] = 3
    labels[55, 70] = 9
    return labels


@pytest.fixture
def objects(labels) -> list[VectorObject]:
    scores = {1: (0.9, 0.95), 2: (0.8, None), 3: (None, None), 9: (0.5, 0.6)}
    return [
        VectorObject(
            MaskRecord.from_mask(rle, predicted_iou=scores[number][0], stability_score=scores[number][1]),
            number,
            "Straße" if number < 3 else "",
        )
        for number, rle in run_lengths_by_label(labels).items()
    ]


@pytest.fixture
def grid(places) -> GeoGrid:
    return GeoGrid(SIZE, places["projected"][1], places["projected"][0])


def written(path, objects, grid, settings=None, **raster):
    """Write objects quietly and return the report."""
    steps = write_vectors(path, objects, grid, settings, **raster)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReprojectedWarning)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value


def read(path):
    """Read a vector file with pyogrio: its table, geometries and reference system."""
    meta, _, geometry, columns = pyogrio.raw.read(path)
    return dict(zip(meta["fields"], columns, strict=True)), shapely.from_wkb(geometry), meta["crs"]


@pytest.mark.parametrize("ending", list(DRIVERS))
def test_every_format_gives_the_masks_back(ending, objects, labels, place, places, tmp_path):
    crs, transform = places[place]
    path = tmp_path / f"objects{ending}"
    report = written(path, objects, GeoGrid(SIZE, transform, crs))
    assert report.written == (1, 2, 3, 9)
    columns, geometries, found_crs = read(path)
    assert columns["id"].tolist() == [1, 2, 3, 9]
    assert all(shapely.is_valid(geometries))
    forward = pyproj.Transformer.from_crs(found_crs, crs, always_xy=True).transform
    for number, geometry in zip(columns["id"], geometries, strict=True):
        here = shapely.transform(geometry, lambda xy: np.stack(forward(*xy.T), axis=1))
        filled = rasterio_features.rasterize([here], out_shape=SIZE, transform=rasterio.Affine(*transform)) > 0
        np.testing.assert_array_equal(filled, labels == number)
    assert shapely.get_num_geometries(geometries).tolist() == [1, 1, 2, 1]
    assert [len(shapely.get_parts(item)[0].interiors) for item in geometries] == [1, 0, 0, 0]


@pytest.mark.parametrize("ending", list(DRIVERS))
def test_attributes_are_there_under_names_that_the_format_allows(ending, objects, grid, tmp_path):
    path = tmp_path / f"objects{ending}"
    written(path, objects, grid)
    columns = read(path)[0]
    is_short = ending == ".shp"
    iou, stability, perimeter = (
        ("pred_iou", "stability", "perim_m") if is_short else ("predicted_iou", "stability_score", "perimeter_m")
    )
    assert list(columns) == ["id", "class", iou, stability, "area_m2", perimeter]
    assert columns["class"].tolist() == ["Straße", "Straße", None, None]
    np.testing.assert_array_equal(columns[iou].astype(float), [0.9, 0.8, np.nan, 0.5])
    np.testing.assert_array_equal(columns[stability].astype(float), [0.95, np.nan, np.nan, 0.6])
    pixels = np.array([375 - 16, 250, 80, 1])
    np.testing.assert_allclose(columns["area_m2"], pixels * 0.25 / 0.9996**2, rtol=1e-5)
    np.testing.assert_allclose(columns[perimeter], np.array([80 + 16, 70, 56, 4]) * 0.5 / 0.9996, rtol=1e-5)


def test_a_geopackage_keeps_the_system_and_says_nothing(objects, grid, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in write_vectors(tmp_path / "a.gpkg", objects, grid):
            pass
    assert pyproj.CRS(read(tmp_path / "a.gpkg")[2]).to_epsg() == 32633


def test_geojson_is_in_degrees_and_says_so(objects, grid, places, tmp_path):
    path = tmp_path / "a.geojson"
    with pytest.warns(ReprojectedWarning, match=r"WGS 84, as GeoJSON asks, and not in WGS 84 / UTM zone 33N"):
        for _ in write_vectors(path, objects, grid):
            pass
    values = json.loads(path.read_text())
    assert "crs" not in values, "RFC 7946 knows one system"
    (part,) = shapely.get_parts(shapely.geometry.shape(values["features"][1]["geometry"]))
    assert part.exterior.is_ccw
    forward = pyproj.Transformer.from_crs(32633, 4326, always_xy=True).transform
    corners = {(round(x, 8), round(y, 8)) for x, y in part.exterior.coords}
    for row, col in [(20, 5), (20, 30), (30, 5), (30, 30)]:
        x, y = forward(500_000 + 0.5 * col, 5_400_000 - 0.5 * row)
        assert min(max(abs(x - u), abs(y - v)) for u, v in corners) < 2e-8
    crs, transform = places["geographic"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in write_vectors(path, objects, GeoGrid(SIZE, transform, crs)):
            pass


def test_long_edges_are_bent_where_the_system_changes(tmp_path):
    # 100 km along a row of a polar map: a chord would leave its parallel by far more than a pixel.
    mask = np.zeros((20, 2000), bool)
    mask[5:15] = True
    grid = GeoGrid(mask.shape, (100, 0, -100_000, 0, -100, 1_500_000), "EPSG:3413")
    written(tmp_path / "a.geojson", [VectorObject(MaskRecord.from_mask(mask), 1)], grid)
    (geometry,) = read(tmp_path / "a.geojson")[1]
    forward = pyproj.Transformer.from_crs(4326, 3413, always_xy=True).transform
    back = shapely.transform(shapely.segmentize(geometry, 1e-4), lambda xy: np.stack(forward(*xy.T), axis=1))
    expected = shapely.box(-100_000, 1_500_000 - 1500, 100_000, 1_500_000 - 500)
    assert back.hausdorff_distance(expected) < 50, "half a pixel"


def test_small_objects_are_left_out_and_named(objects, grid, tmp_path):
    empty = VectorObject(MaskRecord.from_mask(np.zeros(SIZE, bool)), 4)
    report = written(tmp_path / "a.gpkg", [*objects, empty], grid, VectorSettings(min_area=20.0))
    assert (report.written, report.too_small, report.empty) == ((1, 2, 3), (9,), (4,))
    assert read(tmp_path / "a.gpkg")[0]["id"].tolist() == [1, 2, 3]


def test_no_object_is_a_file_without_features(grid, tmp_path):
    for ending in DRIVERS:
        assert written(tmp_path / f"a{ending}", [], grid).written == ()
        assert len(read(tmp_path / f"a{ending}")[1]) == 0


def test_projected_areas_on_request(objects, grid, tmp_path):
    written(tmp_path / "a.gpkg", objects, grid, VectorSettings(measure="projected"))
    assert read(tmp_path / "a.gpkg")[0]["area_m2"].tolist() == [359 / 4, 250 / 4, 20, 0.25]


def test_simplified_neighbours_share_their_boundary(grid, tmp_path):
    rows, cols = np.indices(SIZE)
    labels = np.where(rows > cols * 0.7, 1, 2)
    objects = [VectorObject(MaskRecord.from_mask(labels == number), number) for number in (1, 2)]
    written(tmp_path / "exact.gpkg", objects, grid)
    written(tmp_path / "simple.gpkg", objects, grid, VectorSettings(simplify=2))
    exact, simple = read(tmp_path / "exact.gpkg")[1], read(tmp_path / "simple.gpkg")[1]
    assert shapely.get_num_coordinates(simple).sum() < shapely.get_num_coordinates(exact).sum() / 5
    assert simple[0].intersection(simple[1]).area < 1e-6
    assert shapely.union_all(simple).area == pytest.approx(60 * 80 / 4, abs=1e-6), "no sliver between them"


def test_attributes_of_prompts_come_along(objects, grid, tmp_path):
    given = [{"owner": "A. Ärmel", "storeys": 2, "id": 17}, {"owner": None, "storeys": 3.5}, {}, {"storeys": 1}]
    carried = [
        VectorObject(MaskRecord.from_mask(item.record.rle, prompt={"attributes": own}), item.number)
        for item, own in zip(objects, given, strict=True)
    ]
    written(tmp_path / "a.gpkg", carried, grid)
    columns, _, _ = read(tmp_path / "a.gpkg")
    assert columns["id"].tolist() == [1, 2, 3, 9]
    assert columns["owner"].tolist() == ["A. Ärmel", None, None, None]
    np.testing.assert_array_equal(columns["storeys"], [2, 3.5, np.nan, 1])
    np.testing.assert_array_equal(columns["prompt_id"], [17, np.nan, np.nan, np.nan])


def test_a_shapefile_has_no_two_columns_of_one_name(objects, grid, tmp_path):
    own = {"population_2010": 1, "population_2020": 2, "POPULATION": 3, "größe": 4}
    carried = [VectorObject(MaskRecord.from_mask(objects[0].record.rle, prompt={"attributes": own}), 1)]
    written(tmp_path / "a.shp", carried, grid)
    columns, _, _ = read(tmp_path / "a.shp")
    assert list(columns)[6:] == ["population", "populati_2", "POPULATI_3", "gr__e"]
    assert [int(column[0]) for column in list(columns.values())[6:]] == [1, 2, 3, 4]


def test_nothing_is_written_on_nodata(write_raster, objects, labels, tmp_path):
    pixels = np.ones((1, *SIZE), np.int16)
    pixels[0, :, :20] = pixels[0, 55, 70] = -1
    raster = read_raster(write_raster(pixels, nodata=-1))
    report = written(tmp_path / "a.gpkg", objects, raster.grid, raster=raster)
    assert (report.written, report.empty) == ((1, 2, 3), (9,))
    for number, geometry in zip(report.written, read(tmp_path / "a.gpkg")[1], strict=True):
        expected = ((labels == number) & (pixels[0] > 0)).sum()
        assert geometry.area == pytest.approx(expected / 4)


def test_files_are_replaced_whole_or_not_at_all(objects, grid, tmp_path):
    for ending in DRIVERS:
        path = tmp_path / f"a{ending}"
        written(path, objects, grid)
        before = path.read_bytes()
        steps = write_vectors(path, objects, grid)
        next(steps)
        steps.close()
        assert path.read_bytes() == before
        written(path, objects[:1], grid)
        assert read(path)[0]["id"].tolist() == [1]
    parts = {f"a{ending}" for ending in (*DRIVERS, ".shx", ".dbf", ".prj", ".cpg")}
    assert {path.name for path in tmp_path.iterdir()} == parts


@pytest.mark.parametrize("linked", [(".shp",), (".shp", ".shx", ".dbf")])
def test_links_to_the_parts_of_a_shapefile_stay_and_lead_to_the_new_one(linked, objects, grid, tmp_path):
    store, shown = tmp_path / "store", tmp_path / "shown"
    store.mkdir()
    shown.mkdir()
    written(store / "a.shp", objects, grid)
    for ending in linked:
        (shown / f"a{ending}").symlink_to(store / f"a{ending}")
    written(shown / "a.shp", objects[:1], grid)
    assert read(store / "a.shp")[0]["id"].tolist() == [1]
    assert {path.name for path in shown.iterdir() if path.is_symlink()} == {f"a{ending}" for ending in linked}
    assert len(list(shown.iterdir())) == len(linked)


def test_what_cannot_be_written_is_refused_before_the_work(objects, grid, tmp_path):
    with pytest.raises(ValueError, match=r"\.gpkg, \.geojson, \.shp"):
        written(tmp_path / "a.kml", objects, grid)
    with pytest.raises(ValueError, match="no coordinate reference system"):
        written(tmp_path / "a.gpkg", objects, GeoGrid(SIZE, grid.transform))
    with pytest.raises(ValueError, match="object 1 has another size"):
        written(tmp_path / "a.gpkg", objects, GeoGrid((5, 5), grid.transform, grid.crs))
    with pytest.raises(ValueError, match="min_area is -1"):
        VectorSettings(min_area=-1)
    with pytest.raises(OSError, match="nowhere"):
        written(tmp_path / "nowhere" / "a.gpkg", objects, grid)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["-wal", "-journal"])
def test_a_geopackage_that_another_program_has_open_is_not_replaced(tmp_path, objects, grid, ending):
    """What SQLite keeps beside the old file would be taken for changes of the new one, and damage it."""
    path = tmp_path / "open.gpkg"
    written(path, objects, grid)
    before = path.read_bytes()
    path.with_name(path.name + ending).write_bytes(b"of the old file")
    with pytest.raises(OSError, match=r"open\.gpkg is open in another program"):
        written(path, objects[:1], grid)
    assert path.read_bytes() == before


def test_columns_that_a_geopackage_has_of_its_own_or_that_differ_in_case_get_other_names(tmp_path, objects, grid):
    row = {"fid": "a", "geom": "b", "Name": "c", "name": "d", "ID": "e", "prompt_id": "f"}
    record = replace(objects[0].record, prompt={"attributes": row})
    path = tmp_path / "columns.gpkg"
    written(path, [replace(objects[0], record=record)], grid)
    meta, _, _, fields = pyogrio.raw.read(path)
    found = {name: values[0] for name, values in zip(meta["fields"], fields, strict=True)}
    assert {name: value for name, value in found.items() if value in row.values()} == {
        "prompt_fid": "a", "prompt_geom": "b", "Name": "c", "prompt_name": "d", "prompt_ID": "e",
        "prompt_prompt_id": "f",
    }  # fmt: skip
