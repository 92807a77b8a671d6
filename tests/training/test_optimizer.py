"""The learning rate against hand-worked values, who decays, and the moving average."""

from __future__ import annotations

import pytest
import torch

from napari_segany.model import SamConfig, build_sam
from napari_segany.training.config import TrainingConfig
from napari_segany.training.optimizer import build_optimizer, follow, learning_rate, set_learning_rate


def test_warm_up_and_steps_as_published() -> None:
    config = TrainingConfig()  # 90,000 steps, 8e-4, warm-up of 250, a tenth at 60,000 and at 86,643
    assert learning_rate(0, config) == pytest.approx(8e-4 / 250)
    assert learning_rate(124, config) == pytest.approx(4e-4)
    assert learning_rate(250, config) == 8e-4
    assert learning_rate(59_999, config) == 8e-4
    assert learning_rate(60_001, config) == pytest.approx(8e-5)
    assert learning_rate(86_700, config) == pytest.approx(8e-6)


def test_cosine() -> None:
    config = TrainingConfig(schedule="cosine", steps=110, warmup_steps=10, learning_rate=1.0, final_rate=0.1)
    assert learning_rate(10, config) == pytest.approx(1.0)
    assert learning_rate(60, config) == pytest.approx(0.55)
    assert learning_rate(110, config) == pytest.approx(0.1)


def test_constant() -> None:
    config = TrainingConfig(schedule="constant", warmup_steps=1)
    assert learning_rate(80_000, config) == config.learning_rate


def test_every_parameter_once_and_layers_slower_below(tiny_shape: SamConfig) -> None:
    sam = build_sam(tiny_shape)
    optimizer = build_optimizer(sam, TrainingConfig(layer_decay=0.5, learning_rate=1.0, weight_decay=0.1))
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    named = dict(sam.named_parameters())
    assert len(rates) == len(named) == sum(len(group["params"]) for group in optimizer.param_groups)
    # Four blocks: the last learns at 1/2, the first at 1/16, the patch embedding below it at 1/32.
    assert rates[id(named["image_encoder.layers.3.blocks.0.mlp.fc1.weight"])] == pytest.approx(1 / 2)
    assert rates[id(named["image_encoder.layers.0.blocks.0.conv1.c.weight"])] == pytest.approx(1 / 16)
    assert rates[id(named["image_encoder.patch_embed.seq.0.c.weight"])] == pytest.approx(1 / 32)
    assert rates[id(named["image_encoder.neck.0.weight"])] == 1
    assert rates[id(named["mask_decoder.iou_token.weight"])] == 1
    assert decays[id(named["image_encoder.layers.3.blocks.0.mlp.fc1.weight"])] == 0.1
    for name in ("mask_decoder.iou_token.weight", "image_encoder.layers.3.blocks.0.mlp.fc1.bias",
                 "prompt_encoder.no_mask_embed.weight"):  # fmt: skip
        assert decays[id(named[name])] == 0
    assert decays[id(named["mask_decoder.transformer.layers.0.cross_attn_token_to_image.q_proj.weight"])] == 0.1
    set_learning_rate(optimizer, 0.2)
    assert [group["lr"] / group["scale"] for group in optimizer.param_groups] == pytest.approx(
        [0.2] * len(optimizer.param_groups)
    )


def test_layers_of_a_pyramid_and_what_halves_the_resolution(pyramid_shape: SamConfig, tiny_shape: SamConfig) -> None:
    for shape, expected in (
        (pyramid_shape, {"stem.c": 1 / 32, "stages.0.0.conv1.c": 1 / 16, "downsamples.1.c": 1 / 8,
                         "stages.1.0.conv1.c": 1 / 8, "stages.3.0.conv2.c": 1 / 2, "merges.0.c": 1, "fine.0": 1}),
        (tiny_shape, {"layers.0.downsample.conv1.c": 1 / 8, "layers.1.blocks.0.mlp.fc1": 1 / 8}),
    ):  # fmt: skip
        sam = build_sam(shape)
        optimizer = build_optimizer(sam, TrainingConfig(layer_decay=0.5, learning_rate=1.0))
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        named = dict(sam.named_parameters())
        for name, rate in expected.items():
            assert rates[id(named[f"image_encoder.{name}.weight"])] == pytest.approx(rate), name


def test_the_average_follows_slowly_once_old(tiny_shape: SamConfig) -> None:
    sam = build_sam(tiny_shape)
    key = "mask_decoder.iou_token.weight"
    average = {name: torch.zeros_like(tensor) for name, tensor in sam.state_dict().items()}
    with torch.no_grad():
        sam.mask_decoder.iou_token.weight.fill_(1.0)
    follow(average, sam, decay=0.99, step=100_000)
    assert average[key].unique().tolist() == pytest.approx([0.01])
    follow(average, sam, decay=0.99, step=0)  # young: a tenth of the old average is left
    assert average[key].unique().tolist() == pytest.approx([0.1 * 0.01 + 0.9])
