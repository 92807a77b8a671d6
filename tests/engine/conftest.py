"""The small model of the reference numbers, and a quick one for everything that needs any model."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.engine.large_scene import greys_of, true_labels
from tests.engine.propagation_scene import squares

from napari_segany.engine.predictor import Predictor
from napari_segany.model import Sam, SamConfig, ViTConfig, build_sam


@pytest.fixture(scope="session")
def mini_config() -> SamConfig:
    """`mini` of the reference numbers."""
    encoder = ViTConfig(embed_dim=96, depth=4, num_heads=3, window_size=7, global_attn_indexes=(1, 3))
    return SamConfig(image_size=256, encoder=encoder)


@pytest.fixture(scope="session")
def mini_sam(mini_config: SamConfig, parity: Path) -> Sam:
    """`mini` with its synthetic weights."""
    spec = importlib.util.spec_from_file_location("parity_weights", parity / "weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sam = build_sam(mini_config)
    shapes = {key: tuple(tensor.shape) for key, tensor in sam.state_dict().items()}
    weights = module.synthetic_weights(shapes, seed=0)
    sam.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
    return sam


@pytest.fixture(scope="session")
def predictor() -> Predictor:
    """A small model with random weights, for shapes and rules."""
    torch.manual_seed(0)
    encoder = ViTConfig(embed_dim=32, depth=2, num_heads=2, window_size=4, global_attn_indexes=(1,))
    return Predictor(build_sam(SamConfig(image_size=128, encoder=encoder)), device="cpu")


@pytest.fixture
def still() -> NDArray[np.integer]:
    """Object 1 on all of ten slices, object 2 on slices 2 to 7."""
    return squares(10, (1, 8, 8, 12, range(10)), (2, 40, 40, 12, range(2, 8)))


@pytest.fixture(scope="session")
def truth() -> NDArray[np.integer]:
    """The labels of the scene of `large_scene.py`."""
    return true_labels()


@pytest.fixture(scope="session")
def image(truth: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Its grey levels."""
    return greys_of(truth)
