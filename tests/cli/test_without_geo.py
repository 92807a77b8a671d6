"""Rasters with a place on Earth where the extra `geo` is not installed: what is lost is said, and what brings it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_segany.cli.main import main

LOOSE = ("--points-per-side", 2, "--pred-iou-thresh", 0, "--stability-score-thresh", 0)
BRINGS_IT = "need rasterio, which is not installed; `pip install 'napari-segany[geo]'` brings it"

pytestmark = pytest.mark.usefixtures("without_geo")


def command(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def town(tmp_path: Path) -> Path:
    """A GeoTIFF: a size of pixels and a tie point."""
    path = tmp_path / "town.tif"
    tags = [(33550, "d", 3, (0.5, 0.5, 0.0), True), (33922, "d", 6, (0.0, 0.0, 0.0, 5e5, 5.4e6, 0.0), True)]
    pixels = np.random.default_rng(0).integers(0, 250, (40, 60)).astype(np.uint8)
    tifffile.imwrite(path, pixels, extratags=tags)
    return path


@pytest.mark.parametrize(
    "line",
    [
        ("--point", "10,20", "-o", "{folder}/out.gpkg"),
        ("--point", "10,20", "-o", "{folder}/out.tif", "-o", "{folder}/out.geojson"),
        ("--point", "10,20", "--bands", "1", "-o", "{folder}/out.tif"),
        ("--csv", "{folder}/asked.geojson", "-o", "{folder}/out.tif"),
    ],
)
def test_what_needs_the_place_names_the_extra(town, checkpoint, tmp_path, capsys, line):
    arguments = [word.format(folder=tmp_path) for word in line]
    assert command("segment", town, *arguments, "--model", checkpoint) == 2
    error = capsys.readouterr().err
    assert BRINGS_IT in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("out*"))


def test_a_virtual_raster_cannot_be_read_otherwise(checkpoint, tmp_path, capsys):
    (tmp_path / "a.vrt").write_text('<VRTDataset rasterXSize="4" rasterYSize="4"></VRTDataset>')
    line = ("segment", tmp_path / "a.vrt", "--point", "1,1", "--model", checkpoint, "-o", tmp_path / "out.tif")
    assert command(*line) == 2
    assert BRINGS_IT in capsys.readouterr().err


def test_an_image_without_a_place_is_told_that(image, checkpoint, tmp_path, capsys):
    line = ("segment", image, "--point", "1,1", "--model", checkpoint)
    assert command(*line, "-o", tmp_path / "out.gpkg") == 2
    assert "has no place on Earth that is known here" in capsys.readouterr().err
    assert command(*line, "--bands", 1, "-o", tmp_path / "out.tif") == 2
    assert "is no raster with a place on Earth" in capsys.readouterr().err
    assert command(*line, "-o", tmp_path / "out.tif") == 0
    assert "place on Earth" not in capsys.readouterr().err


def test_a_place_that_is_lost_is_told_in_a_line(town, image, checkpoint, tmp_path, capsys):
    second = tmp_path / "village.tif"
    second.write_bytes(town.read_bytes())
    model = ("--model", checkpoint)
    segment = ("segment", town, "--point", "10,20", *model, "-o", tmp_path / "out.tif")
    everything = ("everything", town, second, image, *model, *LOOSE, "--outputs", "labels", "-o", tmp_path / "out")
    embed = ("embed", town, image, *model, "-o", tmp_path / "ready")
    for line, what in ((segment, "town.tif"), (everything, f"{town} and 1 more"), (embed, f"{town}")):
        assert command(*line) == 0
        told = [text for text in capsys.readouterr().err.splitlines() if "place on Earth" in text]
        whose = "their" if "more" in what else "its"
        start = f"segany {line[0]}: {what} read without {whose} place on Earth: "
        assert len(told) == 1
        assert told[0].startswith(start)
        assert told[0].endswith(BRINGS_IT)
