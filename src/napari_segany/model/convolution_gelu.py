"""A convolution with GELU after it, on a processor in one pass where torch's library has one for both.

GELU of a wide map that was written before takes as long as a convolution of 1 x 1, in bfloat16 twice as long. oneDNN
applies it to values that are still in registers. Torch's compiler calls it through the operator that is used here; it
is no part of torch's public interface, so it is tried once and compared.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_segany.model.layers import gelu_


def convolved_gelu(
    x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: tuple[int, int], groups: int = 1
) -> Tensor:
    """Return GELU of a convolution of (B, C, H, W) with weights of the same type; no gradients pass."""
    if torch.backends.mkldnn.enabled and joins_gelu(weight.dtype):
        return _joined(x, weight, bias, stride, padding, groups)
    return gelu_(F.conv2d(x, weight, bias, stride, padding, groups=groups))


@cache
def joins_gelu(kind: torch.dtype) -> bool:
    """Tell whether both are one operation for a type here, with the same results on small maps."""
    if kind not in (torch.float32, torch.bfloat16) or not torch.backends.mkldnn.is_available():
        return False
    if kind == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    try:
        return all(_gives_the_same(kind, *trial) for trial in _TRIALS)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False  # another release, or built without it


# Side of the kernel, stride and groups of the convolutions that encoders join with GELU.
_TRIALS = ((1, 1, 1), (3, 1, 1), (3, 2, 1), (3, 1, 4), (3, 2, 4))


def _gives_the_same(kind: torch.dtype, side: int, stride: int, groups: int) -> bool:
    """Compare both on a map of four channels of 6 x 5 cells."""
    x = torch.linspace(-1, 1, 4 * 6 * 5).view(1, 4, 6, 5).to(kind)
    shape = (8, 4 // groups, side, side)
    weight = torch.linspace(-2, 2, math.prod(shape)).view(shape).to(kind)
    bias, padding = torch.linspace(-1, 1, 8).to(kind), (0, side // 2)
    found = _joined(x, weight, bias, stride, padding, groups)
    with torch.autocast("cpu", enabled=False):
        expected = F.gelu(F.conv2d(x.float(), weight.float(), bias.float(), stride, padding, groups=groups))
    return found.shape == expected.shape and torch.allclose(found.float(), expected, rtol=2e-2, atol=2e-2)


def _joined(x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: tuple[int, int], groups: int) -> Tensor:
    operation = torch.ops.mkldnn._convolution_pointwise
    out: Tensor = operation(
        x, weight, bias, [*padding], [stride, stride], [1, 1], groups, "gelu", [], "none"
    )  # "none": exact, not by tanh
    return out
