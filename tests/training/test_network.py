"""What a run begins with: the knobs for users, the weights of a file, and checkpoints of earlier versions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_segany.model import SamConfig, build_sam, load_sam, save_sam
from napari_segany.model.config import PRESETS
from napari_segany.training.checkpointing import Checkpoint, read_checkpoint, restore, save_checkpoint
from napari_segany.training.config import TrainingConfig
from napari_segany.training.fine_tuning import fine_tuning_config
from napari_segany.training.network import preset_name, start_network
from napari_segany.training.optimizer import build_optimizer, start_average
from napari_segany.training.validation import Milestones, ValidationResult


@pytest.mark.parametrize("name", PRESETS)
def test_knobs_for_every_known_model(name: str) -> None:
    shape = PRESETS[name]
    config = fine_tuning_config(replace(shape, encoder=replace(shape.encoder, drop_path_rate=0.1)))
    assert config.model == preset_name(shape) == name
    assert (config.trainable == "decoder") == name.startswith(("vit_b", "vit_l", "vit_h"))
    assert config.crop_size == (1024 if config.trainable == "decoder" else 256)
    assert config.batch_size // config.accumulation == 1 or config.trainable == "all"
    assert fine_tuning_config(shape, "lora").variants == 0
    assert fine_tuning_config(shape, "decoder").variants == 4


def test_the_weights_are_those_of_the_file(tiny_weights: Path, tiny_training: TrainingConfig) -> None:
    expected = load_sam(tiny_weights).state_dict()
    for trainable in ("all", "decoder"):
        sam = start_network(replace(tiny_training, trainable=trainable), tiny_weights)
        assert all(torch.equal(tensor, expected[key]) for key, tensor in sam.state_dict().items())
        learns = {name.partition(".")[0] for name, p in sam.named_parameters() if p.requires_grad}
        assert learns == {"mask_decoder", "prompt_encoder"} | ({"image_encoder"} if trainable == "all" else set())


@torch.no_grad()
def test_weights_get_what_was_added_to_decoders_since_and_it_changes_nothing_yet(
    pyramid_shape: SamConfig, tiny_training: TrainingConfig, tmp_path: Path
) -> None:
    before = build_sam(replace(pyramid_shape, mask_refinement=False, fine_boxes=False))
    save_sam(before, tmp_path / "before.safetensors", dtype=None)
    sam = start_network(tiny_training, tmp_path / "before.safetensors").eval()
    assert sam.config.mask_refinement
    assert sam.config.fine_boxes
    assert preset_name(replace(PRESETS["light"], mask_refinement=False, fine_boxes=False)) == "light"
    image = torch.randn(1, 3, 64, 64)
    boxes = torch.tensor([[10.0, 10.0, 40.0, 50.0]])
    prompts = {"points": torch.tensor([[[20.0, 30.0]]]), "labels": torch.tensor([[1]]), "boxes": boxes}
    expected, _ = before.decode_all(before.encode(image), **prompts)
    masks, _ = sam.decode_all(sam.encode(image), **prompts)
    assert torch.equal(masks, expected)


def test_an_average_shares_what_does_not_learn(tiny_weights: Path, tiny_training: TrainingConfig) -> None:
    sam = start_network(replace(tiny_training, trainable="lora"), tiny_weights)
    average = start_average(sam)
    state = sam.state_dict()
    shared = {key for key, tensor in average.items() if tensor.data_ptr() == state[key].data_ptr()}
    assert shared == {name for name, parameter in sam.named_parameters() if not parameter.requires_grad}
    assert shared


def test_a_checkpoint_reads_back(tiny_shape: SamConfig, tiny_training: TrainingConfig, tmp_path: Path) -> None:
    sam = build_sam(tiny_shape)
    optimizer = build_optimizer(sam, tiny_training)
    milestones = Milestones(ValidationResult(0.1, 0.2, 0.3, 0.4), ValidationResult(0.5, 0.6, 0.7, 0.8), 3)
    path = tmp_path / "last.pt"
    average = start_average(sam)
    save_checkpoint(path, Checkpoint.of(sam, average, optimizer, 5, milestones))
    found = read_checkpoint(path)
    assert (found.step, found.milestones, found.shape) == (5, milestones, tiny_shape)
    other = build_sam(tiny_shape)
    restore(path, found, other, start_average(other), build_optimizer(other, tiny_training))
    assert all(torch.equal(tensor, sam.state_dict()[key]) for key, tensor in other.state_dict().items())
    adapted = start_network(replace(tiny_training, trainable="lora"), shape=tiny_shape)
    with pytest.raises(ValueError, match=r"last\.pt is not a checkpoint of this run .*start anew without --resume"):
        restore(path, found, adapted, start_average(adapted), build_optimizer(adapted, tiny_training))


def test_checkpoints_of_earlier_versions_are_read(tiny_shape: SamConfig, tmp_path: Path) -> None:
    state = build_sam(tiny_shape).state_dict()
    torch.save({"model": state, "average": state, "optimizer": {}, "step": 7, "best": 0.5}, tmp_path / "last.pt")
    found = read_checkpoint(tmp_path / "last.pt")
    assert (found.step, found.milestones, found.shape) == (7, Milestones(), None)
