"""Small models with random weights, and models with the weights that the reference numbers belong to."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from napari_segany.model import PyramidConfig, Sam, SamConfig, TinyViTConfig, ViTConfig, build_sam

MINI = SamConfig(
    image_size=256,
    encoder=ViTConfig(embed_dim=96, depth=4, num_heads=3, window_size=7, global_attn_indexes=(1, 3)),
)
TINY = SamConfig(
    image_size=64,
    encoder=TinyViTConfig(
        embed_dims=(8, 16, 24, 32),
        depths=(1, 1, 2, 1),
        num_heads=(1, 2, 3, 4),
        window_sizes=(4, 4, 4, 4),
        classifier=False,
    ),
    decoder_mlp_dim=64,
)
PYRAMID = SamConfig(
    image_size=64,
    encoder=PyramidConfig(widths=(8, 16, 24, 32), depths=(1, 1, 2, 1), fine_channels=(8, 16)),
    decoder_mlp_dim=64,
    iou_head_hidden_dim=32,
    max_enlargement=2.0,
    mask_refinement=True,
    fine_boxes=True,
)


@pytest.fixture(autouse=True)
def _same_numbers() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def mini_config() -> SamConfig:
    """The small ViT that the reference numbers know."""
    return MINI


@pytest.fixture
def tiny_config() -> SamConfig:
    """A small TinyViT, at 64 px."""
    return TINY


@pytest.fixture
def pyramid_config() -> SamConfig:
    """A small model of the architecture of `light`, at 64 px."""
    return PYRAMID


@pytest.fixture
def mini(mini_config: SamConfig) -> Sam:
    return build_sam(mini_config)


@pytest.fixture
def tiny(tiny_config: SamConfig) -> Sam:
    return build_sam(tiny_config)


@pytest.fixture
def pyramid(pyramid_config: SamConfig) -> Sam:
    return build_sam(pyramid_config)


@pytest.fixture(params=["mini", "tiny", "pyramid"])
def any_sam(request: pytest.FixtureRequest) -> Sam:
    """All kinds of encoder, with random weights."""
    sam: Sam = request.getfixturevalue(request.param)
    return sam


def _weights_module(parity: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("parity_weights", parity / "weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def published_keys(parity: Path) -> Callable[[str], dict[str, tuple[int, ...]]]:
    """Names and shapes of a published model's weights."""

    def read(name: str) -> dict[str, tuple[int, ...]]:
        return {key: tuple(shape) for key, shape in json.loads((parity / f"{name}.keys.json").read_text()).items()}

    return read


@pytest.fixture(scope="session")
def published_weights(
    parity: Path, published_keys: Callable[[str], dict[str, tuple[int, ...]]]
) -> Callable[[str], dict[str, torch.Tensor]]:
    """The state dict that the reference numbers of a model were made with."""
    module = _weights_module(parity)

    def make(name: str) -> dict[str, torch.Tensor]:
        values = module.synthetic_weights(published_keys(name), seed=0)
        return {key: torch.as_tensor(value) for key, value in values.items()}

    return make
