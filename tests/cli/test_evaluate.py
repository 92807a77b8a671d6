from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_segany.cli.main import main
from napari_segany.engine.predictor import Predictor
from napari_segany.evaluation.scores import read_scores


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two data sets of two images with three squares each."""
    folder = tmp_path / "data"
    labels = np.zeros((40, 60), np.uint16)
    for number in (1, 2, 3):
        labels[5 : 5 + 8 * number, 18 * number - 14 : 18 * number - 2] = number
    for dataset in ("cells", "worms"):
        for kind, array in (("images", np.uint8(40 * labels)), ("labels", labels)):
            (folder / dataset / kind).mkdir(parents=True)
            for name in ("a", "b"):
                Image.fromarray(array).save(folder / dataset / kind / f"{name}.png")
    return folder


def evaluate(*arguments: object) -> int:
    return main(["evaluate", *(str(argument) for argument in arguments)])


def test_a_model_is_measured_and_everything_written(data, checkpoint, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    assert evaluate("--data", data, "--model", checkpoint, "--baseline", "--groups", "size", "--output", out) == 0
    printed = capsys.readouterr()
    table = printed.out.split("\n")
    assert [line.split("  ")[0] for line in table[1:4]] == ["cells", "worms", "mean over data sets"]
    for heading in ("1 point", "best of 3", "9 points", "box", "baseline"):
        assert heading in table[0]
    assert "calibration error" in printed.out
    assert "\nsize " in printed.out
    assert "12/12" in printed.err
    scores = read_scores(out / "objects.csv")
    assert len(scores) == 12
    with (out / "summary.csv").open(newline="") as file:
        means = {(row["dataset"], row["metric"]): float(row["mean"]) for row in csv.DictReader(file)}
    cells = [score.values["iou_baseline"] for score in scores if score.dataset == "cells"]
    assert means["cells", "iou_baseline"] == pytest.approx(np.mean(cells), abs=1e-5)
    for name in ("summary.md", "groups.csv", "iou.png", "calibration.png"):
        assert (out / name).stat().st_size > 0


def test_the_choice_of_images_objects_and_points_is_followed(data, checkpoint, tmp_path, capsys) -> None:
    arguments = ("--data", data, "--model", checkpoint, "--datasets", "worms", "--images-per-dataset", 1)
    chosen = ("--objects-per-image", 2, "--points", "1,2", "--point-choice", "random", "--no-box")
    assert evaluate(*arguments, *chosen, "--output", tmp_path / "out") == 0
    scores = read_scores(tmp_path / "out/objects.csv")
    assert [(score.dataset, score.image) for score in scores] == [("worms", "a")] * 2
    assert list(scores[0].values) == ["iou_1", "oracle_1", "iou_2", "predicted_iou", "mutual_iou"]


def test_baseline_alone_loads_no_model(data, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(Predictor, "__init__", lambda *_, **__: pytest.fail("a model was loaded"))
    assert evaluate("--data", data, "--baseline", "--output", tmp_path) == 0
    assert "baseline" in capsys.readouterr().out
    assert not (tmp_path / "iou.png").exists()


def test_an_interruption_keeps_what_was_measured(data, checkpoint, tmp_path, capsys, monkeypatch) -> None:
    encode = Predictor.encode_steps
    images = []

    def encode_two(self, image, **options):
        images.append(image)
        if len(images) == 3:
            raise KeyboardInterrupt
        return encode(self, image, **options)

    monkeypatch.setattr(Predictor, "encode_steps", encode_two)
    assert evaluate("--data", data, "--model", checkpoint, "--points", "1", "--output", tmp_path / "out") == 130
    assert len(read_scores(tmp_path / "out/objects.csv")) == 6
    printed = capsys.readouterr()
    assert printed.out.split("\n")[1].startswith("cells")
    assert "interrupted" in printed.err


def test_damaged_images_are_named_and_skipped(data, capsys) -> None:
    (data / "cells/labels/a.png").write_text("no picture", encoding="utf-8")
    assert evaluate("--data", data, "--baseline") == 0
    printed = capsys.readouterr()
    assert "skipped: " in printed.err
    assert "a.png" in printed.err
    assert printed.out.split("\n")[1].split()[:3] == ["cells", "1", "3"]


def test_without_matplotlib_the_tables_are_still_written(data, checkpoint, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    out = tmp_path / "out"
    assert evaluate("--data", data, "--model", checkpoint, "--points", "1", "--output", out) == 0
    assert "pip install matplotlib" in capsys.readouterr().err
    assert (out / "summary.md").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "nowhere"), "nowhere is not a folder"),
        (("--data", "DATA", "--datasets", "birds"), "no data set birds"),
        (("--data", "DATA", "--points", "one"), "'one' is not whole numbers"),
        (("--data", "DATA", "--points", "3,1"), "ascending"),
        (("--data", "DATA", "--groups", "stain"), "no column 'stain'"),
        (("--data", "DATA", "--group-table", "g.csv"), "--groups COLUMN"),
        (("--data", "DATA", "--groups", "stain", "--group-table", "g.csv"), "g.csv"),
        (("--data", "DATA", "--model", "unheard-of"), "unheard-of"),
        ((), "--data"),
    ],
)
def test_errors_are_one_line_and_status_2(data, capsys, arguments, words) -> None:
    assert evaluate(*(data if argument == "DATA" else argument for argument in arguments)) == 2
    last = capsys.readouterr().err.strip().split("\n")[-1]
    assert last.startswith("segany evaluate: error: ")
    assert words in last


def test_no_image_left_is_an_error(data, capsys) -> None:
    for path in data.rglob("labels/*.png"):
        path.write_text("no picture", encoding="utf-8")
    assert evaluate("--data", data, "--baseline") == 2
    assert "none of the 4 images" in capsys.readouterr().err
