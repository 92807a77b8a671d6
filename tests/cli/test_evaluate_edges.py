from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_segany.cli.main import main


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "bsds"
    (folder / "images").mkdir(parents=True)
    (folder / "gt").mkdir()
    pixels = np.zeros((40, 60), np.uint8)
    pixels[10:30, 20:40] = 200
    truth = np.zeros((1, 40, 60), bool)
    truth[0, 10:30, (20, 39)] = True
    Image.fromarray(pixels).save(folder / "images" / "a.png")
    np.savez(folder / "gt" / "a.npz", shape=np.array(truth.shape), boundaries=np.packbits(truth, axis=-1))
    return folder


def test_the_table_is_printed_and_written(data, checkpoint, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    arguments = ["evaluate", "edges", "--data", str(data), "--model", str(checkpoint), "--output", str(out)]
    arguments += ["--thresholds", "3", "--points-per-side", "2"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.split("\n")
    assert [line.split()[0] for line in lines[2:4]] == ["sobel", "canny"]
    assert "ODS" in lines[0]
    assert json.loads((out / "command.json").read_text())["command"].startswith("segany evaluate edges --data")
    assert "0.768" in (out / "summary.md").read_text()
    assert (out / "sobel" / "images.csv").read_text().count("\n") == 2
    assert main([*arguments[:-4], "--detectors", "sobel", "--thresholds", "4"]) == 2
    assert "another run (different: thresholds)" in capsys.readouterr().err


def test_bad_input_is_told_in_one_line(tmp_path, capsys) -> None:
    assert main(["evaluate", "edges", "--data", str(tmp_path)]) == 2
    assert "nothing to compare with" in capsys.readouterr().err
    assert main(["evaluate", "edges", "--data", str(tmp_path), "--detectors", "magic"]) == 2
    assert "model, sobel, canny" in capsys.readouterr().err
    assert main(["evaluate"]) == 2
    assert "--data FOLDER is missing" in capsys.readouterr().err


def test_older_protocols_go_by_name_too(tmp_path, capsys) -> None:
    for form in (["everything"], ["--protocol", "everything"]):
        assert main(["evaluate", *form, "--data", str(tmp_path / "none")]) == 2
        assert "is not a folder" in capsys.readouterr().err
