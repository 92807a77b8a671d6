"""What the commands are run on: a small model in a file, and a small image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image


@pytest.fixture(autouse=True)
def no_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor without its instructions, so that answers are those of `Predictor` on any computer."""
    monkeypatch.setattr("napari_segany.engine.precision.bfloat16_gain", lambda device: 0.2)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights, small enough to load at once."""
    import torch

    from napari_segany.model import SamConfig, ViTConfig, build_sam, save_sam

    torch.manual_seed(0)
    encoder = ViTConfig(embed_dim=16, depth=1, num_heads=2, window_size=2, global_attn_indexes=(0,))
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_sam(build_sam(SamConfig(image_size=64, encoder=encoder)), path, dtype=None)
    return path


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of 40 x 60 pixels."""
    path = tmp_path_factory.mktemp("images") / "image.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="session")
def write_ome() -> Callable[[Path, np.ndarray, str], Path]:
    """Write pixels whose axes have names ("zcyx") as OME-TIFF or OME-Zarr, by the ending of the path."""

    def write(path: Path, pixels: np.ndarray, axes: str) -> Path:
        if path.suffix == ".tif":
            tifffile.imwrite(path, pixels, metadata={"axes": axes.upper()}, ome=True)
            return path
        group = zarr.open_group(path, mode="w")
        group.create_array("0", data=pixels)
        named = [{"name": axis} for axis in axes]
        group.attrs["ome"] = {"multiscales": [{"axes": named, "datasets": [{"path": "0"}]}]}
        return path

    return write


@pytest.fixture
def looked_for(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The images, slices and windows that were looked for in a folder of prepared embeddings."""
    from napari_segany.engine import cache_prepared

    found, look = [], cache_prepared.key_steps

    def key_steps(encoder, image, *arguments):
        found.append(image)
        return look(encoder, image, *arguments)

    monkeypatch.setattr(cache_prepared, "key_steps", key_steps)
    return found
