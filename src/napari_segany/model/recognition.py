"""From the names and shapes of weights to the configuration of the network they belong to. Knows no files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from napari_segany.model.config import SamConfig, TinyViTConfig, ViTConfig
from napari_segany.model.state_file import CheckpointError

# What no name or shape tells: published models have no others.
_DECODER_HEADS = 8


class Shaped(Protocol):
    """Anything with a shape."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""


Weights = Mapping[str, Shaped]


def recognise(state_dict: Weights) -> SamConfig:
    """Return the configuration that the keys and shapes of a state dict imply.

    Parameters
    ----------
    state_dict : mapping of str to Tensor
        Weights with the published names.

    Returns
    -------
    SamConfig
        Of a ViT of any size with relative positions, or of a TinyViT. The input size of a TinyViT, which its
        weights do not tell, is taken to be the published 1024 px.

    Raises
    ------
    CheckpointError
        For weights of another architecture.
    """
    try:
        return _recognise(state_dict)
    except KeyError as error:
        raise CheckpointError(
            f"these weights are not those of a SAM: {error.args[0]} is missing; expected SAM's published names "
            "(ViT-B, ViT-L, ViT-H or MobileSAM)"
        ) from None


def _recognise(weights: Weights) -> SamConfig:
    decoder = "mask_decoder."
    if "image_encoder.patch_embed.seq.0.c.weight" in weights:
        encoder: ViTConfig | TinyViTConfig = _tiny_vit(weights)
        image_size = 1024
    else:
        encoder, image_size = _vit(weights)
    projection = "prompt_encoder.text_projection.weight"
    return SamConfig(
        image_size=image_size,
        encoder=encoder,
        embed_dim=_shape(weights, "image_encoder.neck.0.weight", 4)[0],
        decoder_depth=_count(weights, f"{decoder}transformer.layers."),
        decoder_num_heads=_DECODER_HEADS,
        decoder_mlp_dim=_shape(weights, f"{decoder}transformer.layers.0.mlp.lin1.weight", 2)[0],
        num_multimask_outputs=_shape(weights, f"{decoder}mask_tokens.weight", 2)[0] - 1,
        iou_head_depth=_count(weights, f"{decoder}iou_prediction_head.layers."),
        iou_head_hidden_dim=_shape(weights, f"{decoder}iou_prediction_head.layers.0.weight", 2)[0],
        mask_in_chans=_shape(weights, "prompt_encoder.mask_downscaling.3.weight", 4)[0],
        text_embed_dim=_shape(weights, projection, 2)[1] if projection in weights else None,
    )


def _vit(weights: Weights) -> tuple[ViTConfig, int]:
    """Return the encoder and the image size; tables of the length of the whole grid belong to global blocks."""
    embed_dim, _, patch_size, _ = _shape(weights, "image_encoder.patch_embed.proj.weight", 4)
    grid = _shape(weights, "image_encoder.pos_embed", 4)[1]
    depth = _count(weights, "image_encoder.blocks.")
    tables = [_shape(weights, f"image_encoder.blocks.{block}.attn.rel_pos_h", 2) for block in range(depth)]
    windows = {(length + 1) // 2 for length, _ in tables} - {grid}
    if len(windows) > 1:
        raise CheckpointError(
            f"these weights are not those of a SAM: the windows are {sorted(windows)} tokens wide; expected one size"
        )
    config = ViTConfig(
        embed_dim=embed_dim,
        depth=depth,
        num_heads=embed_dim // tables[0][1],
        window_size=windows.pop() if windows else ViTConfig.window_size,
        global_attn_indexes=tuple(block for block, (length, _) in enumerate(tables) if length == 2 * grid - 1),
        patch_size=patch_size,
        mlp_ratio=_shape(weights, "image_encoder.blocks.0.mlp.lin1.weight", 2)[0] / embed_dim,
    )
    return config, grid * patch_size


def _tiny_vit(weights: Weights) -> TinyViTConfig:
    """Return the encoder; heads and windows of the first, convolutional stage mean nothing and are the defaults."""
    prefix = "image_encoder."
    stages = range(1, 4)
    biases = [_shape(weights, f"{prefix}layers.{stage}.blocks.0.attn.attention_biases", 2) for stage in stages]
    dims = [_shape(weights, f"{prefix}layers.{stage}.blocks.0.attn.norm.weight", 1)[0] for stage in stages]
    first = _shape(weights, f"{prefix}patch_embed.seq.2.c.weight", 4)[0]
    hidden = _shape(weights, f"{prefix}layers.0.blocks.0.conv1.c.weight", 4)[0]
    depths = [_count(weights, f"{prefix}layers.{stage}.blocks.") for stage in range(4)]
    heads = [heads for heads, _ in biases]
    windows = [round(offsets**0.5) for _, offsets in biases]
    return TinyViTConfig(
        embed_dims=(first, dims[0], dims[1], dims[2]),
        depths=(depths[0], depths[1], depths[2], depths[3]),
        num_heads=(TinyViTConfig.num_heads[0], heads[0], heads[1], heads[2]),
        window_sizes=(TinyViTConfig.window_sizes[0], windows[0], windows[1], windows[2]),
        mlp_ratio=_shape(weights, f"{prefix}layers.1.blocks.0.mlp.fc1.weight", 2)[0] / dims[0],
        conv_expand_ratio=hidden / first,
        classifier=f"{prefix}head.weight" in weights,
    )


def _shape(weights: Weights, key: str, axes: int) -> tuple[int, ...]:
    """Return the shape of a weight that must have so many axes, none of them empty."""
    shape = tuple(weights[key].shape)
    if len(shape) != axes or not all(shape):
        raise CheckpointError(
            f"these weights are not those of a SAM: {key} has the shape {shape}; expected {axes} axes, none empty"
        )
    return shape


def _count(weights: Weights, prefix: str) -> int:
    """Return how many numbered modules there are under `prefix`."""
    pattern = re.compile(re.escape(prefix) + r"(\d+)\.")
    numbers = {int(match[1]) for match in map(pattern.match, weights) if match}
    if not numbers:
        raise KeyError(f"{prefix}0")
    return max(numbers) + 1
