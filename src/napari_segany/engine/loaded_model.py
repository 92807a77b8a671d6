"""A model out of a name or a file and onto a device, and what tells its weights from others."""

from __future__ import annotations

import copy
import json
import warnings
import zlib
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from napari_segany.engine.device import DeviceFallbackWarning, is_out_of_memory
from napari_segany.engine.digests import new_hasher
from napari_segany.engine.model_registry import UnknownModelError
from napari_segany.engine.progress import Progress, Steps, drain
from napari_segany.engine.weights import resolve
from napari_segany.model import Sam, load_sam

_WEIGHT_FILES = (".pth", ".pt", ".safetensors")


def load_model(model: str | PathLike[str], folder: Path | None) -> tuple[str, Sam]:
    """Return the name and the model of a registered name or a checkpoint file; names of the registry go first."""
    path = Path(model)
    if isinstance(model, str):
        try:
            return model, load_sam(resolve(model, folder))
        except UnknownModelError:
            if not path.is_file() and path.suffix.lower() not in _WEIGHT_FILES:
                raise
    sam = load_sam(path)
    return f"{path.stem}-{weights_checksum(sam)}", sam


def text_model_of(model: str | PathLike[str], folder: Path | None = None) -> str | None:
    """Return the CLIP that a model was trained with, as its file says; None where it says nothing of it.

    Parameters
    ----------
    model : str or path
        A registered name, or a checkpoint file.
    folder : pathlib.Path, optional
        Where the registry's weights are.
    """
    try:
        path = Path(model) if Path(model).is_file() else resolve(str(model), folder)
        with safe_open(path, framework="pt") as file:
            training = json.loads((file.metadata() or {}).get("segany.training", "{}"))
    except (SafetensorError, ValueError, OSError):
        return None
    named = training.get("text_model") if training.get("text_share") else None
    return named if isinstance(named, str) else None


def weights_checksum(sam: Sam) -> str:
    """Return eight characters that tell weights apart: a checksum over some values of every tensor."""
    checksum = 0
    for name, tensor in sam.state_dict().items():
        flat = tensor.detach().reshape(-1)
        values = flat[:: max(1, len(flat) // 256)].cpu().double().numpy()
        checksum = zlib.crc32(values.tobytes(), zlib.crc32(name.encode(), checksum))
    return f"{checksum:08x}"


def model_digest_steps(sam: Sam) -> Steps[str]:
    """Return a digest of a model's shape and of every weight, the same on every device; progress in tensors."""
    tensors = sam.state_dict()
    hasher = new_hasher("xxh128")
    hasher.update(repr(sam.config).encode())
    if sam.config.enlarged_side is not None:
        hasher.update(f"enlarged_side={sam.config.enlarged_side}".encode())
    for number, (name, tensor) in enumerate(tensors.items()):
        yield Progress(number, len(tensors), "Checking the model")
        hasher.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        plain = tensor.detach().cpu().contiguous().reshape(-1)
        hasher.update(plain.view(torch.uint8).numpy() if plain.numel() else np.empty(0, np.uint8))
    digest: str = hasher.hexdigest()
    return digest


def weights_hash(sam: Sam) -> str:
    """Return `model_digest_steps` of a model at once: 32 characters, for records of what made a mask."""
    return drain(model_digest_steps(sam))


def placed(sam: Sam, device: torch.device) -> Sam:
    """Move a model to a device, or leave it on the CPU with a warning where it does not fit."""
    try:
        return sam.to(device)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error) or device.type == "cpu":
            raise
    warnings.warn(
        f"the model does not fit into the memory of {device.type.upper()}: it is used on the CPU",
        DeviceFallbackWarning,
        stacklevel=3,
    )
    return sam.to("cpu")


def copy_on_cpu(sam: Sam) -> Sam:
    """Copy a model to the CPU without taking memory of its device, and leave the original to whoever uses it."""
    with torch.inference_mode(False):  # so that the copy can also be trained
        memo: dict[int, object] = {id(buffer): buffer.cpu() for buffer in sam.buffers()}
        for parameter in sam.parameters():
            memo[id(parameter)] = torch.nn.Parameter(parameter.detach().cpu(), parameter.requires_grad)
        return copy.deepcopy(sam, memo)
