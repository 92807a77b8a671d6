"""The mask decoder at inference: one prompt at a time on what all prompts of an image share.

Exact: the same answers as `MaskDecoder.predict_masks` up to rounding, with a quarter of its arithmetic and without a
map of 256 channels for each prompt. `shared_image.py` says why. The predicted IoU is known before the masks are
drawn, so that prompts whose masks nobody wants cost about half.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segany.model.layers import LayerNorm2d
from napari_segany.model.shared_image import ReadMaps, SharedImage, WriteMaps, centred
from napari_segany.model.two_way_transformer import Attention

# Cells whose masks are drawn at a time: fewer make the products slow, more leave the cache.
_CELLS_AT_A_TIME = 2048


@dataclass(frozen=True, eq=False)
class Reading:
    """What one prompt made of an image: scores, and all that is needed to draw its masks.

    Attributes
    ----------
    iou : Tensor
        (4,) predicted IoU: of the mask for unambiguous prompts, then of the three for ambiguous ones.
    filters : Tensor
        (4, 32), what each mask is drawn with.
    scale : Tensor
        (N,), the factor of the shared image tokens in each cell.
    weights, rows : Tensor
        (R, N) and (R, 256), what the prompt adds to them.
    """

    iou: Tensor
    filters: Tensor
    scale: Tensor
    weights: Tensor
    rows: Tensor


def read_prompt(shared: SharedImage, prompt_tokens: Tensor) -> Reading:
    """Let a prompt and an image exchange what they know.

    Parameters
    ----------
    shared : SharedImage
        The image.
    prompt_tokens : Tensor
        (tokens, 256), of the prompt encoder.
    """
    decoder = shared.decoder
    tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight, prompt_tokens])  # (t, 256)
    cells = _PromptCells(shared, len(tokens))
    queries = tokens
    for layer in shared.layers:
        block = layer.block
        if block.skip_first_layer_pe:
            queries = _self_attention(block.self_attn, queries, queries)
        else:
            queries = queries + _self_attention(block.self_attn, queries + tokens, queries)
        queries = block.norm1(queries)
        queries = block.norm2(queries + cells.read(layer.read, queries + tokens))
        queries = block.norm3(queries + block.mlp(queries))
        cells.write(layer.write, queries + tokens, queries)
    queries = decoder.transformer.norm_final_attn(queries + cells.read(shared.final, queries + tokens))
    of_masks = queries[1 : 1 + decoder.num_mask_tokens]
    filters = [mlp(token) for mlp, token in zip(decoder.output_hypernetworks_mlps, of_masks, strict=True)]
    return Reading(
        iou=decoder.iou_prediction_head(queries[0]),
        filters=torch.stack(filters),
        scale=cells.scale,
        weights=cells.weights[: cells.rank],
        rows=cells.rows,
    )


def draw_masks(
    shared: SharedImage, reading: Reading, chosen: slice | Tensor, region: tuple[int, int] | None = None
) -> Tensor:
    """Draw masks of one prompt.

    Parameters
    ----------
    shared : SharedImage
        The image.
    reading : Reading
        What `read_prompt` made of it.
    chosen : slice or Tensor
        Which of the four masks; int64 numbers.
    region : tuple of int, optional
        (rows, cols) of cells, from the top left, to draw; all when not given.

    Returns
    -------
    Tensor
        (masks, 4 * rows, 4 * cols) logits.
    """
    rows, cols = region or shared.grid
    filters = reading.filters[chosen]
    added = (reading.rows @ shared.upscale_weight).unflatten(1, (2, -1))  # R, step down, step right * 64
    weights, image = _left(reading.weights.T, shared.grid, cols), _left(shared.upscaled, shared.grid, cols)
    scale = _left(reading.scale, shared.grid, cols)
    logits = filters.new_empty(len(filters), rows, 2, 2, 4 * cols)  # rows of a cell: two steps of the convolutions
    upscaling = _Upscaling(shared)
    height = max(1, _CELLS_AT_A_TIME // cols)
    for start in range(0, rows, height):
        some = slice(start, min(start + height, rows))
        for down in range(2):
            x = image[some, :, down] * scale[some, :, None]
            x = x.flatten(0, 1).addmm_(weights[some].flatten(0, 1), added[:, down])  # (n, 2 * 64)
            x = upscaling.first(x, down)
            for further in range(2):
                drawn = filters @ upscaling.second(x, further).T  # (masks, n * 4)
                logits[:, some, down, further] = drawn.view(len(filters), -1, 4 * cols)
    return logits.view(len(filters), 4 * rows, 4 * cols)


class _Upscaling:
    """The two upscaling convolutions, one row of their results at a time, so that nothing has to be rearranged."""

    def __init__(self, shared: SharedImage) -> None:
        norm, second = shared.decoder.output_upscaling[1], shared.decoder.output_upscaling[3]
        if not isinstance(norm, LayerNorm2d) or not isinstance(second, nn.ConvTranspose2d) or second.bias is None:
            raise TypeError("the decoder's upscaling is not a normalisation and a transposed convolution with a bias")
        self._norm = norm
        self._constant = shared.upscale_constant.unflatten(0, (2, -1))  # step down, step right * 64
        self._weight = second.weight.permute(2, 3, 1, 0).flatten(1, 2)  # step down, step right * 32, 64
        self._bias = second.bias.repeat(2)

    def first(self, x: Tensor, down: int) -> Tensor:
        """Return (2 * n, 64) of the first convolution's sums (n, 2 * 64) in one of its rows."""
        x += self._constant[down]
        x = x.view(-1, self._weight.shape[2])
        return F.gelu(F.layer_norm(x, self._norm.weight.shape, self._norm.weight, self._norm.bias, self._norm.eps))

    def second(self, x: Tensor, down: int) -> Tensor:
        """Return (4 * n, 32) of (2 * n, 64), in one row of the second convolution."""
        return F.gelu(F.linear(x, self._weight[down], self._bias)).view(-1, self._weight.shape[1] // 2)


class _PromptCells:
    """The image tokens of one prompt while the layers are gone through: factor a, Z and M of `shared_image.py`."""

    def __init__(self, shared: SharedImage, tokens: int) -> None:
        depth, heads = len(shared.layers), shared.final.attention.num_heads
        cells = shared.upscaled.shape[0]
        self.scale = shared.upscaled.new_ones(cells)
        self.weights = shared.upscaled.new_empty(depth * heads * tokens + depth - 1, cells)
        self.rows = shared.upscaled.new_empty(0, shared.upscale_weight.shape[0])
        self.rank = 0
        self.values: list[Tensor] = []

    def read(self, maps: ReadMaps, queries: Tensor) -> Tensor:
        """Return what tokens (t, 256) take from the image, (t, 256)."""
        attention = maps.attention
        q = attention.q_proj(queries)
        q = q * (q.shape[1] // attention.num_heads) ** -0.5
        probability = self._logits(q, attention.k_proj.weight, maps.keys, maps.placed).softmax(dim=-1)  # (H, t, N)
        weights = self.weights[: self.rank]
        on_rows = probability.flatten(0, 1) @ weights.T  # (H * t, R)
        if maps.placed is not None:
            probability *= self.scale
        taken = torch.bmm(probability, maps.values.transpose(1, 2)).transpose(0, 1)  # (t, H, D)
        of_rows = F.linear(self.rows, attention.v_proj.weight).unflatten(1, taken.shape[1:])  # (R, H, D)
        taken = taken + torch.einsum("htr,rhd->thd", on_rows.unflatten(0, probability.shape[:2]), of_rows)
        out: Tensor = attention.out_proj(taken.flatten(1) + maps.constant)
        return out

    def write(self, maps: WriteMaps, keys: Tensor, values: Tensor) -> None:
        """Let the cells take up what tokens (t, 256) have to say, and normalise them."""
        attention = maps.attention
        k, v = attention.k_proj(keys), attention.v_proj(values)
        k = k * (k.shape[1] // attention.num_heads) ** -0.5
        logits = self._logits(k, attention.q_proj.weight, maps.queries, maps.placed)
        end = self.rank + logits.shape[0] * logits.shape[1]
        torch.softmax(logits, dim=1, out=self.weights[self.rank : end].view(logits.shape))
        self.values.append(v)
        rows = [self.rows, _spread(v, attention.out_proj.weight.T, attention)]
        if maps.constant is not None:
            rows.append(maps.constant[None])
            self.weights[end] = 1
            end += 1
        self.rank = end
        self._normalise(maps, centred(torch.cat(rows)))

    def _logits(self, vectors: Tensor, weight: Tensor, content: Tensor, placed: Tensor | None) -> Tensor:
        """Return (H, t, N): vectors (t, H * D) of tokens times projections of the cells, whose weight is given."""
        heads = content.shape[0]
        split = vectors.unflatten(1, (heads, -1)).transpose(0, 1)  # (H, t, D)
        logits = torch.bmm(split, content)
        if placed is None:
            return logits
        logits *= self.scale
        logits.baddbmm_(split, placed)
        factors = (split @ weight.unflatten(0, (heads, -1))).flatten(0, 1) @ self.rows.T  # (H * t, R)
        logits.flatten(0, 1).addmm_(factors, self.weights[: self.rank])
        return logits

    def _normalise(self, maps: WriteMaps, rows: Tensor) -> None:
        """Bring the cells to unit variance; the sums of squares come from those of the factors."""
        weights = self.weights[: self.rank]
        products = (rows @ rows.T) @ weights  # (R, N)
        start = 0
        constants = (None, *maps.constant_crossings)  # that of the first layer is part of S
        for values, crossing, constant in zip(self.values, maps.crossings, constants, strict=True):
            split = values.unflatten(1, (crossing.shape[0], -1)).transpose(0, 1)
            crossed = torch.bmm(split, crossing).flatten(0, 1)  # (H * t, N)
            if constant is not None:
                crossed = torch.cat([crossed, constant[None]])
            products[start : start + len(crossed)].addcmul_(crossed, self.scale)
            start += len(crossed)
        squares = products.mul_(weights).sum(dim=0) + self.scale.square() * maps.squares
        factor = (squares.clamp_(min=0) / rows.shape[1] + maps.norm.eps).rsqrt()  # (N,)
        weights *= factor
        self.scale = self.scale * factor
        self.rows = rows * maps.norm.weight


def _self_attention(attention: Attention, placed: Tensor, values: Tensor) -> Tensor:
    out: Tensor = attention(q=placed[None], k=placed[None], v=values[None])[0]
    return out


def _spread(values: Tensor, weight: Tensor, attention: Attention) -> Tensor:
    """Return (H * t, 256), what each head makes of values (t, H * D) by its part of a weight (H * D, 256)."""
    heads = attention.num_heads
    return (values.unflatten(1, (heads, -1)).transpose(0, 1) @ weight.unflatten(0, (heads, -1))).flatten(0, 1)


def _left(maps: Tensor, grid: tuple[int, int], cols: int) -> Tensor:
    """Return (h, cols, ...), the left part of maps (h * w, ...)."""
    return maps.unflatten(0, grid)[:, :cols]
