"""The training loop: it learns, every parameter takes part, and stopping it changes nothing."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from napari_segany.engine.progress import drain
from napari_segany.evaluation.data import find_samples
from napari_segany.model import SamConfig, build_sam, load_sam
from napari_segany.model.state_file import read_state
from napari_segany.training.config import TrainingConfig, read_config
from napari_segany.training.data import CropSource
from napari_segany.training.optimizer import build_optimizer
from napari_segany.training.trainer import accumulate_gradients, train, train_step


def test_every_parameter_learns(tiny_shape: SamConfig, tiny_training: TrainingConfig) -> None:
    config = replace(tiny_training, drop_path=0.0, rounds=3)
    source = CropSource([], config, tiny_shape.image_size)
    crops = [source[i] for i in range(8)]
    # Only the best of three masks learns, and background is clicked only where a mask spills: several starts.
    learned: set[str] = set()
    for seed in range(6):
        torch.manual_seed(seed)
        sam = build_sam(tiny_shape)
        accumulate_gradients(sam, crops, config, torch.Generator().manual_seed(seed))
        gradients = {name: parameter.grad for name, parameter in sam.named_parameters()}
        assert all(gradient is None or gradient.isfinite().all() for gradient in gradients.values())
        learned |= {name for name, gradient in gradients.items() if gradient is not None and gradient.any()}
    assert set(gradients) - learned == set()


def test_parts_of_a_batch_add_up_to_its_gradient(tiny_shape: SamConfig, tiny_training: TrainingConfig) -> None:
    # With frozen running statistics an image's features do not depend on the others.
    config = replace(tiny_training, trainable="decoder", batch_size=4, rounds=2)
    source = CropSource([], config, tiny_shape.image_size)
    crops = [source[i] for i in range(4)]
    gradients = []
    for parts in (1, 4):
        torch.manual_seed(0)
        sam = build_sam(tiny_shape)
        accumulate_gradients(sam, crops, replace(config, accumulation=parts), torch.Generator().manual_seed(0))
        gradients.append(torch.cat([p.grad.flatten() for p in sam.parameters() if p.grad is not None]))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-5)


def test_thirty_steps_on_drawn_scenes_lower_the_loss(tiny_shape: SamConfig, tiny_training: TrainingConfig) -> None:
    config = replace(tiny_training, steps=30, batch_size=4, rounds=1, drop_path=0.0, learning_rate=5e-3)
    config = replace(config, scale_jitter=(2.0, 3.0), min_object_area=200, clip_norm=0.0)
    torch.manual_seed(0)
    sam = build_sam(tiny_shape)
    source = CropSource([], config, tiny_shape.image_size)
    crops = [source[i] for i in range(4)]  # the same four: what can be learned in 30 steps is to know them
    optimizer = build_optimizer(sam, config)
    results = [train_step(sam, crops, config, optimizer, step) for step in range(30)]
    loss = [np.mean([result.loss for result in step]) for step in results]
    best = [np.mean([result.first_best for result in step]) for step in results]
    assert np.mean(loss[-5:]) < 0.6 * np.mean(loss[:3])
    # A mask of everything has the IoU of the objects' share of the image.
    chance = np.mean([crop.masks.mean() for crop in crops])
    assert np.mean(best[-5:]) > chance + 0.1


def test_a_resumed_run_equals_an_unbroken_one(
    tiny_weights: Path, tiny_training: TrainingConfig, tmp_path: Path
) -> None:
    unbroken = drain(train(tiny_training, [], tmp_path / "a", init=tiny_weights, device="cpu"))
    steps = train(tiny_training, [], tmp_path / "b", init=tiny_weights, device="cpu")
    for progress in steps:
        if progress.done == 4:  # one step after the checkpoint, which is lost
            break
    steps.close()
    assert not (tmp_path / "b" / "weights.safetensors").exists()
    resumed = drain(train(tiny_training, [], tmp_path / "b", init=tiny_weights, device="cpu", resume=True))
    first, second = read_state(unbroken.weights).tensors, read_state(resumed.weights).tensors
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_what_a_run_leaves(tiny_weights: Path, tiny_training: TrainingConfig, tmp_path: Path) -> None:
    for name, offset in (("one", 0), ("two", 10), ("three", 20)):
        _write_pair(tmp_path / "data", name, offset)
    config = replace(tiny_training, procedural_share=0.5, validation_share=0.4, batch_size=2, min_object_area=4)
    result = drain(
        train(
            config,
            find_samples(tmp_path / "data"),
            tmp_path / "run",
            init=tiny_weights,
            device="cpu",
            provenance="drawn in a test",
        )
    )
    assert read_config(tmp_path / "run" / "config.json") == config
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows if row["loss"]] == [str(step) for step in range(1, 7)]
    assert [row["step"] for row in rows if row["click"]] == ["3", "6"]
    assert result.validation is not None
    assert 0 <= result.validation.click <= result.validation.oracle <= 1
    assert load_sam(result.weights).config.image_size == 64
    assert read_state(result.weights).metadata["segany.data"] == "drawn in a test"


def test_a_checkpoint_of_another_model_is_refused(
    tiny_training: TrainingConfig, tiny_weights: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"last\.pt is not a checkpoint of this run"):
        drain(train(tiny_training, [], tmp_path / "run", init=tiny_weights, device="cpu", resume=True))


def test_an_unknown_model_is_refused(tmp_path: Path) -> None:
    config = TrainingConfig(model="heavy", procedural_share=1.0)
    with pytest.raises(ValueError, match="model is 'heavy'; known are light"):
        drain(train(config, [], tmp_path / "run"))


def test_a_crop_larger_than_the_model_is_refused(
    tiny_weights: Path, tiny_training: TrainingConfig, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"crop_size is 128; .* at most 64"):
        drain(train(replace(tiny_training, crop_size=128), [], tmp_path / "run", init=tiny_weights))


def _write_pair(folder: Path, name: str, offset: int) -> None:
    labels = np.zeros((48, 60), np.uint16)
    labels[5:25, 4 + offset : 24 + offset] = 1
    labels[30:44, 10:50] = 2
    for kind, values in (("images", (labels > 0).astype(np.uint8) * 120 + 40), ("labels", labels)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(folder / kind / f"{name}.png")
