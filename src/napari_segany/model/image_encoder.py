"""Vision transformer encoder of SAM: image in, embedding out. Knows nothing of prompts, masks or files.

Plain ViT with windowed and global attention and decomposed relative positions, as in ViTDet
(Li et al. 2022, doi:10.1007/978-3-031-20077-9_17) and SAM (Kirillov et al. 2023, appendix A,
doi:10.1109/ICCV51070.2023.00371). Parameter names are the published ones.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segany.generators import drain, relabelled
from napari_segany.model.config import ViTConfig
from napari_segany.model.fast_vit import changed_tokens
from napari_segany.model.layers import (
    DropPath,
    MLPBlock,
    Neck,
    drop_path_rates,
    init_encoder,
    is_inference,
    is_inference_on_cpu,
)
from napari_segany.model.linear_products import Scratch
from napari_segany.model.relative_positions import relative_table, resize_grid

# Elements of one block of the attention map: on a CPU it has to stay in cache, a GPU wants few large kernels.
_CPU_BLOCK = 2**20
_GPU_BLOCK = 2**28


class ImageEncoderViT(nn.Module):
    """Image to embedding at 1/16 of its size.

    Parameters
    ----------
    config : ViTConfig
        Shape of the transformer.
    image_size : int
        Side in pixels that the tables of positions are made for; other inputs interpolate them.
    out_chans : int
        Channels of the embedding.
    """

    def __init__(self, config: ViTConfig, image_size: int = 1024, out_chans: int = 256) -> None:
        super().__init__()
        if config.embed_dim % config.num_heads:
            raise ValueError(
                f"embed_dim is {config.embed_dim} and num_heads {config.num_heads}; the heads must divide it"
            )
        grid = image_size // config.patch_size
        self.patch_embed = PatchEmbed(config.patch_size, config.embed_dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, config.embed_dim))
        self.blocks = nn.ModuleList(
            Block(config, 0 if index in config.global_attn_indexes else config.window_size, grid, rate)
            for index, rate in enumerate(drop_path_rates(config.drop_path_rate, config.depth))
        )
        self.neck = Neck(config.embed_dim, out_chans)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.blocks.apply(init_encoder)

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (B, 256, H / 16, W / 16) of (B, 3, H, W) normalised pixels."""
        embedding, _ = drain(self.steps(x))
        return embedding

    def steps(self, x: Tensor) -> Generator[tuple[int, int], None, tuple[Tensor, tuple[Tensor, ...]]]:
        """Encode block by block, on a processor in smaller steps.

        Yields
        ------
        tuple of int
            Blocks done, and blocks in all with the neck as one; on a processor also within a block.

        Returns
        -------
        tuple
            The embedding, and no further feature maps (a plain ViT has a single scale).
        """
        total = len(self.blocks) + 1
        x = self.patch_embed(x)  # (B, h, w, C)
        x = x + resize_grid(self.pos_embed, (x.shape[1], x.shape[2]))
        yield 0, total
        scratch = Scratch()
        for done, block in enumerate(cast("list[Block]", list(self.blocks))):
            x = yield from _told(block.steps(x, scratch, in_place=True), (done, total))
            yield done + 1, total
        embedding = self.neck(x.permute(0, 3, 1, 2))  # (B, 256, h, w)
        yield total, total
        return embedding, ()


def _told(
    parts: Generator[None, None, Tensor], progress: tuple[int, int]
) -> Generator[tuple[int, int], None, Tensor]:
    """Run the parts of a block; each tells the same progress."""
    return relabelled(parts, lambda _: progress)


class PatchEmbed(nn.Module):
    """Non-overlapping patches to tokens."""

    def __init__(self, patch_size: int, embed_dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens (B, h, w, C) of (B, 3, H, W)."""
        tokens: Tensor = self.proj(x).permute(0, 2, 3, 1)
        return tokens


class Block(nn.Module):
    """Transformer block: attention within windows (or everywhere, `window_size` 0), then an MLP, both residual."""

    def __init__(self, config: ViTConfig, window_size: int, grid: int, drop_path: float) -> None:
        super().__init__()
        self.window_size = window_size
        self.norm1 = nn.LayerNorm(config.embed_dim, eps=1e-6)
        self.attn = Attention(config.embed_dim, config.num_heads, window_size or grid, config.use_rel_pos)
        self.norm2 = nn.LayerNorm(config.embed_dim, eps=1e-6)
        self.mlp = MLPBlock(config.embed_dim, int(config.embed_dim * config.mlp_ratio), nn.GELU)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, h, w, C) of (B, h, w, C)."""
        return drain(self.steps(x))

    def steps(
        self, x: Tensor, scratch: Scratch | None = None, *, in_place: bool = False
    ) -> Generator[None, None, Tensor]:
        """Do the same in parts where it is slow, on a processor; nothing is yielded elsewhere.

        `scratch` is memory that blocks before this one have used; with `in_place` the tokens may be changed.
        """
        if is_inference_on_cpu(self, x):
            return (yield from changed_tokens(self, x, scratch or Scratch(), in_place=in_place))
        attended = self.norm1(x)
        if self.window_size:
            windows, padded = window_partition(attended, self.window_size)
            attended = window_unpartition(self.attn(windows), self.window_size, padded, (x.shape[1], x.shape[2]))
        else:
            attended = self.attn(attended)
        x = x + self.drop_path(attended)
        return x + self.drop_path(self.mlp(self.norm2(x)))


class Attention(nn.Module):
    """Multi-head self-attention over a grid of tokens, with decomposed relative positions."""

    def __init__(self, embed_dim: int, num_heads: int, grid: int, use_rel_pos: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.proj = nn.Linear(embed_dim, embed_dim)
        self.use_rel_pos = use_rel_pos
        if use_rel_pos:
            self.rel_pos_h = nn.Parameter(torch.zeros(2 * grid - 1, embed_dim // num_heads))
            self.rel_pos_w = nn.Parameter(torch.zeros(2 * grid - 1, embed_dim // num_heads))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, h, w, C) of (B, h, w, C)."""
        batch, height, width, channels = x.shape
        qkv = self.qkv(x).reshape(batch, height * width, 3, self.num_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).flatten(1, 2)  # each (B * heads, h * w, C / heads)
        if self.use_rel_pos:
            by_row = q.unflatten(1, (height, width))  # (B * heads, h, w, C / heads)
            bias_h = torch.einsum("bhwc,hkc->bhwk", by_row, relative_table(self.rel_pos_h, height))
            bias_w = torch.einsum("bhwc,wkc->bhwk", by_row, relative_table(self.rel_pos_w, width))
            fused = attends_fused(x.device.type, inference=is_inference(self))
            out = attend_in_blocks(q, k, v, bias_h.flatten(1, 2), bias_w.flatten(1, 2), fused=fused)
        else:
            out = F.scaled_dot_product_attention(q, k, v)
        out = out.reshape(batch, self.num_heads, height, width, -1).permute(0, 2, 3, 1, 4)
        projected: Tensor = self.proj(out.reshape(batch, height, width, channels))
        return projected


def attends_fused(device_type: str, *, inference: bool) -> bool:
    """Tell whether attention is left to torch's kernels for it, which want relative positions as a mask.

    On CUDA they take as long as products and a softmax in float32, and less in bfloat16. In training they were not
    measured, and a processor has a way of its own (`fast_vit.py`).
    """
    return device_type == "cuda" and inference


def attend_in_blocks(
    q: Tensor, k: Tensor, v: Tensor, bias_h: Tensor, bias_w: Tensor, *, fused: bool = False
) -> Tensor:
    """Attention with a bias that is a sum of one term per key row and one per key column.

    The whole attention map of ViT-B at 1024 px takes 805 MB, so it exists in blocks of queries only.

    Parameters
    ----------
    q, k, v : Tensor
        (G, h * w, D), one group per image (or window) and head.
    bias_h : Tensor
        (G, h * w, h), what each query adds to its logits with every row of keys.
    bias_w : Tensor
        (G, h * w, w), the same for columns.
    fused : bool
        By torch's own function for attention: the map, or only what is added to it, is what exists in blocks.

    Returns
    -------
    Tensor
        (G, h * w, D).
    """
    groups, tokens, _ = q.shape
    attend = _attend_fused if fused else _attend
    block = _CPU_BLOCK if q.device.type == "cpu" else _GPU_BLOCK
    groups_at_once = max(1, block // tokens**2)
    queries_at_once = min(tokens, max(1, block // tokens))
    heads = []
    for group in range(0, groups, groups_at_once):
        some = slice(group, group + groups_at_once)
        outputs = []
        for start in range(0, tokens, queries_at_once):
            rows = slice(start, start + queries_at_once)
            outputs.append(attend(q[some, rows], k[some], v[some], bias_h[some, rows], bias_w[some, rows]))
        heads.append(_joined(outputs, dim=1))
    return _joined(heads, dim=0)


def _attend(q: Tensor, k: Tensor, v: Tensor, bias_h: Tensor, bias_w: Tensor) -> Tensor:
    """Return (g, n, D) of queries (g, n, D), keys and values (g, h * w, D), biases (g, n, h) and (g, n, w)."""
    logits = (q * q.shape[2] ** -0.5) @ k.transpose(1, 2)  # (g, n, h * w)
    by_key = logits.unflatten(2, (bias_h.shape[2], bias_w.shape[2]))
    by_key += bias_h[..., :, None]
    by_key += bias_w[..., None, :]
    return logits.softmax(dim=2) @ v


def _attend_fused(q: Tensor, k: Tensor, v: Tensor, bias_h: Tensor, bias_w: Tensor) -> Tensor:
    """Return what `_attend` does."""
    mask = (bias_h[..., :, None] + bias_w[..., None, :]).flatten(2)  # (g, n, h * w)
    out: Tensor = F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=mask[None])[0]
    return out


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def window_partition(x: Tensor, size: int) -> tuple[Tensor, tuple[int, int]]:
    """Cut (B, H, W, C) into windows, padding with zeros at the bottom and right.

    Returns
    -------
    windows : Tensor
        (B * windows, size, size, C).
    padded : tuple of int
        Height and width after padding.
    """
    batch, height, width, channels = x.shape
    x = F.pad(x, (0, 0, 0, -width % size, 0, -height % size))
    padded = (x.shape[1], x.shape[2])
    x = x.view(batch, padded[0] // size, size, padded[1] // size, size, channels)
    return x.transpose(2, 3).reshape(-1, size, size, channels), padded


def window_unpartition(windows: Tensor, size: int, padded: tuple[int, int], shape: tuple[int, int]) -> Tensor:
    """Put windows (B * windows, size, size, C) back together and drop the padding: (B, *shape, C)."""
    rows, columns = padded[0] // size, padded[1] // size
    x = windows.view(-1, rows, columns, size, size, windows.shape[-1]).transpose(2, 3)
    return x.reshape(-1, *padded, windows.shape[-1])[:, : shape[0], : shape[1]]
