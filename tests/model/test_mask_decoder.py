from __future__ import annotations

import dataclasses

import pytest
import torch

from napari_segany.model import Sam, SamConfig, build_sam
from napari_segany.model.mask_decoder import MLP, choose_masks


def embeddings(prompts: int, images: int = 1) -> dict[str, torch.Tensor]:
    return {
        "image_embeddings": torch.randn(images, 256, 4, 4),
        "image_pe": torch.randn(1, 256, 4, 4),
        "sparse_prompt_embeddings": torch.randn(prompts, 2, 256),
        "dense_prompt_embeddings": torch.randn(prompts, 256, 4, 4),
    }


@torch.no_grad()
def test_three_masks_or_the_one_are_chosen_of_four(mini: Sam):
    inputs = embeddings(prompts=2)
    masks, iou = mini.mask_decoder.predict_masks(**inputs)
    assert masks.shape == (2, 4, 16, 16)
    assert iou.shape == (2, 4)
    three, three_iou = mini.mask_decoder(**inputs, multimask_output=True)
    one, one_iou = mini.mask_decoder(**inputs, multimask_output=False)
    assert torch.equal(three, masks[:, 1:])
    assert torch.equal(one, masks[:, :1])
    assert torch.equal(torch.cat([one_iou, three_iou], dim=1), iou)


def test_choice_needs_no_model():
    masks, iou = torch.arange(4.0).view(1, 4, 1, 1), torch.arange(4.0).view(1, 4)
    assert choose_masks(masks, iou, multimask=True)[0].flatten().tolist() == [1, 2, 3]
    assert choose_masks(masks, iou, multimask=False)[1].tolist() == [[0]]


@torch.no_grad()
@pytest.mark.parametrize("depth", [2, 3])
def test_depth_is_a_setting(mini_config: SamConfig, depth: int):
    decoder = build_sam(dataclasses.replace(mini_config, decoder_depth=depth)).mask_decoder
    assert len(decoder.transformer.layers) == depth
    masks, _ = decoder(**embeddings(prompts=1), multimask_output=True)
    assert masks.shape == (1, 3, 16, 16)


def test_what_does_not_belong_together_is_refused(mini: Sam):
    with pytest.raises(ValueError, match="2 image embeddings for 3 prompts"):
        mini.mask_decoder.predict_masks(**embeddings(prompts=3, images=2))


def test_mlp_has_as_many_layers_as_asked_for():
    mlp = MLP(4, 8, 2, num_layers=3)
    assert [tuple(layer.weight.shape) for layer in mlp.layers] == [(8, 4), (8, 8), (2, 8)]
    hidden = torch.relu(mlp.layers[1](torch.relu(mlp.layers[0](torch.ones(1, 4)))))
    torch.testing.assert_close(mlp(torch.ones(1, 4)), mlp.layers[2](hidden))
