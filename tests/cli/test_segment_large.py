"""`segany segment` on images that are too large to be encoded as a whole: they are asked window by window."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image
from tests.tiles import ComponentPredictor

from napari_segany.cli.main import main
from napari_segany.engine.predictor import Predictor
from napari_segany.formats.geo_pyramid import RasterView
from napari_segany.formats.record import read_records

SHAPE = (4200, 300)
SMALL = {(30, 40): 6, (2100, 150): 5, (4150, 250): 9}
"""Centres and radii of discs that an image reduced to 128 pixels does not show."""


def command(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def disc(centre, radius):
    rows, cols = np.indices(SHAPE)
    return np.hypot(rows - centre[0], cols - centre[1]) <= radius


@pytest.fixture(scope="module")
def pixels():
    found = np.full(SHAPE, 20, np.uint8)
    for centre, radius in SMALL.items():
        found[disc(centre, radius)] = 200
    return found


@pytest.fixture
def components(monkeypatch):
    """A model that finds what has one grey, in the place of any model."""
    found = ComponentPredictor()
    monkeypatch.setattr("napari_segany.engine.predictor.Predictor", lambda *_, **__: found)
    return found


@pytest.fixture
def _never_whole(monkeypatch):
    """Refuse to read an image as a whole."""

    def refuse(*_, **__):
        raise AssertionError("the whole image was read")

    monkeypatch.setattr("napari_segany.engine.prompted_image.read_image", refuse)
    monkeypatch.setattr("napari_segany.engine.batch.raster_source.RasterSource.read", refuse)


def saved(pixels, folder, kind):
    path = folder / f"big.{kind}"
    if kind == "tif":
        tifffile.imwrite(path, pixels)
    elif kind == "npy":
        np.save(path, pixels)
    else:
        zarr.save_array(path, pixels)
    return path


@pytest.mark.usefixtures("_never_whole")
@pytest.mark.parametrize("kind", ["tif", "npy", "zarr"])
def test_small_objects_of_a_large_image_are_found_line_by_line(pixels, components, tmp_path, kind):
    table, labels, records = tmp_path / "points.csv", tmp_path / "out.tif", tmp_path / "out.json"
    table.write_text("row,col\n" + "".join(f"{row},{col}\n" for row, col in SMALL))
    image = saved(pixels, tmp_path, kind)
    assert command("segment", image, "--csv", table, "-o", labels, "-o", records) == 0
    expected = sum(number * disc(*one) for number, one in enumerate(SMALL.items(), 1))
    np.testing.assert_array_equal(tifffile.imread(labels), expected)
    assert max(max(shape) for shape in components.encoded) <= components.side
    for record, (row, col) in zip(read_records(records), SMALL, strict=True):
        assert record.prompt == {"points": [[row, col]], "labels": [1]}
        top, left, bottom, right = record.crop_box
        assert top <= row < bottom <= SHAPE[0]
        assert left <= col < right <= SHAPE[1]
        assert bottom - top <= 128


@pytest.mark.usefixtures("_never_whole")
def test_one_prompt_is_answered_with_the_intensities_that_are_given(pixels, components, tmp_path):
    out = tmp_path / "out.png"
    line = ("--box", "2090,140,2110,160", "--contrast-limits", "10,220", "-o", out)
    assert command("segment", saved(pixels, tmp_path, "tif"), *line) == 0
    np.testing.assert_array_equal(np.asarray(Image.open(out)), disc((2100, 150), 5) * np.uint8(255))
    assert set(components.limits) == {(10.0, 220.0)}


def test_a_large_plane_of_a_stack_is_asked_in_windows(pixels, components, tmp_path):
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([np.zeros_like(pixels), pixels]), photometric="minisblack")
    out = tmp_path / "out.tif"
    line = ("--slice", 1, "--point", "30,40", "-o", out)
    assert command("segment", tmp_path / "stack.tif", *line) == 0
    np.testing.assert_array_equal(tifffile.imread(out) > 0, disc((30, 40), 6))
    assert max(max(shape) for shape in components.encoded) <= components.side


@pytest.mark.parametrize(("options", "count"), [([], 3), (["--single"], 1), (["--multimask"], 3)])
def test_how_many_masks_of_a_large_image(pixels, checkpoint, tmp_path, options, count):
    out = tmp_path / "masks.json"
    line = ("--point", "2100,150", *options, "--model", checkpoint, "-o", out)
    assert command("segment", saved(pixels, tmp_path, "tif"), *line) == 0
    assert len(read_records(out)) == count


def test_prepared_windows_are_not_encoded_again(pixels, checkpoint, tmp_path, monkeypatch, looked_for):
    image = saved(pixels[:, :70], tmp_path, "tif")
    assert command("embed", image, "-o", tmp_path / "ready", "--model", checkpoint) == 0

    def refuse(*_, **__):
        raise AssertionError("a window was encoded")

    out = tmp_path / "out.json"
    line = ("segment", image, "--box", "0,0,4199,69", "--model", checkpoint, "-o", out)
    monkeypatch.setattr(Predictor, "compute_steps", refuse)
    assert command(*line, "--embeddings", tmp_path / "ready") == 0
    assert read_records(out)[0].crop_box == (0, 0, 4200, 70)
    assert len(looked_for) == 1, "the window that tells is read once"
    with pytest.raises(AssertionError, match="encoded"):
        command(*line)


def test_words_need_the_image_as_a_whole_and_a_line_says_so(pixels, checkpoint, tmp_path, capsys, monkeypatch):
    line = (
        "segment",
        saved(pixels, tmp_path, "tif"),
        "--text",
        "a disc",
        "--model",
        checkpoint,
        "-o",
        tmp_path / "a.tif",
    )
    assert command(*line) == 2
    assert "is large and seen as a whole, reduced, for words" in capsys.readouterr().err
    monkeypatch.setattr("napari_segany.engine.prompted_image.WHOLE_PIXELS", 1000)
    assert command(*line) == 2
    assert "asked window by window, where words are no prompt" in capsys.readouterr().err


class TestRasters:
    """With a place on Earth."""

    @pytest.fixture
    def town(self, pixels, tmp_path, monkeypatch):
        """A raster of one band; what is read of it is noted."""
        rasterio = pytest.importorskip("rasterio")
        path = tmp_path / "town.tif"
        place = rasterio.Affine(0.4, 0.3, 500_000.0, 0.3, -0.4, 5_400_000.0)
        profile = {"driver": "GTiff", "crs": "EPSG:32633", "transform": place, "nodata": 0}
        with rasterio.open(path, "w", count=1, height=SHAPE[0], width=SHAPE[1], dtype="uint8", **profile) as file:
            file.write(pixels, 1)
        read, sizes = RasterView.read, []

        def note(view, box=None, *, level=0):
            part = read(view, box, level=level)
            sizes.append(part.shape)
            return part

        monkeypatch.setattr(RasterView, "read", note)
        return path, place, sizes

    @pytest.mark.usefixtures("_never_whole")
    def test_buildings_are_found_by_their_addresses(self, town, components, tmp_path, capsys):
        pyogrio, shapely = pytest.importorskip("pyogrio"), pytest.importorskip("shapely")
        from napari_segany.formats.geo_features import Features, write_features

        path, place, sizes = town
        where = [place @ (col + 0.5, row + 0.5) for row, col in SMALL]
        shapes = [shapely.Point(one) for one in where[:2]]
        corners = [place @ (col + 0.5, row + 0.5) for row, col in ((4140, 240), (4158, 241), (4160, 260))]
        shapes.append(shapely.Polygon(corners))
        names = {"name": np.array(["Ada", "Bob", "Dan"], object)}
        features = Features(np.array(shapes, object), names, "EPSG:32633")
        write_features(tmp_path / "asked.gpkg", features, kind="Unknown", resolution=0.5)
        out = tmp_path / "houses.gpkg", tmp_path / "houses.tif"
        assert command("segment", path, "--csv", tmp_path / "asked.gpkg", "-o", out[0], "-o", out[1]) == 0
        assert "3 objects of 3 lines" in capsys.readouterr().out
        expected = sum(number * disc(*one) for number, one in enumerate(SMALL.items(), 1))
        import rasterio

        with rasterio.open(out[1]) as file:
            np.testing.assert_array_equal(file.read(1), expected)
            assert file.transform == place
        meta, _, geometry, values = pyogrio.raw.read(out[0])
        assert values[list(meta["fields"]).index("name")].tolist() == ["Ada", "Bob", "Dan"]
        areas = shapely.area(shapely.from_wkb(geometry)) / 0.25
        np.testing.assert_allclose(areas, np.bincount(expected.ravel())[1:])
        assert sizes
        assert max(np.prod(size) for size in sizes) <= components.side**2, "no more than a window is read"
        assert any(one["mask"] is not None for one in components.asked), "a polygon is a mask as prompt"
