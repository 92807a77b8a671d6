"""`segany train` as a user types it, on a model small enough for a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_segany.cli.main import main
from napari_segany.training.config import read_config

KNOBS = """
steps = 2
batch_size = 2
crop_size = 64
masks_per_image = 2
rounds = 1
procedural_share = 0.5
min_object_area = 4
validation_share = 0.0
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two images with a square each, one without any object, and the knobs of a short run."""
    for name, side in (("a", 20), ("b", 12), ("empty", 0)):
        labels = np.zeros((40, 60), np.uint16)
        labels[5 : 5 + side, 10 : 10 + side] = 1
        for kind, array in (("images", np.uint8(150 * labels + 30)), ("labels", labels)):
            (tmp_path / "data" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(tmp_path / "data" / kind / f"{name}.png")
    (tmp_path / "run.toml").write_text(KNOBS)
    return tmp_path


def train(folder: Path, *more: object) -> int:
    arguments = ("--config", folder / "run.toml", "--data", folder / "data", "--output", folder / "run", *more)
    return main(["train", *(str(argument) for argument in arguments)])


def test_a_run_leaves_weights_and_says_what_it_left_out(data, checkpoint, capsys) -> None:
    assert train(data, "--init", checkpoint, "--device", "cpu") == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(data / "run" / "weights.safetensors")
    assert "left out 1 images, the first: data/empty: the label image has no objects" in printed.err
    assert (data / "run" / "skipped.txt").read_text().startswith("data/empty")
    assert read_config(data / "run" / "config.json").steps == 2
    assert main(["segment", str(data / "data/images/a.png"), "--point", "10,15", "--device", "cpu",
                 "--model", printed.out.strip(), "-o", str(data / "mask.tif")]) == 0  # fmt: skip


@pytest.mark.parametrize(
    ("knobs", "complaint"),
    [
        ("learning_rat = 1", "run.toml: there is no learning_rat to set"),
        ("steps = ", "run.toml cannot be read as TOML"),
        ('model = "heavy"', "model is 'heavy'; known are light"),
    ],
)
def test_mistakes_are_one_line(data, capsys, knobs, complaint) -> None:
    (data / "run.toml").write_text(knobs)
    assert train(data) == 2
    error = capsys.readouterr().err.strip()
    assert complaint in error
    assert len(error.splitlines()) == 1
