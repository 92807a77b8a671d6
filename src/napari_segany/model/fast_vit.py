"""The blocks of the ViT encoder at inference on a processor: as `image_encoder.py` defines them, in little memory.

Large temporaries cost a processor more than arithmetic does: their pages have to be fetched anew every time. Here one
image is changed in place; attention goes through one head and some rows of queries at a time, relative positions are
added to that part alone, windows are cut from queries, keys and values without computing those of the padding, and
the wide maps of the MLPs exist for some tokens at a time.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_segany.model.linear_products import LinearProducts, MLPProducts, Scratch, products_type
from napari_segany.model.relative_positions import relative_table, resize_table

if TYPE_CHECKING:  # which takes this way from there
    from napari_segany.model.image_encoder import Attention, Block

# Tokens at work at once in ViT-B; fewer in wider encoders, whose tokens take more arithmetic.
_TOKENS_AT_A_TIME, _AT_WIDTH = 512, 768
# Elements of the part of an attention map that is at work: 4 MiB in float32.
_MAP_AT_A_TIME = 2**20
_PARTS_OF_A_HEAD = 4


def changed_tokens(block: Block, x: Tensor, scratch: Scratch, *, in_place: bool) -> Generator[None, None, Tensor]:
    """Return what a transformer block makes of tokens (B, h, w, C), as its definition does; no gradients pass.

    Yields after each small part of the work, so that whoever drives it can stop soon: a global block of ViT-B at
    1024 pixels takes seconds on one core of a busy computer. With `in_place` the tokens given may be those returned.
    """
    x = x.contiguous() if in_place else x.clone(memory_format=torch.contiguous_format)
    for image in x:
        yield from _change(block, image, scratch)
    return x


def _change(block: Block, image: Tensor, scratch: Scratch) -> Iterator[None]:
    """Apply a transformer block to one image (h, w, C), in place, part by part."""
    tokens = image.flatten(0, 1)  # (h * w, C)
    channels = tokens.shape[1]
    at_a_time = max(64, _TOKENS_AT_A_TIME * _AT_WIDTH**2 // max(channels, _AT_WIDTH) ** 2)
    projection = LinearProducts(block.attn.qkv)
    # Of the type of the products, which need not be that of the tokens: see `mixed_precision.py`.
    qkv = scratch.take("qkv", (len(tokens), 3 * channels), products_type(tokens.dtype))
    for some in _parts(len(tokens), at_a_time):
        projection.into(block.norm1(tokens[some]), qkv[some])
        yield
    grid = qkv.unflatten(0, image.shape[:2])
    if block.window_size:
        yield from _attend_in_windows(block.attn, grid, block.window_size, scratch)
    else:
        yield from _attend_everywhere(block.attn, grid, scratch)
    projection, mlp = LinearProducts(block.attn.proj), MLPProducts(block.mlp)
    for some in _parts(len(tokens), at_a_time):
        projection.add_to(qkv[some, :channels], tokens[some], scratch)
        mlp.add_to(block.norm2(tokens[some]), tokens[some], scratch)
        yield


def _attend_everywhere(attention: Attention, qkv: Tensor, scratch: Scratch) -> Iterator[None]:
    """Head by head, put what the tokens take from all others in place of the queries of (h, w, 3 * C)."""
    height, width = qkv.shape[:2]
    heads = qkv.unflatten(2, (3, attention.num_heads, -1))  # (h, w, 3, heads, D)
    tables = _tables(attention, (height, width))
    rows_at_once = max(1, _MAP_AT_A_TIME // (height * width * width))
    for head in range(attention.num_heads):
        q, k, v = heads[:, :, :, head].permute(2, 0, 1, 3).contiguous()  # each (h, w, D)
        bias = None if tables is None else _biases(q[None], *tables)
        for rows in _parts(height, rows_at_once):
            mask = None if bias is None else _mask(bias[0][:, rows], bias[1][:, rows], scratch)  # (1, n, h * w)
            taken = _attend(q[None, rows], k[None], v[None], mask)
            heads[rows, :, 0, head] = taken.view(-1, width, taken.shape[-1])
            if (rows.start // rows_at_once) % _PARTS_OF_A_HEAD == _PARTS_OF_A_HEAD - 1:
                yield
        yield


def _attend_in_windows(attention: Attention, qkv: Tensor, size: int, scratch: Scratch) -> Iterator[None]:
    """By strips, put what the tokens take from those of their window in place of the queries of (h, w, 3 * C)."""
    height, width, channels = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    across = -(-width // size)
    offsets = _offsets(attention, size)
    padding = attention.qkv(qkv.new_zeros(channels))
    strip = scratch.take("strip", (size, across * size, 3 * channels), qkv.dtype)  # one row of windows
    strip[:, width:] = padding
    heads = strip.view(size, across, size, 3, attention.num_heads, -1).permute(3, 1, 4, 0, 2, 5)
    windows = scratch.take("windows", (3, across * attention.num_heads, *heads.shape[3:]), qkv.dtype)
    for rows in _parts(height, size):
        count = rows.stop - rows.start
        strip[:count, :width] = qkv[rows]
        strip[count:] = padding
        windows.view(heads.shape).copy_(heads)
        q, k, v = windows  # each (windows * heads, size, size, D)
        taken = _attend(q, k, v, None if offsets is None else _mask(*_biases_by_offset(q, offsets, scratch), scratch))
        taken = taken.view(across, attention.num_heads, size, size, -1).permute(2, 0, 3, 1, 4)
        qkv[rows, :, :channels] = taken.reshape(size, across * size, channels)[:count, :width]
        yield


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Return (G, n, D) of queries (G, ..., D), keys and values, and a mask (G, n, keys) that is added."""
    q, k, v = (x.flatten(1, 2)[None] for x in (q, k, v))
    with torch.autocast(q.device.type, enabled=False):  # which would round the mask
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=None if mask is None else mask[None])
    return out[0]


def _tables(attention: Attention, shape: tuple[int, int]) -> tuple[Tensor, Tensor] | None:
    """Return the relative positions of queries and keys along rows (h, h, D) and columns (w, w, D)."""
    if not attention.use_rel_pos:
        return None
    return relative_table(attention.rel_pos_h, shape[0]), relative_table(attention.rel_pos_w, shape[1])


def _biases(q: Tensor, table_h: Tensor, table_w: Tensor) -> tuple[Tensor, Tensor]:
    """Return what queries (G, h, w, D) add for every row (G, h, w, h) and every column (G, h, w, w) of keys."""
    with torch.autocast(q.device.type, enabled=False):  # small products, whose sums are exponents
        q = q.to(table_h.dtype)
        by_row = q @ table_h.transpose(1, 2)
        by_column = q.transpose(1, 2) @ table_w.transpose(1, 2)
    return by_row, by_column.transpose(1, 2)


def _offsets(attention: Attention, size: int) -> Tensor | None:
    """Return relative positions (2 * (2 * size - 1), D) in windows: of rows, then columns, the last offset first."""
    if not attention.use_rel_pos:
        return None
    tables = (resize_table(table, 2 * size - 1).flip(0) for table in (attention.rel_pos_h, attention.rel_pos_w))
    return torch.cat([*tables])


def _biases_by_offset(q: Tensor, offsets: Tensor, scratch: Scratch) -> tuple[Tensor, Tensor]:
    """Return what `_biases` does for windows of queries (G, n, n, D): one large product for many small ones.

    Every query meets every offset, twice as many as it has keys along an axis; which of them are those of its keys
    is a matter of where reading begins.
    """
    groups, size, _, channels = q.shape
    count = len(offsets)  # of both axes
    out = scratch.take("offsets", (groups * size * size, count), offsets.dtype)
    with torch.autocast(q.device.type, enabled=False):  # sums are exponents
        torch.mm(q.view(-1, channels).to(offsets.dtype), offsets.T, out=out)
    shape, steps = (groups, size, size, size), (size * size * count, size * count, count)
    first = out.storage_offset() + size - 1
    by_row = out.as_strided(shape, (steps[0], steps[1] - 1, steps[2], 1), first)
    by_column = out.as_strided(shape, (steps[0], steps[1], steps[2] - 1, 1), first + count // 2)
    return by_row, by_column


def _mask(by_row: Tensor, by_column: Tensor, scratch: Scratch) -> Tensor:
    """Return the sum (..., h * w, H * W) of terms (..., h, w, H) of rows and (..., h, w, W) of columns of keys."""
    shape = (*by_row.shape, by_column.shape[-1])
    out = scratch.take("mask", shape, by_row.dtype)
    return torch.add(by_row[..., :, None], by_column[..., None, :], out=out).flatten(-2).flatten(-3, -2)


def _parts(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
