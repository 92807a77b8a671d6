from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_segany.cli import embed as module
from napari_segany.cli.main import main
from napari_segany.engine.cache import key_steps
from napari_segany.engine.cache_disk import DiskCache
from napari_segany.engine.cache_manifest import read_manifest
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import drain
from napari_segany.formats.record import read_records


@pytest.fixture
def inputs(tmp_path: Path, image: Path) -> Path:
    """A picture, and another one in a folder within."""
    folder = tmp_path / "in"
    (folder / "deeper").mkdir(parents=True)
    (folder / "a.png").write_bytes(image.read_bytes())
    np.save(folder / "deeper" / "b.npy", np.arange(40 * 50, dtype=np.uint16).reshape(40, 50))
    return folder


@pytest.fixture
def no_encoder(monkeypatch):
    """A computer that is too slow to compute embeddings: to be called once they are there."""

    def refuse(self, image, **options):
        raise AssertionError("an image was encoded")

    return lambda: monkeypatch.setattr(Predictor, "compute_steps", refuse)


def segany(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_a_folder_is_embedded_once_and_used_without_encoding(inputs, checkpoint, tmp_path, capsys, no_encoder):
    assert segany("embed", inputs, "--recursive", "--model", checkpoint) == 0
    out = tmp_path / "in.embeddings"
    line = capsys.readouterr().out
    expected = (
        rf"2 embeddings, 0\.\d MB, relative error of half precision at most \d\.\de-04 -> {re.escape(str(out))}"
    )
    assert re.fullmatch(expected, line.rstrip()), line
    manifest = json.loads((out / "manifest.json").read_text())
    assert [item["image"] for item in manifest["embeddings"]] == ["a.png", "deeper/b.npy"]
    no_encoder()
    assert segany("embed", inputs, "--recursive", "--model", checkpoint, "-o", out) == 0
    assert capsys.readouterr().out.startswith("2 embeddings, 2 there before, ")
    mask = tmp_path / "mask.json"
    prompt = ("--point", "20,30", "--model", checkpoint, "--embeddings", out, "-o", mask)
    assert segany("segment", inputs / "a.png", *prompt) == 0
    assert mask.is_file()


def test_a_damaged_image_is_a_line_and_a_status(inputs, checkpoint, tmp_path, capsys):
    (inputs / "broken.tif").write_bytes(b"II*\0")
    assert segany("embed", inputs, "--model", checkpoint, "-o", tmp_path / "out") == module.FAILED_STATUS == 1
    printed = capsys.readouterr()
    (failed,) = (line for line in printed.err.splitlines() if line.startswith("failed: "))
    assert "broken.tif is damaged" in failed
    assert printed.out.rstrip().endswith("; 1 image failed")
    assert "Traceback" not in printed.err


def test_damage_in_the_folder_is_repaired_and_said(inputs, checkpoint, tmp_path, capsys):
    out = tmp_path / "out"
    assert segany("embed", inputs, "--model", checkpoint, "-o", out) == 0
    (entry,) = out.glob("*.zarr.zip")
    entry.write_bytes(b"PK" + entry.read_bytes()[2:-30])
    assert segany("embed", inputs, "--model", checkpoint, "-o", out) == 0
    assert "1 embedding, 1 damaged and computed again, " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("{inputs}", "{inputs}"), "-o OUTDIR"),
        (("{inputs}/a.png",), "-o OUTDIR"),
        (("{inputs}/none", "-o", "x"), "No such file"),
        (("{inputs}/none",), "none: No such file"),
        (("{inputs}/*.png",), "-o OUTDIR"),
        (("{inputs}", "--contrast-limits", "minmax"), "percentiles"),
        (("{inputs}", "--contrast-limits", "9,1", "--model", "{checkpoint}"), "the lower first"),
        (("{inputs}", "--model", "no_such_model"), "no_such_model"),
    ],
)
def test_wrong_arguments_are_one_line(line, message, inputs, checkpoint, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert segany("embed", *(word.format(inputs=inputs, checkpoint=checkpoint) for word in line)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_segment_takes_the_contrast_limits_of_the_folder(inputs, checkpoint, tmp_path, capsys, no_encoder):
    """`embed` takes those of a napari layer, `segment` else those of percentiles: nothing would be found."""
    path, out, mask = inputs / "deeper" / "b.npy", tmp_path / "out", tmp_path / "mask.json"
    assert segany("embed", path, "--model", checkpoint, "-o", out) == 0
    line = ("segment", path, "--point", "20,30", "--model", checkpoint)
    given = tmp_path / "given.json"
    assert segany(*line, "--contrast-limits", "0,1999", "-o", given) == 0
    capsys.readouterr()
    no_encoder()
    assert segany(*line, "--embeddings", out, "-o", mask) == 0
    error = capsys.readouterr().err
    assert "segany segment: b.npy is seen with the contrast limits 0 to 1999, as it was prepared\n" in error
    for found, expected in zip(read_records(mask), read_records(given), strict=True):
        assert found.predicted_iou == pytest.approx(expected.predicted_iou, abs=1e-3)
        assert (found.mask != expected.mask).mean() < 0.01, "but for half precision"
    assert segany(*line, "--embeddings", out, "--contrast-limits", "0,1999", "-o", mask) == 0
    assert "prepared" not in capsys.readouterr().err


def test_segment_says_why_a_folder_does_not_serve(inputs, checkpoint, tmp_path, capsys):
    path, out, mask = inputs / "deeper" / "b.npy", tmp_path / "out", tmp_path / "mask.json"
    assert segany("embed", path, "--model", checkpoint, "-o", out) == 0
    line = ("segment", path, "--point", "20,30", "--model", checkpoint, "--embeddings", out, "-o", mask)
    capsys.readouterr()
    assert segany(*line, "--contrast-limits", "0,4095") == 0
    assert (
        "segany segment: b.npy is encoded here. The image was prepared with the contrast limits 0 to 1999; here they "
        "are 0 to 4095.\n"
    ) in capsys.readouterr().err
    np.save(path, np.load(path)[::-1])
    assert segany(*line) == 0
    assert "The folder of prepared embeddings holds nothing of this image." in capsys.readouterr().err


def test_segment_wants_a_folder_that_is_there(inputs, checkpoint, tmp_path, capsys):
    line = (
        "segment",
        inputs / "a.png",
        "--point",
        "1,1",
        "--embeddings",
        tmp_path / "none",
        "-o",
        tmp_path / "a.json",
    )
    assert segany(*line, "--model", checkpoint) == 2
    assert "segany embed" in capsys.readouterr().err


def test_a_pattern_takes_zarrs_and_nothing_within_its_outputs(checkpoint, tmp_path, capsys):
    for name in ("a", "b"):
        group = zarr.open_group(tmp_path / f"{name}.zarr", mode="w")
        group.create_array("0", data=np.random.default_rng(0).integers(0, 256, (64, 70)).astype(np.uint8))
    line = ("embed", tmp_path / "*.zarr", "-o", tmp_path / "out.zarr", "--model", checkpoint)
    for _ in range(2):
        assert segany(*line) == 0
        assert capsys.readouterr().out.startswith("2 embeddings")


CHANNELS = np.random.default_rng(2).integers(0, 4096, (2, 3, 40, 50)).astype(np.uint16)


@pytest.fixture(params=["zarr", "tif"])
def with_channels(request, write_ome, tmp_path: Path) -> Path:
    """CHANNELS as a file whose axes are z, c, y, x."""
    return write_ome(tmp_path / f"channels.ome.{request.param}", CHANNELS, "zcyx")


def test_planes_are_chosen_by_the_names_of_axes(with_channels, checkpoint, tmp_path, capsys):
    out, line = tmp_path / "out", ("embed", with_channels, "--model", checkpoint, "--precision", "float32")
    for plane, count in (("c=1,z=0", 1), ("c=1", 2), ("z=1,c=2", 1)):
        assert segany(*line, "--plane", plane, "-o", out) == 0
        assert capsys.readouterr().out.startswith(f"{count} embedding")
    records = read_manifest(out)
    assert [record.plane for record in records] == ["z0_c1", "z1_c1", "z1_c2"]
    predictor = Predictor(checkpoint, device="cpu")
    for record, pixels in zip(records, (CHANNELS[0, 1], CHANNELS[1, 1], CHANNELS[1, 2]), strict=True):
        key, _ = drain(key_steps(predictor, pixels, record.contrast_limits))
        assert DiskCache(out).path(key).name == record.file


def test_a_prepared_channel_is_carried_without_encoding(with_channels, checkpoint, tmp_path, no_encoder, capsys):
    out, chosen = tmp_path / "out", ("--plane", "c=2", "--model", checkpoint)
    assert segany("embed", with_channels, *chosen, "-o", out) == 0
    no_encoder()
    line = ("propagate", with_channels, "--point", "0,20,30", "--embeddings", out, "-o", tmp_path / "labels.tif")
    assert segany(*line, "--min-predicted-iou", "-10", "--min-overlap", "0", *chosen) == 0
    assert "as it was prepared" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("plane", "message"),
    [("q=1", "there is no axis q; there is z (2), c (3)"), ("c=3", "c=3 is asked for; c goes from 0 to 2")],
)
def test_planes_that_are_not_there_are_a_line_and_a_status(
    with_channels, plane, message, checkpoint, tmp_path, capsys
):
    line = ("embed", with_channels, "--plane", plane, "--model", checkpoint, "-o", tmp_path / "out")
    assert segany(*line) == module.FAILED_STATUS
    error = capsys.readouterr().err
    assert f"failed: {with_channels}: {message}" in error


def test_a_raster_has_no_planes(checkpoint, tmp_path, capsys):
    rasterio = pytest.importorskip("rasterio")
    profile = {"driver": "GTiff", "crs": "EPSG:32633", "transform": rasterio.Affine(1, 0, 5e5, 0, -1, 5e6)}
    with rasterio.open(tmp_path / "a.tif", "w", count=2, height=40, width=50, dtype="uint16", **profile) as file:
        file.write(CHANNELS[0, :2])
    line = ("embed", tmp_path / "a.tif", "--plane", "c=1", "--model", checkpoint, "-o", tmp_path / "out")
    assert segany(*line) == 2
    assert "--plane is for stacks" in capsys.readouterr().err
