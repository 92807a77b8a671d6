"""A SAM small enough to train in a test, and crops for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from napari_segany.model import PyramidConfig, SamConfig, TinyViTConfig, ViTConfig, build_sam, save_sam
from napari_segany.training.config import TrainingConfig

TINY = SamConfig(
    image_size=64,
    encoder=TinyViTConfig(
        embed_dims=(16, 16, 32, 32),
        depths=(1, 1, 1, 1),
        num_heads=(1, 1, 2, 2),
        window_sizes=(4, 4, 4, 4),
        classifier=False,
    ),
    embed_dim=32,
    decoder_num_heads=2,
    decoder_mlp_dim=32,
    iou_head_hidden_dim=32,
)

TINY_PYRAMID = replace(
    TINY,
    encoder=PyramidConfig(widths=(16, 16, 32, 32), depths=(1, 1, 1, 1), fine_channels=(8, 8)),
    mask_refinement=True,
    fine_boxes=True,
)
TINY_PLAIN = replace(
    TINY, encoder=ViTConfig(embed_dim=32, depth=2, num_heads=2, window_size=2, global_attn_indexes=(1,))
)

TINY_TRAINING = TrainingConfig(
    steps=6,
    batch_size=2,
    crop_size=64,
    masks_per_image=3,
    rounds=3,
    procedural_share=1.0,
    scale_jitter=(0.8, 1.2),
    warmup_steps=2,
    learning_rate=2e-3,
    ema_decay=0.9,
    validate_every=3,
    checkpoint_every=3,
    log_every=1,
    drop_path=0.1,
    validation_objects=2,
    picture_every=0,
)


@pytest.fixture
def tiny_shape() -> SamConfig:
    """The shape of the small SAM."""
    return TINY


@pytest.fixture
def pyramid_shape() -> SamConfig:
    """A small SAM of the architecture of `light`."""
    return TINY_PYRAMID


@pytest.fixture(params=[TINY, TINY_PLAIN], ids=["TinyViT", "ViT"])
def attentive_shape(request: pytest.FixtureRequest) -> SamConfig:
    """Small SAMs whose encoders have attention."""
    shape: SamConfig = request.param
    return shape


@pytest.fixture
def tiny_training() -> TrainingConfig:
    """A run of six steps on drawn scenes."""
    return TINY_TRAINING


@pytest.fixture
def tiny_weights(tmp_path: Path) -> Path:
    """Random weights of the small SAM, in a file."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        path = tmp_path / "tiny.safetensors"
        save_sam(build_sam(TINY), path, dtype=None)
    return path


@pytest.fixture
def write_pairs(tmp_path: Path) -> Callable[..., Path]:
    """Write images of 48 x 60 pixels with two objects each, and their label images; return their folder."""

    def write(count: int, folder: str = "data") -> Path:
        for number in range(count):
            labels = np.zeros((48, 60), np.uint16)
            labels[5:25, 4 + 5 * number : 24 + 5 * number] = 1
            labels[30:44, 10:50] = 2
            for kind, values in (("images", (labels > 0).astype(np.uint8) * 120 + 40), ("labels", labels)):
                home = tmp_path / folder / kind
                home.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(home / f"{number}.png")
        return tmp_path / folder

    return write
