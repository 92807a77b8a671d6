"""TinyViT encoder of MobileSAM and of `light`: image in, embedding out. Knows nothing of prompts, masks or files.

TinyViT (Wu et al. 2022, doi:10.1007/978-3-031-19803-8_5) as MobileSAM (Zhang et al. 2023, arXiv:2306.14289) uses it:
the last stage keeps a stride of 16. Parameter names are the published ones.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segany.generators import drain
from napari_segany.model.config import TinyViTConfig
from napari_segany.model.fast_tiny_vit import attended_map, embedded_patches, filtered_map, merged_patches
from napari_segany.model.image_encoder import window_partition, window_unpartition
from napari_segany.model.layers import (
    ConvBN,
    DropPath,
    Neck,
    drop_path_rates,
    init_encoder,
    is_inference_on_cpu,
)

Steps = Generator[tuple[int, int], None, tuple[Tensor, tuple[Tensor, ...]]]


class TinyViT(nn.Module):
    """Image to embedding at 1/16 of its size, for inputs of any size.

    Parameters
    ----------
    config : TinyViTConfig
        Shape of the four stages.
    out_chans : int
        Channels of the embedding.
    """

    def __init__(self, config: TinyViTConfig, out_chans: int = 256) -> None:
        super().__init__()
        dims = config.embed_dims
        rates = iter(drop_path_rates(config.drop_path_rate, sum(config.depths)))
        stages: list[nn.Module] = []
        for stage, depth in enumerate(config.depths):
            blocks: list[nn.Module] = [
                MBConv(dims[0], config.conv_expand_ratio, next(rates))
                if stage == 0
                else TinyViTBlock(
                    dims[stage],
                    config.num_heads[stage],
                    config.window_sizes[stage],
                    config.mlp_ratio,
                    next(rates),
                )
                for _ in range(depth)
            ]
            downsample = None
            if stage < 3:
                downsample = PatchMerging(dims[stage], dims[stage + 1], stride=1 if stage == 2 else 2)
            stages.append(Stage(blocks, downsample))
        self.patch_embed = PatchEmbed(dims[0])
        self.layers = nn.ModuleList(stages)
        if config.classifier:
            self.norm_head = nn.LayerNorm(dims[3])
            self.head = nn.Linear(dims[3], 1000)
        self.neck = Neck(dims[3], out_chans)
        self.layers.apply(init_encoder)

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (B, 256, H / 16, W / 16) of (B, 3, H, W) normalised pixels."""
        embedding, _ = drain(self.steps(x))
        return embedding

    def steps(self, x: Tensor) -> Steps:
        """Encode block by block.

        Yields
        ------
        tuple of int
            Blocks done, and blocks in all with the neck as one.

        Returns
        -------
        tuple
            The embedding, and the features of the first two stages before they are downsampled:
            (B, C0, H / 4, W / 4) and (B, C1, H / 8, W / 8).
        """
        stages = cast("list[Stage]", list(self.layers))
        total = sum(len(stage.blocks) for stage in stages) + 1
        done = 0
        x = self.patch_embed(x)  # (B, C0, H / 4, W / 4)
        yield done, total
        scales = []
        for stage in stages:
            for block in stage.blocks:
                x = block(x)
                done += 1
                yield done, total
            scales.append(x)
            if stage.downsample is not None:
                x = stage.downsample(x)
        embedding = self.neck(x)  # (B, 256, H / 16, W / 16)
        yield total, total
        return embedding, (scales[0], scales[1])


class Stage(nn.Module):
    """Blocks at one scale and the layer that leads to the next scale."""

    def __init__(self, blocks: list[nn.Module], downsample: PatchMerging | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample


class PatchEmbed(nn.Module):
    """Two strided convolutions: (B, 3, H, W) to (B, C, H / 4, W / 4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(
            ConvBN(3, channels // 2, kernel=3, stride=2),
            nn.GELU(),
            ConvBN(channels // 2, channels, kernel=3, stride=2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H / 4, W / 4)."""
        if is_inference_on_cpu(self, x):
            return embedded_patches(self, x)
        out: Tensor = self.seq(x)
        return out


class MBConv(nn.Module):
    """Inverted bottleneck: widen, filter each channel, narrow, add."""

    def __init__(self, channels: int, expand_ratio: float, drop_path: float) -> None:
        super().__init__()
        hidden = int(channels * expand_ratio)
        self.conv1 = ConvBN(channels, hidden)
        self.conv2 = ConvBN(hidden, hidden, kernel=3, groups=hidden)
        self.conv3 = ConvBN(hidden, channels)
        self.act = nn.GELU()
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H, W) of (B, C, H, W)."""
        if is_inference_on_cpu(self, x):
            return filtered_map(self, x)
        hidden = self.act(self.conv2(self.act(self.conv1(x))))
        out: Tensor = self.act(x + self.drop_path(self.conv3(hidden)))
        return out


class PatchMerging(nn.Module):
    """Change the channels and, with a stride of 2, halve the grid."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvBN(inputs, outputs)
        self.conv2 = ConvBN(outputs, outputs, kernel=3, stride=stride, groups=outputs)
        self.conv3 = ConvBN(outputs, outputs)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, H / stride, W / stride)."""
        if is_inference_on_cpu(self, x):
            return merged_patches(self, x)
        out: Tensor = self.conv3(self.act(self.conv2(self.act(self.conv1(x)))))
        return out


class TinyViTBlock(nn.Module):
    """Window attention, a convolution that joins the windows, and an MLP."""

    def __init__(self, channels: int, num_heads: int, window_size: int, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.window_size = window_size
        self.attn = WindowAttention(channels, num_heads, window_size)
        self.local_conv = ConvBN(channels, channels, kernel=3, groups=channels)
        self.mlp = Mlp(channels, int(channels * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H, W) of (B, C, H, W)."""
        if is_inference_on_cpu(self, x):
            return attended_map(self, x)
        x = x.permute(0, 2, 3, 1)  # (B, H, W, C)
        windows, padded = window_partition(x, self.window_size)
        attended = self.attn(windows.flatten(1, 2)).view(windows.shape)
        attended = window_unpartition(attended, self.window_size, padded, (x.shape[1], x.shape[2]))
        x = x + self.drop_path(attended)
        x = self.local_conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return (x + self.drop_path(self.mlp(x))).permute(0, 3, 1, 2)


class WindowAttention(nn.Module):
    """Multi-head self-attention within a window, with one learned bias per absolute offset."""

    offsets: Tensor

    def __init__(self, channels: int, num_heads: int, window_size: int) -> None:
        super().__init__()
        if channels % num_heads:
            raise ValueError(f"{channels} channels cannot be shared by {num_heads} heads; the heads must divide them")
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.attention_biases = nn.Parameter(torch.zeros(num_heads, window_size**2))
        self.register_buffer("offsets", _absolute_offsets(window_size), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B * windows, N, C) of the same shape, N = window_size ** 2."""
        windows, tokens, channels = x.shape
        qkv = self.qkv(self.norm(x)).view(windows, tokens, self.num_heads, 3, -1)
        q, k, v = qkv.permute(3, 0, 2, 1, 4)  # each (windows, heads, N, C / heads)
        bias = self.attention_biases[:, self.offsets]  # (heads, N, N)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None].to(q.dtype))
        projected: Tensor = self.proj(out.transpose(1, 2).reshape(windows, tokens, channels))
        return projected


class Mlp(nn.Module):
    """Normalisation, then two linear layers."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., channels)."""
        out: Tensor = self.fc2(self.act(self.fc1(self.norm(x))))
        return out


def _absolute_offsets(window_size: int) -> Tensor:
    """Return (N, N) indices |dy| * window_size + |dx| of every pair of positions in a window."""
    # Always on the CPU: a buffer that no checkpoint holds must have values on a model built on the meta device too.
    position = torch.arange(window_size, device="cpu")
    distance = (position[:, None] - position[None, :]).abs()
    offsets = distance[:, None, :, None] * window_size + distance[None, :, None, :]
    return offsets.reshape(window_size**2, window_size**2)
