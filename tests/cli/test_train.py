"""`segany train` as a user types it, on a model small enough for a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_segany.cli.main import main
from napari_segany.engine.progress import drain
from napari_segany.formats.coco import CocoObject, writing_coco
from napari_segany.formats.record import MaskRecord
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
picture_every = 0
"""

FEW = ("--set", "steps=2", "--set", "masks_per_image=2", "--set", "min_object_area=4", "--set", "rounds=1")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two images with a square each, one without any object, and the knobs of a short run."""
    monkeypatch.setenv("SEGANY_MODELS", str(tmp_path / "models"))
    for name, side in (("a", 20), ("b", 12), ("empty", 0)):
        labels = np.zeros((40, 60), np.uint16)
        labels[5 : 5 + side, 10 : 10 + side] = 1
        for kind, array in (("images", np.uint8(150 * labels + 30)), ("labels", labels)):
            (tmp_path / "data" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(tmp_path / "data" / kind / f"{name}.png")
    (tmp_path / "run.toml").write_text(KNOBS)
    return tmp_path


def train(folder: Path, *more: object) -> int:
    arguments = ("--data", folder / "data", "--output", folder / "run", "--device", "cpu", *more)
    return main(["train", *(str(argument) for argument in arguments)])


def test_a_run_leaves_weights_and_says_what_it_left_out(data, checkpoint, capsys) -> None:
    assert train(data, "--config", data / "run.toml", "--init", checkpoint, "--no-register") == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(data / "run" / "weights.safetensors")
    assert "note: left out 1 of 3 images, the first: data/empty: it has no objects" in printed.err
    assert (data / "run" / "skipped.txt").read_text().startswith("data/empty")
    assert read_config(data / "run" / "config.json").steps == 2
    assert not (data / "models").exists()
    assert main(["segment", str(data / "data/images/a.png"), "--point", "10,15", "--device", "cpu",
                 "--model", printed.out.strip(), "-o", str(data / "mask.tif")]) == 0  # fmt: skip


def test_fine_tuning_needs_no_configuration_and_the_widgets_offer_its_model(data, checkpoint, capsys) -> None:
    assert train(data, "--init", checkpoint, "--name", "squares", *FEW) == 0
    printed = capsys.readouterr()
    config = read_config(data / "run" / "config.json")
    # A plain ViT: its encoder is frozen, and it sees whole images.
    assert (config.trainable, config.variants, config.crop_size, config.procedural_share) == ("decoder", 4, 64, 0)
    assert "napari and the commands now offer it as 'squares'" in printed.out
    assert "best at step" in printed.out
    assert "before the training: " in printed.out
    assert "2/2" in printed.err.replace("\r", "\n")

    from napari_segany.engine.predictor import Predictor
    from napari_segany.widgets.catalogue import catalogue_steps, predictor_loader

    choices = {choice.name: choice for choice in drain(catalogue_steps(None)).models}
    assert choices["squares"].present
    assert predictor_loader(None)("squares", "cpu").name == Predictor("squares", device="cpu").name
    assert main(["models"]) == 0
    assert "squares" in capsys.readouterr().out


def test_the_folder_names_the_model_and_a_name_that_was_taken_is_told(data, checkpoint, capsys) -> None:
    for output in ("my run!", "elsewhere/my run!"):
        assert train(data, "--init", checkpoint, "--output", data / output, *FEW, "--set", "trainable=lora") == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed.count("napari and the commands now offer it as 'my-run-'") == 2
    assert printed[-1] == f"(that name meant {data / 'my run!' / 'weights.safetensors'} before)"


def test_a_run_goes_on_with_the_knobs_that_it_began_with(data, checkpoint, capsys) -> None:
    assert train(data, "--init", checkpoint, "--no-register", *FEW) == 0
    assert train(data, "--resume", "--no-register", "--set", "steps=3") == 0
    config = read_config(data / "run" / "config.json")
    assert (config.steps, config.masks_per_image, config.trainable) == (3, 2, "decoder")
    steps = [line.split(",")[0] for line in (data / "run" / "metrics.csv").read_text().splitlines()[1:]]
    assert steps == ["0", "2", "3"]


def test_there_is_nothing_to_go_on_from(data, capsys) -> None:
    assert train(data, "--resume", "--no-register") == 2
    assert "holds no run to go on from; begin it with the command of the run" in capsys.readouterr().err
    assert not (data / "run" / "last.pt").exists()


def test_only_the_first_of_several_processes_registers_the_model(data, checkpoint, capsys, monkeypatch) -> None:
    monkeypatch.setenv("RANK", "1")
    assert train(data, "--init", checkpoint, "--name", "squares", *FEW) == 0
    assert capsys.readouterr().out == ""
    assert not list((data / "models").glob("*.json"))


def test_a_folder_that_holds_a_run_is_not_written_over(data, checkpoint, capsys) -> None:
    assert train(data, "--init", checkpoint, "--no-register", *FEW) == 0
    before = (data / "run" / "weights.safetensors").read_bytes()
    capsys.readouterr()
    assert_one_line(train(data, "--init", checkpoint, "--no-register", *FEW), capsys, "holds a run already")
    assert (data / "run" / "weights.safetensors").read_bytes() == before


def test_a_coco_file_with_its_images_elsewhere(data, checkpoint, capsys) -> None:
    cell, nucleus = np.zeros((2, 40, 60), bool)
    cell[5:25, 10:30], nucleus[10:15, 15:20] = True, True
    (data / "far").mkdir()
    with writing_coco(data / "cells.json") as writer:
        for name in ("a", "b"):
            Image.fromarray(np.uint8(60 * cell + 60 * nucleus)).save(data / "far" / f"{name}.png")
            masks = [CocoObject(MaskRecord.from_mask(mask)) for mask in (cell, nucleus)]
            writer.add(f"{name}.png", cell.shape, masks)
    place = ("--data", data / "cells.json", "--init", checkpoint, "--no-register", *FEW)
    assert train(data, *place) == 2
    assert "none of the 2 images of cells.json is near it" in capsys.readouterr().err
    assert train(data, *place, "--images", data / "far") == 0


@pytest.mark.parametrize(
    ("knobs", "complaint"),
    [
        ("learning_rat = 1", "run.toml: there is no learning_rat to set"),
        ("steps = ", "run.toml cannot be read as TOML"),
        ('model = "heavy"', "model is 'heavy'; known are light"),
    ],
)
def test_mistakes_in_the_file_are_one_line(data, capsys, knobs, complaint) -> None:
    (data / "run.toml").write_text(knobs)
    assert_one_line(train(data, "--config", data / "run.toml"), capsys, complaint)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--set", "steps"), "--set steps is not KNOB=VALUE, as in --set steps=500"),
        (("--set", "steps=many"), "steps is 'many'; it must be int"),
        (("--set", "trainable=some"), "trainable is 'some'; it must be one of all, decoder, lora"),
        (("--name", "vit_b"), "'vit_b' is the name of a published model"),
        (("--name", "my model"), "'my model' cannot be the name of a model"),
        (("--init", "vit_x"), "there is no model 'vit_x'; known are light"),
        (("--init", "none.safetensors"), "none.safetensors"),
        (("--init", "vit_b"), "segany models download vit_b"),
        (("--data", "nothing"), "nothing does not exist; give a folder with images/ and labels/"),
    ],
)
def test_mistakes_are_one_line_before_the_work(data, capsys, arguments, complaint) -> None:
    assert_one_line(train(data, *arguments), capsys, complaint)
    assert not (data / "run").exists()


def assert_one_line(status: int, capsys: pytest.CaptureFixture[str], complaint: str) -> None:
    error = capsys.readouterr().err.strip()
    assert status == 2
    assert complaint in error
    assert len(error.splitlines()) == 1
