from __future__ import annotations

import dataclasses

import pytest
import torch

from napari_segany.model import CheckpointError, Sam, SamConfig, recognise
from napari_segany.model.config import PRESETS


def weights_of(config: SamConfig) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return Sam(config).state_dict()


@pytest.mark.parametrize("name", ["vit_t", "vit_b", "vit_l", "vit_h"])
def test_published_models_are_recognised(name: str):
    assert recognise(weights_of(PRESETS[name])) == PRESETS[name]


def test_models_of_any_size_are_recognised(mini_config: SamConfig):
    assert recognise(weights_of(mini_config)) == mini_config
    config = dataclasses.replace(
        mini_config, image_size=512, decoder_depth=3, decoder_mlp_dim=128, num_multimask_outputs=4, mask_in_chans=8
    )
    assert recognise(weights_of(config)) == config


def test_a_tiny_vit_tells_all_but_its_image_size(tiny_config: SamConfig):
    found = recognise(weights_of(tiny_config))
    assert found.image_size == 1024
    encoder = dataclasses.replace(  # of the convolutional stage there is no attention to see
        tiny_config.encoder,
        num_heads=(2, *tiny_config.encoder.num_heads[1:]),
        window_sizes=(7, *tiny_config.encoder.window_sizes[1:]),
    )
    assert dataclasses.replace(found, image_size=64) == dataclasses.replace(tiny_config, encoder=encoder)


@pytest.mark.parametrize(
    "missing", ["image_encoder.pos_embed", "mask_decoder.mask_tokens.weight", "image_encoder.blocks.2.attn.rel_pos_h"]
)
def test_other_weights_are_not_recognised(mini_config: SamConfig, missing: str):
    weights = weights_of(mini_config)
    del weights[missing]
    with pytest.raises(CheckpointError, match=f"not those of a SAM: {missing} is missing"):
        recognise(weights)


def test_windows_of_several_sizes_are_not_recognised(mini_config: SamConfig):
    weights = weights_of(mini_config)
    weights["image_encoder.blocks.0.attn.rel_pos_h"] = torch.empty(21, 32)
    with pytest.raises(CheckpointError, match=r"the windows are \[7, 11\] tokens wide"):
        recognise(weights)
