"""Prompts from vector files and back, with pyproj and rasterio as judges."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

rasterio = pytest.importorskip("rasterio")
pyproj = pytest.importorskip("pyproj")
shapely = pytest.importorskip("shapely")
pyogrio = pytest.importorskip("pyogrio")
from rasterio import features as rasterio_features  # noqa: E402

from napari_segany.engine.prompts import Prompt  # noqa: E402
from napari_segany.formats.geo_features import Features, ReprojectedWarning, write_features  # noqa: E402
from napari_segany.formats.geo_grid import GeoGrid  # noqa: E402
from napari_segany.formats.geo_prompt_reading import ON_NODATA, OUTSIDE, read_prompts  # noqa: E402
from napari_segany.formats.geo_prompts import GeoPrompt, prompt_of, write_prompts  # noqa: E402
from napari_segany.formats.geo_raster import read_raster  # noqa: E402
from napari_segany.formats.rle import RunLengths  # noqa: E402

SIZE = (120, 160)
SYSTEMS = ["EPSG:4326", "EPSG:3857", "EPSG:32633", "EPSG:31467"]
IN_SYSTEMS = [
    *((place, system) for place in ("projected", "south-up", "rotated", "geographic") for system in SYSTEMS),
    *(("in feet", system) for system in ("EPSG:4326", "EPSG:3857", "EPSG:32118")),  # New York
]


@pytest.fixture
def save(tmp_path):
    """Write geometries of a reference system to a file of another one; return its path."""

    def save(geometries, crs, saved_as="", columns=None, name="prompts.gpkg"):
        array = np.array(geometries, object)
        if saved_as:
            forward = pyproj.Transformer.from_crs(crs, saved_as, always_xy=True).transform
            array = shapely.transform(array, lambda xy: np.stack(forward(*xy.T), axis=1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReprojectedWarning)
            columns = columns or {"number": np.arange(len(array))}
            write_features(
                tmp_path / name, Features(array, columns, saved_as or crs), kind="Unknown", resolution=1e-9
            )
        return tmp_path / name

    return save


@pytest.fixture
def grid(places) -> GeoGrid:
    return GeoGrid(SIZE, places["projected"][1], places["projected"][0])


def at(grid: GeoGrid, *positions):
    """Return shapely points at positions (row, col)."""
    return [shapely.Point(xy) for xy in grid.to_map(positions)]


@pytest.mark.parametrize(("place", "saved_as"), IN_SYSTEMS)
def test_points_of_any_system_land_on_their_pixel(save, place, places, saved_as):
    crs, transform = places[place]
    grid = GeoGrid(SIZE, transform, crs)
    positions = [(0, 0), (119, 159), (30.25, 70.75)]
    found = read_prompts(save(at(grid, *positions), crs, saved_as), grid)
    assert found.left_out == ()
    np.testing.assert_allclose([prompt.points[0] for prompt in found.prompts], positions, atol=0.01)
    assert [prompt.labels.tolist() for prompt in found.prompts] == [[1], [1], [1]]
    assert [prompt.attributes for prompt in found.prompts] == [{"number": number} for number in range(3)]


def test_what_lies_outside_or_on_nodata_is_listed(save, write_raster):
    pixels = np.ones((1, *SIZE), np.int16)
    pixels[0, :40] = -1
    raster = read_raster(write_raster(pixels, nodata=-1))
    grid = raster.grid
    good, empty, beyond, edge = at(grid, (60, 60), (20, 20), (60, 160.2), (119.4, 0))
    lost = shapely.box(*at(grid, (30, 10))[0].coords[0], *at(grid, (10, 30))[0].coords[0])
    several = shapely.MultiPoint([*at(grid, (70, 70)), *at(grid, (5, 5)), *at(grid, (-9, 9))])
    line = shapely.LineString([(0, 0), (1, 1)])
    geometries = [good, empty, beyond, edge, lost, several, line, None, shapely.Point(0, 0)]
    found = read_prompts(save(geometries, grid.crs), grid, raster=raster)
    assert [prompt.number for prompt in found.prompts] == [1, 4, 6]
    np.testing.assert_allclose(found.prompts[2].points, [(70, 70)], atol=1e-6)
    assert [(item.feature, item.reason) for item in found.left_out] == [
        (2, ON_NODATA),
        (3, OUTSIDE),
        (5, ON_NODATA),
        (6, ON_NODATA),
        (6, OUTSIDE),
        (7, "a LineString is no prompt; points and polygons are"),
        (8, "it has no geometry"),
        (9, OUTSIDE),
    ]


def test_coordinates_that_the_raster_s_system_does_not_have_are_listed(save, grid):
    found = read_prompts(save([shapely.Point(1e9, 1e9)], "EPSG:3857"), grid)
    assert len(found.left_out) == 1
    assert found.prompts == ()


@pytest.mark.filterwarnings("error")
def test_coordinates_of_another_system_than_the_file_says_are_told_apart(save, grid):
    metres = grid.to_map([(20, 30)])[0]
    found = read_prompts(save([shapely.Point(metres)], "EPSG:4326"), grid)
    (left,) = found.left_out
    assert left.reason.endswith(f"(the file says that x {metres[0]:g}, y {metres[1]:g} are longitude and latitude)")


def test_rectangles_are_boxes_cut_at_the_edge(save, grid):
    inside = shapely.box(*grid.to_map([(49.5, 9.5)])[0], *grid.to_map([(19.5, 39.5)])[0])
    cut = shapely.box(*grid.to_map([(200, 100)])[0], *grid.to_map([(100, 300)])[0])
    whole = shapely.box(*grid.to_map([(900, -900)])[0], *grid.to_map([(-900, 900)])[0])
    found = read_prompts(save([inside, cut, whole], grid.crs), grid)
    boxes = [prompt.box for prompt in found.prompts]
    np.testing.assert_allclose(boxes, [(19.5, 9.5, 49.5, 39.5), (100, 100, 119.5, 159.5), (-0.5, -0.5, 119.5, 159.5)])
    for prompt in found.prompts:
        assert prompt.mask is None
        Prompt.checked(box=prompt.box, image_shape=SIZE)


def test_a_rectangle_of_degrees_is_the_box_around_it(save, grid):
    forward = pyproj.Transformer.from_crs(grid.crs, 4326, always_xy=True).transform
    corners = np.array([forward(*xy) for xy in grid.to_map([(80, 20), (30, 90)])])
    rectangle = shapely.box(*corners.min(axis=0), *corners.max(axis=0))
    (prompt,) = read_prompts(save([rectangle], "EPSG:4326"), grid).prompts
    assert prompt.mask is None
    back = pyproj.Transformer.from_crs(4326, grid.crs, always_xy=True).transform
    edge = shapely.get_coordinates(shapely.segmentize(rectangle.exterior, 1e-7))
    rows, cols = grid.to_pixels(np.stack(back(*edge.T), axis=1)).T
    np.testing.assert_allclose(prompt.box, (rows.min(), cols.min(), rows.max(), cols.max()), atol=0.01)


@pytest.mark.parametrize("saved_as", ["", "EPSG:4326"])
def test_polygons_are_masks_with_their_box(save, place, places, saved_as):
    crs, transform = places[place]
    grid = GeoGrid(SIZE, transform, crs)
    outline = shapely.Polygon(grid.to_map([(20.3, 30.1), (60.7, 90.4), (95.2, 40.6)]))
    ring = outline.difference(shapely.Polygon(grid.to_map([(50.2, 50.3), (60.4, 60.1), (70.3, 50.2)])))
    (prompt,) = read_prompts(save([ring], crs, saved_as), grid).prompts
    expected = rasterio_features.rasterize([ring], out_shape=SIZE, transform=rasterio.Affine(*transform)) > 0
    assert (prompt.mask.decode() ^ expected).sum() <= (0 if not saved_as else 3)
    np.testing.assert_allclose(prompt.box, (20.3, 30.1, 95.2, 90.4), atol=0.02)


def test_polygons_lose_their_pixels_on_nodata(save, write_raster):
    pixels = np.ones((1, *SIZE), np.float32)
    pixels[0, :50] = np.nan
    raster = read_raster(write_raster(pixels))
    triangle = shapely.Polygon(raster.grid.to_map([(20, 30), (60, 90), (95, 40)]))
    small = shapely.Polygon(raster.grid.to_map([(10, 30), (20, 40), (15, 10)]))
    found = read_prompts(save([triangle, small], raster.grid.crs), raster.grid, raster=raster)
    (prompt,) = found.prompts
    assert not prompt.mask.decode()[:50].any()
    assert prompt.mask.decode()[50:].any()
    assert [item.reason for item in found.left_out] == [ON_NODATA]


def test_a_polygon_thinner_than_a_pixel_is_the_pixels_that_it_touches(save, grid):
    sliver = shapely.Polygon(grid.to_map([(10.2, 5.2), (10.3, 5.2), (10.25, 25.3)]))
    (prompt,) = read_prompts(save([sliver], grid.crs), grid).prompts
    assert np.unique(np.nonzero(prompt.mask.decode())[0]).tolist() == [10]
    assert prompt.mask.area >= 20


@pytest.mark.parametrize("ending", [".gpkg", ".geojson"])
def test_what_is_saved_comes_back(ending, place, places, tmp_path):
    crs, transform = places[place]
    grid = GeoGrid(SIZE, transform, crs)
    mask = np.zeros(SIZE, bool)
    mask[20:40, 30:60], mask[25:30, 40:45], mask[70, 70] = True, False, True
    prompts = [
        GeoPrompt(
            5, np.array([(10.0, 20.0), (12.5, 22.25)]), np.array([1, 0]), attributes={"owner": "A", "height": 4.5}
        ),
        GeoPrompt(7, box=(50.25, 60, 70, 90.5), attributes={"owner": "B"}),
        GeoPrompt(8, mask=RunLengths.from_mask(mask)),
        GeoPrompt(9, np.array([(90.0, 90.0)]), np.array([1]), (80.0, 80.0, 100.0, 110.0)),
    ]
    path = tmp_path / f"prompts{ending}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReprojectedWarning)
        write_prompts(path, prompts, grid)
    found = read_prompts(path, grid)
    assert found.left_out == ()
    for one, other in zip(found.prompts, prompts, strict=True):
        assert one.number == other.number
        np.testing.assert_allclose(one.points, other.points, atol=0.01)
        assert one.labels.tolist() == other.labels.tolist()
        assert one.mask == other.mask
        assert {key: value for key, value in one.attributes.items() if value is not None} == dict(other.attributes)
        if other.box is not None:
            np.testing.assert_allclose(one.box, other.box, atol=0.02)
    np.testing.assert_allclose(found.prompts[2].box, (19.5, 29.5, 70.5, 70.5), atol=0.02)


def test_a_shapefile_holds_points_or_polygons(grid, tmp_path):
    point = GeoPrompt(1, np.array([(3.0, 4.0)]), np.array([1]))
    box = GeoPrompt(2, box=(5, 6, 7, 9))
    for name, prompt in (("points", point), ("boxes", box)):
        write_prompts(tmp_path / f"{name}.shp", [prompt], grid)
        (found,) = read_prompts(tmp_path / f"{name}.shp", grid).prompts
        np.testing.assert_allclose(found.points, prompt.points)
        assert (found.box is None) == (prompt.box is None)
    with pytest.raises(ValueError, match=r"save as \.gpkg or \.geojson"):
        write_prompts(tmp_path / "both.shp", [point, box], grid)


def test_the_prompts_of_records_can_be_saved(grid, tmp_path):
    asked = Prompt.checked(points=[(30, 40)], labels=[1], box=(20, 30, 50, 60), image_shape=SIZE)
    prompt = prompt_of(3, {**asked.to_dict(), "attributes": {"owner": "A"}})
    write_prompts(tmp_path / "a.gpkg", [prompt], grid)
    (found,) = read_prompts(tmp_path / "a.gpkg", grid).prompts
    assert (found.number, found.attributes) == (3, {"owner": "A"})
    np.testing.assert_allclose(found.points, [(30, 40)])
    np.testing.assert_allclose(found.box, (20, 30, 50, 60))


def test_background_alone_asks_for_nothing(save, grid):
    path = save(at(grid, (3, 3), (5, 5), (6, 6)), grid.crs, columns={"label": np.array([0, 1, 3])})
    found = read_prompts(path, grid)
    assert [prompt.number for prompt in found.prompts] == [2, 3], "other numbers are classes, not the background"
    assert [(item.feature, item.reason) for item in found.left_out] == [(1, "it has points of the background only")]


def test_a_file_without_a_system_is_asked_for_one(grid, tmp_path):
    write_prompts(tmp_path / "a.shp", [GeoPrompt(1, np.array([(3.0, 4.0)]), np.array([1]))], grid)
    (tmp_path / "a.prj").unlink()
    with pytest.raises(ValueError, match=r"a\.shp does not tell its coordinate reference system"):
        read_prompts(tmp_path / "a.shp", grid)
    (prompt,) = read_prompts(tmp_path / "a.shp", grid, crs=grid.crs).prompts
    np.testing.assert_allclose(prompt.points, [(3, 4)])


def test_of_several_layers_one_is_chosen(save, grid):
    path = save(at(grid, (3, 3)), grid.crs)
    pyogrio.raw.write(path, shapely.to_wkb(np.array(at(grid, (9, 9)), object)), [np.array([1])], ["n"], layer="more",
                      crs=grid.crs, geometry_type="Point", driver="GPKG", append=True)  # fmt: skip
    with pytest.raises(ValueError, match="has the layers prompts, more; choose one"):
        read_prompts(path, grid)
    (prompt,) = read_prompts(path, grid, layer="more").prompts
    np.testing.assert_allclose(prompt.points, [(9, 9)])


def test_what_is_no_vector_file_is_refused(grid, tmp_path):
    (tmp_path / "a.gpkg").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"a\.gpkg is damaged or no vector file"):
        read_prompts(tmp_path / "a.gpkg", grid)
    with pytest.raises(FileNotFoundError):
        read_prompts(tmp_path / "nowhere.gpkg", grid)
    with pytest.raises(ValueError, match="no prompt to save"):
        write_prompts(tmp_path / "b.gpkg", [], grid)
