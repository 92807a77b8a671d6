"""Adapters: who learns, and that merged weights are those of the adapted model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from napari_segany.model import Sam, SamConfig, build_sam, load_sam, save_sam
from napari_segany.training.config import TrainingConfig
from napari_segany.training.data import CropSource
from napari_segany.training.gradients import accumulate_gradients
from napari_segany.training.lora import LowRankLinear, add_adapters, merged_state
from napari_segany.training.optimizer import build_optimizer


def adapted(shape: SamConfig, rank: int = 2) -> Sam:
    """Return a model whose adapters add something."""
    torch.manual_seed(0)
    sam = build_sam(shape)
    add_adapters(sam, rank, alpha=3.0)
    with torch.no_grad():
        for name, parameter in sam.named_parameters():
            if name.endswith("lora_up"):
                parameter.normal_(std=0.2)
    return sam


def answer(sam: Sam, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        return sam.eval().decode_all(
            sam.encode(image), points=torch.tensor([[[20.0, 30.0]]]), labels=torch.tensor([[1]])
        )


def test_an_adapted_model_begins_as_the_one_it_was_made_of(attentive_shape: SamConfig) -> None:
    torch.manual_seed(0)
    sam = build_sam(attentive_shape)
    image = torch.randn(1, 3, 64, 64)
    before = answer(sam, image)
    add_adapters(sam, 4, alpha=8.0)
    for found, expected in zip(answer(sam, image), before, strict=True):
        torch.testing.assert_close(found, expected)


def test_only_adapters_and_decoder_learn(attentive_shape: SamConfig, tiny_training: TrainingConfig) -> None:
    sam = adapted(attentive_shape)
    config = replace(tiny_training, trainable="lora", rounds=3)
    source = CropSource([], config, attentive_shape)
    statistics = {name: buffer.clone() for name, buffer in sam.image_encoder.named_buffers()}
    generator = torch.Generator().manual_seed(0)
    accumulate_gradients(sam, [source[i] for i in range(4)], config, generator)
    learned = {name for name, parameter in sam.named_parameters() if parameter.grad is not None}
    of_encoder = {name for name in learned if name.startswith("image_encoder.")}
    layers = [name for name, module in sam.named_modules() if isinstance(module, LowRankLinear)]
    assert of_encoder == {f"{layer}.{part}" for layer in layers for part in ("lora_down", "lora_up")}
    assert {name.rpartition(".")[2] for name in layers} == {"qkv", "proj"}
    assert all(sam.get_parameter(name).grad.any() for name in of_encoder)  # type: ignore[union-attr]
    # Points, masks and tokens of the decoder learn; what is frozen is not in the optimiser at all.
    assert any(name.startswith("mask_decoder.") for name in learned)
    assert any(name.startswith("prompt_encoder.") for name in learned)
    optimised = {id(p) for group in build_optimizer(sam, config).param_groups for p in group["params"]}
    frozen = {name for name, p in sam.named_parameters() if id(p) not in optimised}
    assert frozen == {
        name for name, _ in sam.named_parameters() if name.startswith("image_encoder.") and ".lora_" not in name
    }
    for name, buffer in sam.image_encoder.named_buffers():
        assert torch.equal(buffer, statistics[name])


def test_merged_weights_answer_as_the_adapted_model_and_load_like_any_sam(
    attentive_shape: SamConfig, tmp_path: Path
) -> None:
    sam = adapted(attentive_shape)
    image = torch.randn(1, 3, 64, 64)
    merged = build_sam(attentive_shape)
    merged.load_state_dict(merged_state(sam.state_dict(), alpha=3.0))
    save_sam(merged, tmp_path / "merged.safetensors", dtype=None)
    loaded = load_sam(tmp_path / "merged.safetensors")
    assert set(loaded.state_dict()) == set(build_sam(attentive_shape).state_dict())
    for found, expected in zip(answer(loaded, image), answer(sam, image), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    # The adapters did matter.
    plain = build_sam(attentive_shape)
    plain.load_state_dict({key: tensor for key, tensor in sam.state_dict().items() if ".lora_" not in key})
    assert not torch.allclose(answer(plain, image)[0], answer(sam, image)[0], atol=1e-3)


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4), st.booleans(), st.integers(0, 10**6))
def test_a_layer_with_its_adapter_is_one_matrix(inputs: int, outputs: int, rank: int, bias: bool, seed: int) -> None:
    torch.manual_seed(seed)
    linear = nn.Linear(inputs, outputs, bias=bias)
    layer = LowRankLinear(linear, rank, scale=0.5)
    layer.lora_up.data.normal_()
    x = torch.randn(3, inputs)
    matrix = linear.weight + 0.5 * layer.lora_up @ layer.lora_down
    torch.testing.assert_close(layer(x), x @ matrix.T + (linear.bias if bias else 0.0))
    state = {f"a.{key}": tensor for key, tensor in layer.state_dict().items()}
    torch.testing.assert_close(merged_state(state, alpha=0.5 * rank)["a.weight"], matrix.detach())


def test_an_encoder_without_attention_is_refused(pyramid_shape: SamConfig) -> None:
    with pytest.raises(ValueError, match="has no attention to adapt; set trainable to 'all' or 'decoder'"):
        add_adapters(build_sam(pyramid_shape), 4, alpha=4.0)
