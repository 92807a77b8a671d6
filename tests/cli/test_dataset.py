from __future__ import annotations

import sys

import numpy as np
from PIL import Image

from napari_segany.cli.main import main


def test_a_folder_of_labels_is_told_and_drawn(tmp_path, capsys) -> None:
    labels = np.zeros((20, 40), np.uint8)
    labels[0:4, 0:8] = 1
    for kind in ("images", "labels"):
        (tmp_path / "cells" / kind).mkdir(parents=True)
        Image.fromarray(labels).save(tmp_path / "cells" / kind / "a.png")
    out = tmp_path / "out"
    assert main(["dataset", "stats", str(tmp_path / "cells"), "--output", str(out)]) == 0
    assert "| cells | 1 | 1 | 1.0 | 1.0 | 0.200 | 0.000 | - | - |" in capsys.readouterr().out
    expected = {"summary.md", "images.csv", "masks.csv", "command.json", "statistics.png", "centers.png"}
    assert {path.name for path in out.iterdir()} == expected
    assert main(["dataset", "stats", str(tmp_path / "none")]) == 2
    assert "does not exist; give a folder with images/ and labels/" in capsys.readouterr().err


def test_without_matplotlib_the_picture_of_near_masks_is_refused_before_the_work(
    tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["dataset", "nearest", str(tmp_path / "none"), "--output", str(tmp_path / "out")]) == 2
    assert "pip install matplotlib" in capsys.readouterr().err


def test_what_is_no_table_of_ratings_is_named(tmp_path, capsys) -> None:
    path = tmp_path / "im.png"
    Image.fromarray(np.zeros((20, 40), np.uint8)).save(path)
    assert main(["dataset", "ratings", str(path)]) == 2
    assert f"{path} is no table of ratings" in capsys.readouterr().err
