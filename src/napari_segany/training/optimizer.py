"""How weights move: AdamW with groups of parameters, the learning rate over the run, and the moving average."""

from __future__ import annotations

import math
import re

import torch
from torch import Tensor, nn

from napari_segany.model.sam import Sam
from napari_segany.training.config import TrainingConfig

_PLACES = re.compile(
    r"image_encoder\.(?:"
    r"blocks\.(?P<block>\d+)"  # ViT
    r"|layers\.(?P<layer>\d+)\.(?:blocks\.(?P<of_layer>\d+)|(?P<shrinks>downsample))"  # TinyViT
    r"|stages\.(?P<stage>\d+)\.(?P<of_stage>\d+)|downsamples\.(?P<before>\d+)"  # pyramid
    r")\."
)
_ABOVE = (".neck.", ".laterals.", ".merges.", ".fine.", ".norm_head.")
"""What an encoder makes of its last block, or of several of its stages."""


def build_optimizer(sam: Sam, config: TrainingConfig) -> torch.optim.AdamW:
    """Return AdamW over the parameters that learn.

    Weight decay leaves out biases, normalisations, embeddings and position tables, whose scale means something; the
    learning rate of a transformer's blocks falls from the last to the first by `layer_decay`.
    """
    depths = _block_depths(sam)
    deepest = max(depths.values(), default=0)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in sam.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = config.weight_decay if parameter.ndim > 1 and not _is_embedding(name) else 0.0
        scale = 1.0
        if depths and name.startswith("image_encoder."):
            # The patch embedding lies below the first block, the neck above the last.
            depth = deepest + 1 if any(part in name for part in _ABOVE) else depths.get(name, 0)
            scale = config.layer_decay ** (deepest + 1 - depth)
        groups.setdefault((decay, scale), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": members, "weight_decay": decay, "lr": config.learning_rate * scale, "scale": scale}
            for (decay, scale), members in sorted(groups.items(), key=lambda item: item[0])
        ],
        lr=config.learning_rate,
        betas=config.betas,
    )


def learning_rate(step: int, config: TrainingConfig) -> float:
    """Return the learning rate of step `step` (from 0), before any layer's own factor."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    done = step / config.steps
    if config.schedule == "cosine":
        span = max(config.steps - config.warmup_steps, 1)
        fraction = min(max((step - config.warmup_steps) / span, 0.0), 1.0)
        return config.learning_rate * (
            config.final_rate + (1 - config.final_rate) * (1 + math.cos(math.pi * fraction)) / 2
        )
    if config.schedule == "step":
        return config.learning_rate * config.decay_factor ** sum(done >= at for at in config.decay_at)
    return config.learning_rate


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of the rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]


def start_average(sam: Sam) -> dict[str, Tensor]:
    """Return a copy of the model's state for `follow`; what does not learn is shared with the model, not copied."""
    frozen = {name for name, parameter in sam.named_parameters() if not parameter.requires_grad}
    return {key: tensor if key in frozen else tensor.clone() for key, tensor in sam.state_dict().items()}


def follow(average: dict[str, Tensor], sam: Sam, decay: float, step: int) -> None:
    """Move an exponential average of the model's state towards the model; quickly at first.

    Parameters
    ----------
    average : dict of str to Tensor
        Changed in place; keys of the model's `state_dict`.
    sam : Sam
        The model.
    decay : float
        Weight of the old average once the run is old.
    step : int
        Steps done.
    """
    weight = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for key, tensor in sam.state_dict().items():
            if average[key].data_ptr() == tensor.data_ptr():
                continue
            if tensor.is_floating_point():
                average[key].lerp_(tensor, 1 - weight)
            else:
                average[key].copy_(tensor)


def _is_embedding(name: str) -> bool:
    # Not "token" alone: the attention from tokens to the image is a matrix as any other.
    parts = ("embed.weight", "embeddings.", "_token.weight", "_tokens.weight", "pos_embed", "rel_pos", "biases")
    return any(part in name for part in parts)


def _block_depths(sam: Sam) -> dict[str, int]:
    """Return the number, from 1, of the encoder block that each of its parameters belongs to.

    A step that halves the resolution counts to the block after it.
    """
    places = {name: _place(match) for name, _ in sam.named_parameters() if (match := _PLACES.match(name))}
    order = {place: depth for depth, place in enumerate(sorted(set(places.values())), start=1)}
    return {name: order[place] for name, place in places.items()}


def _place(match: re.Match[str]) -> tuple[int, int]:
    """Return the stage of a block and its number there."""
    found = match.groupdict()
    if found["shrinks"]:
        return int(found["layer"]) + 1, 0
    if found["before"]:
        return int(found["before"]), 0
    stage = found["layer"] or found["stage"] or "0"
    return int(stage), int(found["block"] or found["of_layer"] or found["of_stage"] or "0")
