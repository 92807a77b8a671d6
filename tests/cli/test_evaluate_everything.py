from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_segany.cli.main import main
from napari_segany.engine.automatic import AutomaticMaskGenerator
from napari_segany.evaluation.image_scores import read_image_scores
from napari_segany.formats.record import MaskRecord


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two data sets of one domain each, of two images with three squares."""
    folder = tmp_path / "data"
    labels = np.zeros((40, 60), np.uint16)
    for number in (1, 2, 3):
        labels[5 : 5 + 8 * number, 18 * number - 14 : 18 * number - 2] = number
    for dataset in ("cells", "worms"):
        for kind, array in (("images", np.uint8(40 * labels)), ("labels", labels)):
            (folder / dataset / kind).mkdir(parents=True)
            for name in ("a", "b"):
                Image.fromarray(array).save(folder / dataset / kind / f"{name}.png")
    items = [{"stem": "a", "stain": "red"}, {"stem": "b"}]
    index = [{"dataset": dataset, "domain": "microscopy", "items": items} for dataset in ("cells", "worms")]
    (folder / "index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture
def finds_two(monkeypatch) -> list[np.ndarray]:
    """Let the generator find two of the three squares, and one mask of nothing; remember its images."""
    images: list[np.ndarray] = []

    def run(self, image):
        images.append(image)
        yield from ()
        masks = [image == 40, image == 80, image == 0]
        scores = (0.9, 0.8, 0.7)
        return [MaskRecord.from_mask(mask, predicted_iou=iou) for mask, iou in zip(masks, scores, strict=True)]

    monkeypatch.setattr(AutomaticMaskGenerator, "run", run)
    return images


def evaluate(*arguments: object) -> int:
    return main(["evaluate", "--protocol", "everything", *(str(argument) for argument in arguments)])


def test_a_model_is_measured_and_everything_written(data, checkpoint, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    few = ("--points-per-side", 2, "--pred-iou-thresh", 0, "--stability-score-thresh", 0)
    assert evaluate("--data", data, "--model", checkpoint, "--output", out, *few) == 0
    printed = capsys.readouterr()
    table = printed.out.split("\n")
    assert [line.split("  ")[0] for line in table[1:4]] == ["cells", "worms", "mean over data sets"]
    assert "AR 1000" in table[0]
    assert "4/4" in printed.err
    assert len(read_image_scores(out / "images.csv")) == 4
    assert {path.name for path in out.iterdir()} == {
        "command.json",
        "images.csv",
        "run.json",
        "summary.csv",
        "summary.md",
        "groups.csv",
    }


def test_the_numbers_are_those_of_what_was_found(data, checkpoint, tmp_path, capsys, finds_two) -> None:
    assert evaluate("--data", data, "--model", checkpoint, "--output", tmp_path / "out") == 0
    with (tmp_path / "out/summary.csv").open(newline="") as file:
        means = {(row["dataset"], row["metric"]): float(row["mean"]) for row in csv.DictReader(file)}
    assert means["cells", "precision_50"] == pytest.approx(2 / 3, abs=1e-5)
    assert means["cells", "recall_75"] == pytest.approx(2 / 3, abs=1e-5)
    assert means["mean over data sets", "ar_100"] == pytest.approx(2 / 3, abs=1e-5)
    assert "\ndomain " in capsys.readouterr().out
    assert (tmp_path / "out/groups.csv").read_text().split("\n")[1].startswith("microscopy,4,12,")


def test_a_second_run_goes_on_where_the_first_ended(
    data, checkpoint, tmp_path, capsys, monkeypatch, finds_two
) -> None:
    run = AutomaticMaskGenerator.run

    def interrupted(self, image):
        if len(finds_two) == 2:
            raise KeyboardInterrupt
        return (yield from run(self, image))

    arguments = ("--data", data, "--model", checkpoint, "--output", tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(AutomaticMaskGenerator, "run", interrupted)
        assert evaluate(*arguments) == 130
    printed = capsys.readouterr()
    assert printed.out.split("\n")[1].startswith("cells")
    assert "run it again to go on" in printed.err
    assert evaluate(*arguments) == 0
    assert len(finds_two) == 4
    assert [row.split(",")[:2] for row in (tmp_path / "out/images.csv").read_text().split("\n")[1:5]] == [
        [dataset, name] for dataset in ("cells", "worms") for name in ("a", "b")
    ]
    assert evaluate(*arguments) == 0
    assert len(finds_two) == 4
    assert "mean over data sets" in capsys.readouterr().out


def test_other_settings_do_not_mix_with_these(data, checkpoint, tmp_path, capsys, finds_two) -> None:
    arguments = ("--data", data, "--model", checkpoint, "--output", tmp_path / "out")
    assert evaluate(*arguments) == 0
    assert evaluate(*arguments, "--points-per-batch", 8) == 0, "which changes no mask"
    assert evaluate(*arguments, "--box-nms-thresh", 0.5) == 2
    assert "another run (different: settings)" in capsys.readouterr().err


def test_groups_are_of_images(data, checkpoint, tmp_path, capsys, finds_two) -> None:
    assert evaluate("--data", data, "--model", checkpoint, "--groups", "stain") == 0
    printed = capsys.readouterr().out
    assert "\nred " in printed
    assert "\n(unknown) " in printed


def test_damaged_images_are_named_and_skipped(data, checkpoint, capsys, finds_two) -> None:
    (data / "cells/labels/a.png").write_text("no picture", encoding="utf-8")
    assert evaluate("--data", data, "--model", checkpoint) == 0
    printed = capsys.readouterr()
    assert "skipped: cells/a: " in printed.err
    for path in data.rglob("labels/*.png"):
        path.write_text("no picture", encoding="utf-8")
    assert evaluate("--data", data, "--model", checkpoint) == 2
    assert "none of the 4 images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "nowhere"), "nowhere is not a folder"),
        (("--data", "DATA", "--points", "1,2", "--baseline"), "--baseline, --points is of the protocol 'points'"),
        (("--data", "DATA", "--groups", "size"), "groups are of images"),
        (("--data", "DATA", "--groups", "dye"), "no column 'dye'"),
        (("--data", "DATA", "--group-table", "g.csv"), "--groups COLUMN"),
        (("--data", "DATA", "--points-per-side", "0"), "points_per_side"),
        (("--data", "DATA", "--model", "unheard-of"), "unheard-of"),
    ],
)
def test_errors_are_one_line_and_status_2(data, capsys, arguments, words) -> None:
    assert evaluate(*(data if argument == "DATA" else argument for argument in arguments)) == 2
    last = capsys.readouterr().err.strip().split("\n")[-1]
    assert last.startswith("segany evaluate: error: ")
    assert words in last
