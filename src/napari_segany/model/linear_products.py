"""Linear layers at inference on a processor: their products go into memory that is there.

A map of a few MB that is made anew costs a processor as much as the arithmetic of it: its pages have to be fetched,
and what is put elsewhere afterwards is copied. And under autocast the weights would be converted at each call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from napari_segany.model.layers import MLPBlock, gelu_


class Scratch:
    """Memory that parts of a computation use one after the other."""

    def __init__(self) -> None:
        self._memory: dict[tuple[str, torch.dtype], Tensor] = {}

    def take(self, name: str, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Return a tensor of any content, in the memory of whatever had this name and type before."""
        size = math.prod(shape)
        memory = self._memory.get((name, dtype))
        if memory is None or memory.numel() < size:
            memory = self._memory[name, dtype] = torch.empty(size, dtype=dtype)
        return memory[:size].view(*shape)


class LinearProducts:
    """A linear layer with its weights in the type of the products, converted once.

    Parameters
    ----------
    layer : nn.Module
        Its own `forward` is called where it is no plain linear layer (LoRA, quantisation), or hooks look at it.
    """

    def __init__(self, layer: nn.Module) -> None:
        self._layer = layer
        self._plain: tuple[Tensor, Tensor] | None = None
        if isinstance(layer, nn.Linear) and is_as_defined(layer, nn.Linear) and layer.bias is not None:
            kind = products_type(layer.weight.dtype)
            self._plain = layer.weight.to(kind).T, layer.bias.to(kind)

    def into(self, x: Tensor, out: Tensor) -> None:
        """Put what the layer makes of tokens (n, inputs) into (n, outputs)."""
        if self._plain is None or out.dtype != self._plain[1].dtype:
            out.copy_(self._layer(x))
            return
        weight, bias = self._plain
        torch.addmm(bias, x.to(weight.dtype), weight, out=out)

    def of(self, x: Tensor, scratch: Scratch) -> Tensor:
        """Return what the layer makes of tokens (n, inputs), (n, outputs) that may be changed in place."""
        if self._plain is None:
            made: Tensor = self._layer(x)
            return made.clone()  # a hook may keep what the layer made
        weight, bias = self._plain
        product = scratch.take("product", (len(x), len(bias)), bias.dtype)
        return torch.addmm(bias, x.to(weight.dtype), weight, out=product)

    def add_to(self, x: Tensor, out: Tensor, scratch: Scratch) -> None:
        """Add what the layer makes of tokens (n, inputs) to (n, outputs)."""
        if self._plain is None:
            out += self._layer(x)
            return
        weight, bias = self._plain
        if out.dtype == weight.dtype:
            out.addmm_(x.to(weight.dtype), weight).add_(bias)
        else:
            sum_ = scratch.take("sum", out.shape, bias.dtype)
            out += torch.addmm(bias, x.to(weight.dtype), weight, out=sum_)


class MLPProducts:
    """Two linear layers with GELU between them, as `LinearProducts` are one."""

    def __init__(self, mlp: nn.Module) -> None:
        self._mlp = mlp
        self._layers: tuple[LinearProducts, LinearProducts] | None = None
        if isinstance(mlp, MLPBlock) and is_as_defined(mlp, MLPBlock) and _is_exact_gelu(mlp.act):
            self._layers = LinearProducts(mlp.lin1), LinearProducts(mlp.lin2)

    def add_to(self, x: Tensor, out: Tensor, scratch: Scratch) -> None:
        """Add what both layers make of tokens (n, channels) to others of that shape."""
        if self._layers is None:
            out += self._mlp(x)
            return
        first, second = self._layers
        second.add_to(gelu_(first.of(x, scratch)), out, scratch)


def products_type(kind: torch.dtype) -> torch.dtype:
    """Return the type in which autocast has a processor multiply what is of a type."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else kind


def is_as_defined(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Tell whether a module is of a class itself, not one made of it, and nothing looks on when it is called."""
    return type(module) is kind and not module._forward_hooks and not module._forward_pre_hooks


def _is_exact_gelu(module: nn.Module) -> bool:
    return isinstance(module, nn.GELU) and is_as_defined(module, nn.GELU) and module.approximate == "none"
