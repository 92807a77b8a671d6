"""The network that a run begins with: of which shape, with which weights, and what of it learns."""

from __future__ import annotations

import os
from dataclasses import replace

import torch

from napari_segany.engine.loaded_model import load_model
from napari_segany.model import Sam, SamConfig, build_sam
from napari_segany.model.config import PRESETS
from napari_segany.training.config import TrainingConfig
from napari_segany.training.lora import add_adapters


def start_network(
    config: TrainingConfig,
    init: str | os.PathLike[str] | None = None,
    shape: SamConfig | None = None,
    text_embed_dim: int | None = None,
) -> Sam:
    """Build the model to train, on the CPU.

    Parameters
    ----------
    config : TrainingConfig
        Says what learns, and the shape where nothing else does.
    init : str or path, optional
        The weights to start from: a name of the registry, or a checkpoint file.
    shape : SamConfig, optional
        The shape of a model whose weights are loaded afterwards, as those of a run that goes on.
    text_embed_dim : int, optional
        Width of the embeddings that it learns to take as prompts; None where it learns none.

    Raises
    ------
    ValueError
        For an unknown model, or a configuration that it cannot serve.
    FileNotFoundError
        For weights that are not on this computer.
    """
    if init is None and shape is None and config.model not in PRESETS:
        raise ValueError(f"model is {config.model!r}; known are {', '.join(PRESETS)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        source = None if init is None or shape is not None else load_model(init, None)[1]
        shape = shape or (PRESETS[config.model] if source is None else source.config)
        shape = with_words(shape if source is None else shape.as_trained_today(), text_embed_dim)
        sam = build_sam(replace(shape, encoder=replace(shape.encoder, drop_path_rate=config.drop_path)))
        if source is not None:
            # The projection of words may be new, and what was added to decoders: all begin by changing nothing.
            sam.load_state_dict({**sam.state_dict(), **source.state_dict()})
        if config.crop_size > sam.config.image_size:
            raise ValueError(
                f"crop_size is {config.crop_size}; this model takes at most {sam.config.image_size}, its input size"
            )
        if config.trainable == "decoder":
            sam.image_encoder.requires_grad_(False)
        if config.trainable == "lora":
            add_adapters(sam, config.lora_rank, config.lora_alpha)
    return sam


def with_words(shape: SamConfig, text_embed_dim: int | None) -> SamConfig:
    """Return the shape of a model that takes embeddings of a width, too.

    Raises
    ------
    ValueError
        For a model that takes embeddings of another width.
    """
    if text_embed_dim is None or shape.text_embed_dim == text_embed_dim:
        return shape
    if shape.text_embed_dim is not None:
        raise ValueError(
            f"the model was trained with a CLIP that gives {shape.text_embed_dim} numbers and text_model gives "
            f"{text_embed_dim}; set text_model to the CLIP that the model was trained with"
        )
    return replace(shape, text_embed_dim=text_embed_dim)


def preset_name(shape: SamConfig) -> str:
    """Return the name of a known architecture ("vit_b"); an empty string for any other."""
    plain = replace(shape, encoder=replace(shape.encoder, drop_path_rate=0.0), text_embed_dim=None)
    return next((name for name, preset in PRESETS.items() if preset == plain.as_trained_today()), "")


def learning_weights(sam: Sam) -> int:
    """Return the number of weights that learn."""
    return sum(parameter.numel() for parameter in sam.parameters() if parameter.requires_grad)
