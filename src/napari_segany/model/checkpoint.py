"""Build a SAM, empty or with the weights of a file, and save one. Knows no registry and no network."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_segany.model.config import PRESETS, SamConfig, ViTConfig
from napari_segany.model.initialisation import start_localised
from napari_segany.model.recognition import recognise
from napari_segany.model.relative_positions import resize_grid, resize_table
from napari_segany.model.sam import Sam
from napari_segany.model.shapes_only import shapes_only
from napari_segany.model.state_file import CheckpointError, StoredState, read_state, write_state

CONFIG_KEY = "segany.config"
ADDITIONS = {"mask_refinement": "mask_decoder.refinement.", "fine_boxes": "mask_decoder.fine_box_conv."}
# Normalisations, biases and the positional frequencies keep their precision: they cost next to nothing.
_SMALL = 1024


def build_sam(config: SamConfig | str, checkpoint: str | os.PathLike[str] | None = None) -> Sam:
    """Build a model on the CPU, in evaluation mode.

    Parameters
    ----------
    config : SamConfig or str
        The network, or the name of a known one: "light", "vit_t", "vit_b", "vit_l", "vit_h".
    checkpoint : path, optional
        Weights to load; without them the model is initialised for training from scratch.

    Raises
    ------
    ValueError
        For an unknown name.
    CheckpointError
        For a file that does not hold weights of this network.
    """
    if isinstance(config, str):
        if config not in PRESETS:
            raise ValueError(f"there is no model {config!r}; known are {', '.join(PRESETS)}, or pass a SamConfig")
        config = PRESETS[config]
    if checkpoint is None:
        sam = Sam(config)
        on_meta_device = next(sam.parameters()).is_meta
        return (sam if on_meta_device else start_localised(sam)).eval()
    return load_sam(checkpoint, config)


def load_sam(path: str | os.PathLike[str], config: SamConfig | None = None) -> Sam:
    """Load a model on the CPU, in evaluation mode and float32.

    Published checkpoints of SAM and MobileSAM, fine-tuned ones of micro-sam (plain, or under `model_state` with the
    prefix `sam.`) and files of `save_sam` are read; nothing but tensors is ever unpickled.

    Parameters
    ----------
    path : path
        The file.
    config : SamConfig, optional
        The network; stored in the file or recognised from the weights when not given. Tables of positions are
        interpolated to its `image_size`.

    Raises
    ------
    CheckpointError
        For a file that is missing, damaged, of another kind or of another network, in one sentence.
    """
    path = Path(path)
    stored = read_state(path)
    config = _with_what_is_there(_config_of(path, stored) if config is None else config, stored.tensors)
    try:
        with shapes_only():  # initial values would be thrown away
            sam = Sam(config)
    except (ValueError, TypeError, ArithmeticError, RuntimeError) as error:
        raise CheckpointError(f"{path.name} cannot be used: {error}") from None
    tensors = _fit_positions(stored.tensors, config)
    expected: dict[str, Tensor] = sam.state_dict()
    _check_fit(path, tensors, expected)
    tensors = {key: tensor.to(expected[key].dtype).contiguous() for key, tensor in tensors.items()}
    sam.load_state_dict(tensors, assign=True)
    return sam.eval()


def read_config(path: str | os.PathLike[str]) -> SamConfig:
    """Return the network that a file holds weights of, as `load_sam` would build it.

    Raises
    ------
    CheckpointError
        As `load_sam`.
    """
    path = Path(path)
    return _config_of(path, read_state(path))


def save_sam(
    sam: Sam,
    path: str | os.PathLike[str],
    *,
    dtype: torch.dtype | None = torch.float16,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Save a model as safetensors with its configuration, replacing the file at once or not at all.

    Parameters
    ----------
    sam : Sam
        The model.
    path : path
        The file to write.
    dtype : torch.dtype, optional
        Precision of the large tensors; None keeps the model's own. `load_sam` returns float32 in either case.
    metadata : mapping of str to str, optional
        Texts to store: training data, licence, ...

    Raises
    ------
    ValueError
        For values that `dtype` cannot hold, or metadata that are not texts.
    OSError
        Where the file cannot be written.
    """
    texts = dict(metadata or {})
    if not all(isinstance(text, str) for item in texts.items() for text in item):
        raise ValueError("metadata must be texts by name; convert other values with str or json.dumps first")
    texts[CONFIG_KEY] = json.dumps(sam.config.to_dict())
    tensors = {key: _stored(key, tensor, dtype) for key, tensor in sam.state_dict().items()}
    write_state(Path(path), tensors, texts)


def _stored(key: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    if dtype is None or not tensor.is_floating_point() or tensor.numel() <= _SMALL:
        return tensor
    converted = tensor.to(dtype)
    if not converted.isfinite().all():
        raise ValueError(
            f"{key} holds values up to {tensor.abs().max().item():g}, which {dtype} cannot; save with dtype=None"
        )
    return converted


def _config_of(path: Path, stored: StoredState) -> SamConfig:
    try:
        config = _stored_config(stored) or recognise(stored.tensors)
    except (ValueError, TypeError, ArithmeticError, RuntimeError) as error:
        raise CheckpointError(f"{path.name} cannot be used: {error}") from None
    return _with_what_is_there(config, stored.tensors)


def _stored_config(stored: StoredState) -> SamConfig | None:
    text = stored.metadata.get(CONFIG_KEY)
    if text is None:
        return None
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError(f"its configuration is {text[:40]}; expected the settings of a SamConfig by name")
    return SamConfig.from_dict(values)


def _with_what_is_there(config: SamConfig, tensors: Mapping[str, Tensor]) -> SamConfig:
    """Leave out what was added to a decoder after a file was written."""
    missing: dict[str, Any] = {
        name: False
        for name, prefix in ADDITIONS.items()
        if getattr(config, name) and not any(key.startswith(prefix) for key in tensors)
    }
    return replace(config, **missing) if missing else config


def _fit_positions(tensors: Mapping[str, Tensor], config: SamConfig) -> dict[str, Tensor]:
    """Interpolate a ViT's tables of positions to the configuration's image size."""
    fitted = dict(tensors)
    if not isinstance(config.encoder, ViTConfig):
        return fitted
    grid = config.image_size // config.encoder.patch_size
    absolute = fitted.get("image_encoder.pos_embed")
    if absolute is not None and absolute.ndim == 4:
        fitted["image_encoder.pos_embed"] = resize_grid(absolute.float(), (grid, grid))
    for block in config.encoder.global_attn_indexes:
        for axis in "hw":
            key = f"image_encoder.blocks.{block}.attn.rel_pos_{axis}"
            if key in fitted and fitted[key].ndim == 2:
                fitted[key] = resize_table(fitted[key].float(), 2 * grid - 1)
    return fitted


def _check_fit(path: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    missing = [key for key in expected if key not in tensors]
    unknown = [key for key in tensors if key not in expected]
    other = [key for key in expected if key in tensors and tensors[key].shape != expected[key].shape]
    problems = []
    if missing:
        problems.append(f"{len(missing)} weights are missing, such as {missing[0]}")
    if unknown:
        problems.append(f"{len(unknown)} are unknown, such as {unknown[0]}")
    if other:
        found, wanted = tuple(tensors[other[0]].shape), tuple(expected[other[0]].shape)
        problems.append(f"{len(other)} have another shape, such as {other[0]} with {found}, expected {wanted}")
    if problems:
        raise CheckpointError(
            f"{path.name} holds another model than expected ({'; '.join(problems)}); "
            "choose the model type that the file was made for"
        )
