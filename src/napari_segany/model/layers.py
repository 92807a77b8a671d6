"""Small layers that several parts of the network share; they know no configuration."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LayerNorm2d(nn.Module):
    """Normalise the channels of every position of a (B, C, H, W) map."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H, W) with zero mean and unit variance over C, scaled and shifted."""
        x = x.permute(0, 2, 3, 1)  # (B, H, W, C)
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps).permute(0, 3, 1, 2)


class MLPBlock(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, channels: int, hidden: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.lin1 = nn.Linear(channels, hidden)
        self.lin2 = nn.Linear(hidden, channels)
        self.act = activation()

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., channels)."""
        out: Tensor = self.lin2(self.act(self.lin1(x)))
        return out


class ConvBN(nn.Module):
    """Convolution without bias, then batch normalisation."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.c = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, H / stride, W / stride)."""
        if is_inference_on_cpu(self, x):  # elsewhere more, and smaller, operations take longer to be sent off
            weight, bias = self.folded()
            return F.conv2d(x, weight, bias, self.c.stride, self.c.padding, groups=self.c.groups)
        out: Tensor = self.bn(self.c(x))
        return out

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias of the one convolution that both are in evaluation."""
        if self.bn.running_mean is None or self.bn.running_var is None:
            raise ValueError(
                "the batch normalisation keeps no statistics, so that it cannot be part of a convolution"
            )
        scale = self.bn.weight * (self.bn.running_var + self.bn.eps).rsqrt()  # (outputs,)
        return self.c.weight * scale[:, None, None, None], self.bn.bias - self.bn.running_mean * scale


class DropPath(nn.Module):
    """Stochastic depth (doi:10.1007/978-3-319-46493-0_39): drop a residual branch of whole samples while training."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"the drop path rate is {rate}; it must be at least 0 and less than 1")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, ...) with samples zeroed at `rate` and the others scaled to keep the mean."""
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand((x.shape[0],) + (1,) * (x.ndim - 1), device=x.device) >= self.rate
        return x * (kept.to(x.dtype) / (1 - self.rate))


class Neck(nn.Sequential):
    """Two convolutions that bring an encoder's (B, C, h, w) to the (B, 256, h, w) of the image embedding."""

    def __init__(self, channels: int, embed_dim: int) -> None:
        super().__init__(
            nn.Conv2d(channels, embed_dim, 1, bias=False),
            LayerNorm2d(embed_dim),
            nn.Conv2d(embed_dim, embed_dim, 3, padding=1, bias=False),
            LayerNorm2d(embed_dim),
        )


def is_inference(module: nn.Module) -> bool:
    """Tell whether a module is asked for numbers only: in evaluation, and no gradients are wanted."""
    return not module.training and not torch.is_grad_enabled()


def is_inference_on_cpu(module: nn.Module, x: Tensor) -> bool:
    """Tell whether the ways to the same numbers that are made for processors may be taken."""
    return x.device.type == "cpu" and is_inference(module)


def drop_path_rates(last: float, depth: int) -> list[float]:
    """Return the stochastic depth of each of `depth` blocks, rising linearly from 0 to `last`."""
    return [last * block / max(depth - 1, 1) for block in range(depth)]


def init_encoder(module: nn.Module) -> None:
    """Start linear layers as vision transformers are started: truncated normal of 0.02, zero bias."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def gelu_(x: Tensor) -> Tensor:
    """Return GELU of a map that nobody else looks at, in its place: a new one costs more than the arithmetic."""
    changed: Tensor = torch.ops.aten.gelu_(x)
    return changed
