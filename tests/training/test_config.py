"""The knobs of a run: what may be set, and that a file holds all of them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from napari_segany.training.config import TrainingConfig, read_config, write_config


def test_a_written_configuration_reads_back(tmp_path: Path) -> None:
    config = TrainingConfig(steps=7, scale_jitter=(0.5, 1.5), sources={"a/*": 2.0}, precision="bfloat16")
    write_config(tmp_path / "config.json", config)
    assert read_config(tmp_path / "config.json") == config


def test_toml(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('steps = 5\nlearning_rate = 1\nscale_jitter = [1, 2]\n[sources]\n"x/*" = 3\n')
    config = read_config(path)
    assert (config.steps, config.learning_rate, config.scale_jitter, config.sources) == (
        5,
        1.0,
        (1.0, 2.0),
        {"x/*": 3},
    )


def test_unknown_knobs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("step = 5\n")
    with pytest.raises(ValueError, match=r"run\.toml: there is no step to set; known are .*steps"):
        read_config(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps is 0; it must be 1 or more"),
        ({"steps": 1.5}, "steps is 1.5; it must be int"),
        ({"steps": True}, "steps is True; it must be int"),
        ({"crop_size": 100}, "crop_size is 100; it must be a positive multiple of 16"),
        ({"precision": "float8"}, "precision is 'float8'; it must be one of float32, bfloat16, auto"),
        ({"scale_jitter": [2.0, 1.0]}, "scale_jitter is .* the smaller first"),
        ({"batch_size": 4, "accumulation": 3}, "accumulation is 3; it must be a divisor of batch_size"),
        ({"box_share": 1.1}, "box_share is 1.1; it must be between 0 and 1"),
        ({"loss_stride": 3}, "loss_stride is 3; it must be 1, 2 or 4"),
    ],
)
def test_values_that_cannot_be(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingConfig.from_dict(values)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text("{")
    with pytest.raises(ValueError, match=r"run\.json cannot be read as JSON"):
        read_config(path)


def test_it_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        TrainingConfig().steps = 3  # type: ignore[misc]


def test_the_configurations_of_the_repository_are_read(project: Path) -> None:
    for path in sorted((project / "configs").glob("*.toml")):
        assert read_config(path).steps > 0
