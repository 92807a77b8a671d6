"""A convolution with GELU after it, on a processor in one pass where torch's library has one for both.

GELU of a wide map that was written before takes as long as a convolution of 1 x 1, in bfloat16 twice as long. oneDNN
applies it to values that are still in registers. Torch's compiler calls it through the operator that is used here; it
is no part of torch's public interface, so it is tried once and compared.
"""

from __future__ import annotations

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
    """Tell whether both are one operation for a type here, with the same result on a small map."""
    if kind not in (torch.float32, torch.bfloat16) or not torch.backends.mkldnn.is_available():
        return False
    if kind == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    x = torch.linspace(-1, 1, 2 * 4 * 5).view(1, 2, 4, 5).to(kind)
    weight, bias = torch.linspace(-2, 2, 4 * 2).view(4, 2, 1, 1).to(kind), torch.linspace(-1, 1, 4).to(kind)
    try:
        found = _joined(x, weight, bias, 1, (0, 0), 1)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False  # another release, or built without it
    with torch.autocast("cpu", enabled=False):
        expected = F.gelu(F.conv2d(x.float(), weight.float(), bias.float()))
    return found.shape == expected.shape and torch.allclose(found.float(), expected, rtol=2e-2, atol=2e-2)


def _joined(x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: tuple[int, int], groups: int) -> Tensor:
    operation = torch.ops.mkldnn._convolution_pointwise
    out: Tensor = operation(
        x, weight, bias, [*padding], [stride, stride], [1, 1], groups, "gelu", [], "none"
    )  # "none": exact, not by tanh
    return out
