"""A SAM small enough to train in a test, and crops for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_segany.model import SamConfig, build_sam, save_sam
from napari_segany.model.config import TinyViTConfig
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
    high_resolution_features=True,
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
)


@pytest.fixture
def tiny_shape() -> SamConfig:
    """The shape of the small SAM."""
    return TINY


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
