"""The training loop: it learns, every parameter takes part, and stopping it changes nothing."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from napari_segany.engine.progress import Progress, Steps, drain
from napari_segany.model import Sam, SamConfig, build_sam, load_sam
from napari_segany.model.state_file import read_state
from napari_segany.training import observer
from napari_segany.training.config import TrainingConfig, read_config
from napari_segany.training.data import CropSource
from napari_segany.training.gradients import accumulate_gradients, train_step
from napari_segany.training.optimizer import build_optimizer
from napari_segany.training.reports import Remark, TrainingStep
from napari_segany.training.sources import find_images
from napari_segany.training.trainer import train
from napari_segany.training.validation import ValidationResult


@pytest.mark.parametrize("fixture", ["tiny_shape", "pyramid_shape"])
def test_every_parameter_learns(fixture: str, tiny_training: TrainingConfig, request: pytest.FixtureRequest) -> None:
    shape = request.getfixturevalue(fixture)
    config = replace(tiny_training, drop_path=0.0, rounds=3, warmup_steps=0)
    source = CropSource([], config, shape)
    crops = [source[i] for i in range(8)]
    # Only the best of three masks learns, and background is clicked only where a mask spills: several starts.
    learned: set[str] = set()
    for seed in range(6):
        torch.manual_seed(seed)
        sam = build_sam(shape)
        # Branches that begin at zero hide what is before them, until a first step opens them.
        train_step(sam, crops[:2], config, build_optimizer(sam, config), seed)
        sam.zero_grad()
        accumulate_gradients(sam, crops, config, torch.Generator().manual_seed(seed))
        gradients = {name: parameter.grad for name, parameter in sam.named_parameters()}
        assert all(gradient is None or gradient.isfinite().all() for gradient in gradients.values())
        learned |= {name for name, gradient in gradients.items() if gradient is not None and gradient.any()}
    assert set(gradients) - learned == set()


def test_parts_of_a_batch_add_up_to_its_gradient(tiny_shape: SamConfig, tiny_training: TrainingConfig) -> None:
    # With frozen running statistics an image's features do not depend on the others.
    config = replace(tiny_training, trainable="decoder", batch_size=4, rounds=2)
    source = CropSource([], config, tiny_shape)
    crops = [source[i] for i in range(4)]
    gradients = []
    for parts in (1, 4):
        torch.manual_seed(0)
        sam = build_sam(tiny_shape)
        accumulate_gradients(sam, crops, replace(config, accumulation=parts), torch.Generator().manual_seed(0))
        gradients.append(torch.cat([p.grad.flatten() for p in sam.parameters() if p.grad is not None]))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("fixture", ["tiny_shape", "pyramid_shape"])
@pytest.mark.parametrize("trainable", ["all", "decoder"])
def test_a_lesson_of_several_images_is_the_lessons_of_each(
    fixture: str, trainable: str, tiny_training: TrainingConfig, request: pytest.FixtureRequest
) -> None:
    shape = request.getfixturevalue(fixture)
    # Clicks at the centre leave nothing to chance; equal numbers of objects weigh the same either way.
    config = replace(tiny_training, trainable=trainable, rounds=1, box_share=0.0, center_share=1.0, drop_path=0.0)
    source = CropSource([], config, shape)
    crops = [replace(source[i], masks=source[i].masks[:1]) for i in range(4)]
    assert all(len(crop.masks) == 1 for crop in crops)
    crops[1] = replace(crops[1], masks=crops[1].masks[:0])  # one shows no object
    gradients, losses = [], []
    for together in (1, 4):
        torch.manual_seed(0)
        sam = build_sam(shape)
        chance = torch.Generator().manual_seed(0)
        results = accumulate_gradients(sam, crops, replace(config, lesson_images=together), chance)
        share = 3 / 4 if together == 1 else 1  # alone, the image without objects takes its share with it
        gradients.append(torch.cat([p.grad.flatten() for p in sam.parameters() if p.grad is not None]) / share)
        losses.append(np.mean([result.loss for result in results]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-5)


def test_thirty_steps_on_drawn_scenes_lower_the_loss(pyramid_shape: SamConfig, tiny_training: TrainingConfig) -> None:
    config = replace(tiny_training, steps=30, batch_size=4, rounds=1, drop_path=0.0, learning_rate=5e-3)
    config = replace(config, scale_jitter=(2.0, 3.0), min_object_area=200, clip_norm=0.0)
    torch.manual_seed(0)
    sam = build_sam(pyramid_shape)
    source = CropSource([], config, pyramid_shape)
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


def test_a_line_of_the_log_counts_the_steps_before_an_interruption_too(
    tiny_weights: Path, tiny_training: TrainingConfig, tmp_path: Path
) -> None:
    config = replace(tiny_training, log_every=4)  # a checkpoint comes every third step
    drain(train(config, [], tmp_path / "a", init=tiny_weights, device="cpu"))
    steps = train(config, [], tmp_path / "b", init=tiny_weights, device="cpu")
    next(progress for progress in steps if isinstance(progress, TrainingStep) and progress.done == 3)
    steps.close()
    drain(train(config, [], tmp_path / "b", device="cpu", resume=True))
    a, b = ((tmp_path / run / "metrics.csv").read_text().splitlines() for run in "ab")
    assert [line.split(",")[2:] for line in a] == [line.split(",")[2:] for line in b]


def test_a_run_interrupted_before_its_first_step_goes_on_from_the_same_weights(
    tiny_weights: Path, tiny_training: TrainingConfig, tmp_path: Path, write_pairs: Callable[..., Path]
) -> None:
    config = replace(tiny_training, procedural_share=0.5, validation_share=0.4, min_object_area=4)
    images = find_images(write_pairs(3))
    unbroken = drain(train(config, images, tmp_path / "a", init=tiny_weights, device="cpu"))
    steps = train(config, images, tmp_path / "b", init=tiny_weights, device="cpu")
    while not (tmp_path / "b" / "last.pt").is_file():
        next(steps)
    steps.close()
    resumed = drain(train(config, images, tmp_path / "b", device="cpu", resume=True))
    assert (unbroken.before, unbroken.validation) == (resumed.before, resumed.validation)
    first, second = read_state(unbroken.weights).tensors, read_state(resumed.weights).tensors
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("[enforce fail] not enough memory: 1 bytes")])
def test_memory_that_runs_out_says_which_knobs_to_lower(
    error: Exception, tiny_weights: Path, tiny_training: TrainingConfig, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("napari_segany.training.trainer.train_step", fail)
    with pytest.raises(MemoryError, match="lower masks_per_image"):
        drain(train(tiny_training, [], tmp_path / "run", init=tiny_weights, device="cpu"))
    assert (tmp_path / "run" / "last.pt").is_file()


def test_what_a_run_leaves(
    tiny_weights: Path, tiny_training: TrainingConfig, tmp_path: Path, write_pairs: Callable[..., Path]
) -> None:
    pytest.importorskip("matplotlib")
    data = write_pairs(3)
    config = replace(tiny_training, procedural_share=0.5, validation_share=0.4, min_object_area=4, picture_every=4)
    result = drain(
        train(
            config,
            find_images(data),
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
    assert [row["step"] for row in rows if row["click"]] == ["0", "3", "6"]
    clicks = {int(row["step"]): float(row["click"]) for row in rows if row["click"]}
    assert result.validation is not None
    assert 0 <= result.validation.click <= result.validation.oracle <= 1
    assert result.validation.click == pytest.approx(max(clicks.values()), abs=1e-4)
    assert clicks[result.step] == pytest.approx(result.validation.click, abs=1e-4)
    assert sorted(path.name for path in (tmp_path / "run" / "pictures").iterdir()) == [
        "step_000004.png", "step_000006.png"
    ]  # fmt: skip
    assert (tmp_path / "run" / "metrics.png").is_file()
    assert load_sam(result.weights).config.image_size == 64
    assert read_state(result.weights).metadata["segany.data"] == "drawn in a test"


def test_a_checkpoint_of_another_model_is_refused(
    tiny_training: TrainingConfig, tiny_weights: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"last\.pt is not a checkpoint of this run"):
        drain(train(tiny_training, [], tmp_path / "run", init=tiny_weights, device="cpu", resume=True))


def test_a_full_disk_is_a_sentence_and_the_checkpoint_before_stays(
    tiny_training: TrainingConfig, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = train(tiny_training, [], tmp_path / "run", init=tiny_weights, device="cpu")
    while not (tmp_path / "run" / "last.pt").is_file():
        next(steps)
    before = (tmp_path / "run" / "last.pt").read_bytes()
    monkeypatch.setattr(torch, "save", Mock(side_effect=RuntimeError("[enforce fail] unexpected pos 64\nmore")))
    with pytest.raises(OSError, match=r"last\.pt cannot be written; is the disk full\?"):
        drain(steps)
    assert (tmp_path / "run" / "last.pt").read_bytes() == before


def test_an_unknown_model_is_refused(tmp_path: Path) -> None:
    config = TrainingConfig(model="heavy", procedural_share=1.0)
    with pytest.raises(ValueError, match="model is 'heavy'; known are light"):
        drain(train(config, [], tmp_path / "run"))


def test_a_crop_larger_than_the_model_is_refused(
    tiny_weights: Path, tiny_training: TrainingConfig, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"crop_size is 128; .* at most 64"):
        drain(train(replace(tiny_training, crop_size=128), [], tmp_path / "run", init=tiny_weights))


def test_the_best_weights_are_exported(
    tiny_weights: Path,
    tiny_training: TrainingConfig,
    tmp_path: Path,
    write_pairs: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The measured IoU is made up; which weights it belongs to is not.
    measured: list[dict[str, torch.Tensor]] = []
    clicks = [0.3, 0.7, 0.5, 0.7]

    def made_up(sam: Sam, *more: object) -> Steps[ValidationResult]:
        measured.append({key: tensor.clone() for key, tensor in sam.state_dict().items()})
        yield Progress(0, 0)
        return ValidationResult(clicks[len(measured) - 1], 0.9, 0.8, 0.1)

    monkeypatch.setattr(observer, "validate", made_up)
    config = replace(tiny_training, procedural_share=0.0, validation_share=0.4, validate_every=2, min_object_area=4)
    result = drain(train(config, find_images(write_pairs(3)), tmp_path / "run", init=tiny_weights, device="cpu"))
    assert (result.step, result.before and result.before.click) == (2, 0.3)
    exported = read_state(result.weights)
    assert exported.metadata["segany.step"] == "2"
    for key, tensor in exported.tensors.items():
        torch.testing.assert_close(tensor.float(), measured[1][key].float(), rtol=1e-3, atol=1e-4)
    moved = [not torch.equal(measured[1][key], measured[3][key]) for key in measured[1]]
    assert any(moved)


def test_a_single_image_is_trained_on_and_said_to_be_the_only_one(
    tiny_weights: Path, tiny_training: TrainingConfig, tmp_path: Path, write_pairs: Callable[..., Path]
) -> None:
    said: list[str] = []

    def listen(progress: Progress) -> None:
        if isinstance(progress, Remark):
            said.append(progress.note)

    config = replace(tiny_training, steps=2, procedural_share=0.0, min_object_area=4)
    result = drain(
        train(config, find_images(write_pairs(1)), tmp_path / "run", init=tiny_weights, device="cpu"), listen
    )
    assert (result.validation, result.step) == (None, 2)
    assert load_sam(result.weights).config.image_size == 64
    (sentence,) = said
    assert sentence.startswith("there is one image: nothing is kept from training to measure on")


def test_objects_that_may_not_be_asked_for_are_said_to_be_missing(
    tiny_weights: Path, tiny_training: TrainingConfig, tmp_path: Path, write_pairs: Callable[..., Path]
) -> None:
    config = replace(tiny_training, steps=3, procedural_share=0.0, min_object_area=4000, log_every=2)
    steps = train(config, find_images(write_pairs(2)), tmp_path / "run", init=tiny_weights, device="cpu")
    said: list[str] = []
    drain(steps, lambda progress: said.append(progress.note) if isinstance(progress, Remark) else None)
    assert [sentence[:32] for sentence in said] == ["2 steps met no object of 4000 pi"]


@pytest.mark.parametrize(
    "knobs",
    [
        {"trainable": "lora", "lora_rank": 2},
        {"trainable": "decoder", "variants": 2},
        {"trainable": "decoder", "variants": 2, "memory_gb": 0.0},
    ],
    ids=["lora", "embeddings in memory", "embeddings in files"],
)
def test_resuming_a_fine_tuning_changes_nothing(
    knobs: dict[str, object],
    tiny_weights: Path,
    tiny_training: TrainingConfig,
    tmp_path: Path,
    write_pairs: Callable[..., Path],
) -> None:
    config = replace(tiny_training, procedural_share=0.0, min_object_area=4, validation_share=0.4, **knobs)
    images = find_images(write_pairs(3))
    unbroken = drain(train(config, images, tmp_path / "a", init=tiny_weights, device="cpu"))
    steps = train(config, images, tmp_path / "b", init=tiny_weights, device="cpu")
    for progress in steps:
        if isinstance(progress, TrainingStep) and progress.done == 4:
            break
    steps.close()
    assert (tmp_path / "b" / "embeddings").exists() == (config.memory_gb == 0)
    # The checkpoint knows the network: the weights of the start are not asked for again.
    resumed = drain(train(config, images, tmp_path / "b", device="cpu", resume=True))
    assert (unbroken.step, unbroken.validation, unbroken.before) == (resumed.step, resumed.validation, resumed.before)
    first, second = read_state(unbroken.weights).tensors, read_state(resumed.weights).tensors
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not (tmp_path / "b" / "embeddings").exists()
    a, b = ((tmp_path / run / "metrics.csv").read_text().splitlines() for run in "ab")
    # All but the second column, which is the time.
    assert [line.split(",")[2:] for line in a] == [line.split(",")[2:] for line in b]


@pytest.mark.parametrize(("gain", "precision"), [(0.2, "float32"), (3.0, "bfloat16")])
def test_auto_is_what_is_faster_here_and_is_written_down(
    gain: float, precision: str, tiny_training: TrainingConfig, tiny_weights: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("napari_segany.engine.precision.bfloat16_gain", lambda device: gain)
    config = replace(tiny_training, steps=1, precision="auto", validate_every=1)
    drain(train(config, [], tmp_path / "run", init=tiny_weights, device="cpu"))
    assert read_config(tmp_path / "run" / "config.json").precision == precision
