from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_segany.cli.main import main
from napari_segany.engine.automatic import AutomaticMaskGenerator
from napari_segany.evaluation.similarity_scores import read_similarity_scores
from napari_segany.formats.record import MaskRecord


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two data sets of an image with five squares, and an image with one."""
    folder = tmp_path / "data"
    labels = np.zeros((40, 60), np.uint8)
    for number in range(1, 6):
        labels[5:13, 11 * number - 8 : 11 * number - 2] = number
    for dataset, stems in (("cells", ("a", "b")), ("worms", ("a",))):
        for kind, scale in (("images", 40), ("labels", 1)):
            (folder / dataset / kind).mkdir(parents=True)
            for stem in stems:
                kept = np.where(labels < 2, labels, 0) if stem == "b" else labels
                Image.fromarray(np.uint8(scale * kept)).save(folder / dataset / kind / f"{stem}.png")
    return folder


@pytest.fixture
def asked(monkeypatch) -> list:
    """Let the generator find every square and some of the ground; remember its settings."""
    settings: list = []

    def run(self, image):
        settings.append(self.settings)
        yield from ()
        masks = [image == level for level in np.unique(image) if level]
        for column in (2, 30):
            ground = np.zeros(image.shape, bool)
            ground[20:38, column : column + 20] = True
            masks.append(ground)
        return [MaskRecord.from_mask(mask, predicted_iou=0.9) for mask in masks]

    monkeypatch.setattr(AutomaticMaskGenerator, "run", run)
    return settings


def evaluate(*arguments: object) -> int:
    return main(["evaluate", *(str(argument) for argument in arguments)])


def test_the_tables_are_printed_and_written(data, checkpoint, tmp_path, capsys, asked) -> None:
    out = tmp_path / "out"
    arguments = ("--protocol", "similar", "--data", data, "--model", checkpoint, "--output", out, "--crops")
    assert evaluate(*arguments) == 0
    printed = capsys.readouterr()
    lines = printed.out.split("\n")
    assert [line.split("  ")[0] for line in lines[1:4]] == ["cells", "worms", "mean over data sets"]
    assert "gain" in lines[0]
    assert "crops" in lines[0]
    assert "1 of 3 images have no more than 3 objects" in printed.err
    assert {path.name for path in out.iterdir()} == {
        "command.json",
        "images.csv",
        "run.json",
        "summary.csv",
        "summary.md",
    }
    scores = {(score.dataset, score.image): score for score in read_similarity_scores(out / "images.csv")}
    assert scores["cells", "a"].area == 1, "all squares are of one size, and the ground is not"
    assert 0 < scores["cells", "a"].crops <= 1
    assert scores["cells", "a"].chance == pytest.approx(2 / 4)
    assert not scores["cells", "b"].is_measured
    assert len(asked) == 3
    assert evaluate(*arguments) == 0
    assert len(asked) == 3, "the second run goes on where the first one ended"
    assert evaluate(*arguments, "--chosen", 2) == 2
    assert "another run (different: chosen)" in capsys.readouterr().err


def test_wrong_candidates_stay_unless_thresholds_are_given(data, checkpoint, asked) -> None:
    same = ("--protocol", "similar", "--data", data, "--datasets", "worms", "--model", checkpoint)
    assert evaluate(*same, "--preset", "cells") == 0
    assert evaluate(*same, "--pred-iou-thresh", 0.8, "--draws", 2) == 0
    assert [(one.pred_iou_thresh, one.stability_score_thresh) for one in asked] == [(0.3, 0.5), (0.8, 0.5)]
    assert asked[0].max_mask_area_fraction == 0.25, "the rest of the preset holds"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--chosen", "9"), "there is nothing to rank; lower --chosen"),
        (("--chosen", "0"), "chosen is 0"),
        (("--baseline",), "--baseline is of the protocol 'points'; leave it out with --protocol similar"),
        (("--groups", "size"), "with --protocol similar, groups are of images"),
        (("--protocol", "everything", "--crops"), "--crops is of the protocol 'similar'"),
        (("--protocol", "points", "--draws", "2", "--chosen", "1"), "--chosen, --draws is of the protocol 'similar'"),
    ],
)
def test_errors_are_one_line_and_status_2(data, checkpoint, capsys, asked, arguments, words) -> None:
    assert evaluate("--protocol", "similar", "--data", data, "--model", checkpoint, *arguments) == 2
    last = capsys.readouterr().err.strip().split("\n")[-1]
    assert last.startswith("segany evaluate: error: ")
    assert words in last
