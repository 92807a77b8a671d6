"""The parts of the TinyViT encoder at inference on a processor: as `tiny_vit.py` defines them, in little memory.

Normalisations of batches become part of the convolutions before them. Maps have their channels last, so that
convolutions and attention read the same layout. Wide maps exist for some rows of the image at a time, with those rows
above and below them that a convolution of 3 x 3 looks at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segany.model.convolution_gelu import convolved_gelu
from napari_segany.model.layers import ConvBN, gelu_
from napari_segany.model.linear_products import products_type

if TYPE_CHECKING:  # which takes these ways from there
    from napari_segany.model.tiny_vit import MBConv, PatchEmbed, PatchMerging, TinyViTBlock

# Of the maps that do not fit a cache: elements of the part at work, 4 MiB in float32. Smaller parts have more rows in
# common, which are computed for each.
_PART = 2**20
# Of attention maps, which softmax goes through again and again: 2 MiB.
_WINDOWS_PART = 2**19


class _Convolution:
    """A convolution with its batch normalisation folded in, on some rows of a map."""

    def __init__(self, layer: nn.Module) -> None:
        if not isinstance(layer, ConvBN):
            raise TypeError(f"a layer of the encoder is a {type(layer).__name__}; expected a ConvBN")
        weight, bias = layer.folded()
        kind = products_type(weight.dtype)
        self.weight, self.bias = weight.to(kind), bias.to(kind)
        self.stride, self.groups = layer.c.stride[0], layer.c.groups
        self.reach = self.weight.shape[2] // 2

    def needs(self, rows: tuple[int, int]) -> tuple[int, int]:
        """Return the rows [first, end) of the input that rows [first, end) of the output look at."""
        return rows[0] * self.stride - self.reach, (rows[1] - 1) * self.stride + self.reach + 1

    def __call__(self, x: Tensor) -> Tensor:
        """Return the output of rows that have those with them which it looks at."""
        return F.conv2d(x, self.weight, self.bias, self.stride, (0, self.reach), groups=self.groups)

    def gelu(self, x: Tensor) -> Tensor:
        """Return GELU of that output."""
        x = x.to(self.weight.dtype)
        return convolved_gelu(x, self.weight, self.bias, self.stride, (0, self.reach), self.groups)


def embedded_patches(embed: PatchEmbed, x: Tensor) -> Tensor:
    """Return what the two strided convolutions make of an image, (B, C, H / 4, W / 4)."""
    x = x.contiguous(memory_format=torch.channels_last)
    first, second = _Convolution(embed.seq[0]), _Convolution(embed.seq[2])
    middle = -(-x.shape[2] // 2)

    def rows_of(rows: tuple[int, int]) -> Tensor:
        needed = second.needs(rows)
        inside = max(needed[0], 0), min(needed[1], middle)
        hidden = first.gelu(_rows(x, first.needs(inside)))
        return second(_padded(hidden, inside, needed))

    # Two rows of the half-sized map for each row of the result.
    return _in_parts(rows_of, -(-middle // 2), x.shape[3] * first.weight.shape[0])


def filtered_map(block: MBConv, x: Tensor) -> Tensor:
    """Return what an inverted bottleneck makes of (B, C, H, W)."""
    widen, filters, narrow = (_Convolution(layer) for layer in (block.conv1, block.conv2, block.conv3))

    def rows_of(rows: tuple[int, int]) -> Tensor:
        hidden = filters.gelu(_hidden_rows(widen, x, filters.needs(rows)))
        return gelu_(narrow(hidden).add_(x[:, :, rows[0] : rows[1]]))

    return _in_parts(rows_of, x.shape[2], x.shape[3] * widen.weight.shape[0])


def merged_patches(layer: PatchMerging, x: Tensor) -> Tensor:
    """Return what a change of channels and grid makes of (B, C, H, W)."""
    widen, filters, last = (_Convolution(part) for part in (layer.conv1, layer.conv2, layer.conv3))

    def rows_of(rows: tuple[int, int]) -> Tensor:
        return last(filters.gelu(_hidden_rows(widen, x, filters.needs(rows))))

    height = -(-x.shape[2] // filters.stride)
    return _in_parts(rows_of, height, x.shape[3] * widen.weight.shape[0] * filters.stride)


def _hidden_rows(widen: _Convolution, x: Tensor, needed: tuple[int, int]) -> Tensor:
    """Return rows of the widened map, zero beyond the image, as the next convolution needs them."""
    inside = max(needed[0], 0), min(needed[1], x.shape[2])
    return _padded(widen.gelu(x[:, :, inside[0] : inside[1]]), inside, needed)


def attended_map(block: TinyViTBlock, x: Tensor) -> Tensor:
    """Return what a block of window attention makes of (B, C, H, W)."""
    x = x.clone(memory_format=torch.channels_last)
    _attend_in_windows(block, x.permute(0, 2, 3, 1))
    joining = _Convolution(block.local_conv)
    x = joining(_rows(x, joining.needs((0, x.shape[2]))))
    tokens = x.permute(0, 2, 3, 1).flatten(0, 2)  # (B * H * W, C)
    size = max(1, _WINDOWS_PART // block.mlp.fc1.out_features)
    for start in range(0, len(tokens), size):
        tokens[start : start + size] += block.mlp(tokens[start : start + size])
    return x


def _attend_in_windows(block: TinyViTBlock, x: Tensor) -> None:
    """Add to tokens (B, H, W, C) what they take from those of their window, in place."""
    attention, size = block.attn, block.window_size
    batch, height, width, channels = x.shape
    across = -(-width // size)
    padding = attention.qkv(attention.norm(x.new_zeros(channels)))
    bias = attention.attention_biases[:, attention.offsets].to(x.dtype)  # (heads, N, N)
    down = max(1, _WINDOWS_PART // (batch * across * bias.numel()))  # rows of windows at a time
    strip = padding.repeat(batch, min(down, -(-height // size)) * size, across * size, 1)
    for top in range(0, height, down * size):
        part = x[:, top : top + down * size]
        rows = part.shape[1]
        windows_down = -(-rows // size)
        strip = strip[:, : windows_down * size]
        strip[:, :rows, :width] = attention.qkv(attention.norm(part))
        strip[:, rows:] = padding
        windows = strip.view(batch, windows_down, size, across, size, attention.num_heads, 3, -1)
        # 3, then windows, heads, positions, channels
        q, k, v = windows.permute(6, 0, 1, 3, 5, 2, 4, 7).flatten(1, 3).flatten(3, 4).contiguous()
        taken = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        taken = taken.view(batch, windows_down, across, attention.num_heads, size, size, -1)
        taken = taken.permute(0, 1, 4, 2, 5, 3, 6).reshape(batch, windows_down * size, across * size, channels)
        # Dense: torch would otherwise multiply row by row, each with a copy of the weights.
        part += attention.proj(taken[:, :rows, :width].contiguous())


def _in_parts(rows_of: Callable[[tuple[int, int]], Tensor], height: int, elements_of_row: int) -> Tensor:
    """Put a map together from parts of its rows that are computed one after the other."""
    size = max(1, _PART // elements_of_row)
    out: Tensor | None = None
    for rows in ((start, min(start + size, height)) for start in range(0, height, size)):
        part = rows_of(rows)
        if out is None:
            shape = (part.shape[0], part.shape[1], height, part.shape[3])
            out = torch.empty(shape, dtype=part.dtype, device=part.device, memory_format=torch.channels_last)
        out[:, :, rows[0] : rows[1]] = part
    if out is None:
        raise ValueError("the map has no rows")
    return out


def _rows(x: Tensor, rows: tuple[int, int]) -> Tensor:
    """Return rows [first, end) of (B, C, H, W), zero beyond the map."""
    inside = max(rows[0], 0), min(rows[1], x.shape[2])
    return _padded(x[:, :, inside[0] : inside[1]], inside, rows)


def _padded(x: Tensor, inside: tuple[int, int], rows: tuple[int, int]) -> Tensor:
    """Return rows [first, end) given those that lie inside the map; the others are zero."""
    above, below = inside[0] - rows[0], rows[1] - inside[1]
    return F.pad(x, (0, 0, above, below)) if above or below else x
