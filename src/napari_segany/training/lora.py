"""Low-rank adapters: the encoder's attention learns by two thin matrices a layer instead of its own weights.

Hu et al. 2021 (LoRA, arXiv:2106.09685). A layer's weight W stays as it is and W + scale * B A takes its place; B
begins at zero, so that an adapted model starts as the one it was made of. Merged, the weights are those of a plain
SAM.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segany.model import Sam

_ADAPTED = (".attn.qkv", ".attn.proj")
_DOWN, _UP = ".lora_down", ".lora_up"


class LowRankLinear(nn.Linear):
    """A linear layer that does not learn, with an adapter that does; it takes over the layer's parameters.

    Parameters
    ----------
    linear : torch.nn.Linear
        The layer.
    rank : int
        Rows of A and columns of B.
    scale : float
        Factor on what the adapter adds.
    """

    def __init__(self, linear: nn.Linear, rank: int, scale: float) -> None:
        with torch.device("meta"):  # its own weights would be thrown away
            super().__init__(linear.in_features, linear.out_features, linear.bias is not None)
        self.weight, self.bias = linear.weight, linear.bias
        self.scale = scale
        place = linear.weight.device
        self.lora_down = nn.Parameter(torch.empty(rank, linear.in_features, device=place))
        self.lora_up = nn.Parameter(torch.zeros(linear.out_features, rank, device=place))
        nn.init.kaiming_uniform_(self.lora_down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., out_features) of (..., in_features)."""
        return F.linear(x, self.weight, self.bias) + self.scale * F.linear(F.linear(x, self.lora_down), self.lora_up)


def add_adapters(sam: Sam, rank: int, alpha: float) -> None:
    """Freeze the image encoder and give adapters to the linear layers of its attention, in place.

    Parameters
    ----------
    sam : Sam
        The model; that of a ViT or a TinyViT.
    rank : int
        Rank of the adapters.
    alpha : float
        `alpha / rank` is the factor on what an adapter adds.

    Raises
    ------
    ValueError
        For an encoder without attention.
    """
    layers = {
        name: module
        for name, module in sam.image_encoder.named_modules()
        if name.endswith(_ADAPTED) and isinstance(module, nn.Linear)
    }
    if not layers:
        raise ValueError(
            "trainable is 'lora', and the image encoder of this model has no attention to adapt; "
            "set trainable to 'all' or 'decoder'"
        )
    sam.image_encoder.requires_grad_(False)
    for name, layer in layers.items():
        parent, _, child = name.rpartition(".")
        setattr(sam.image_encoder.get_submodule(parent), child, LowRankLinear(layer, rank, alpha / rank))


def merged_state(state: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """Return the state of a plain SAM: every adapter's product added to its layer's weight.

    Parameters
    ----------
    state : mapping of str to Tensor
        Of an adapted model; that of a plain one comes back as it is.
    alpha : float
        As given to `add_adapters`; the rank is that of the matrices.
    """
    merged = {key: tensor for key, tensor in state.items() if not key.endswith((_DOWN, _UP))}
    for key, down in state.items():
        if key.endswith(_DOWN):
            layer = key.removesuffix(_DOWN)
            up = state[f"{layer}{_UP}"]
            merged[f"{layer}.weight"] = merged[f"{layer}.weight"] + alpha / len(down) * (up @ down)
    return merged
