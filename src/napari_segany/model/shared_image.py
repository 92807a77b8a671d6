"""What the mask decoder reads from an image, for all prompts at once: the shared part of its fast path.

In the two-way transformer the image tokens of one prompt stay close to those of the image. After every layer they are

    X = a S + Z' M + s

where S (N, 256) depends on the image alone, s (256,) on the weights alone, and the prompt adds one factor a per cell
and a product of rank R = 8 t per layer: Z (R, N) holds the attention of N cells to t tokens by 8 heads, M (R, 256)
what the tokens said. A layer normalisation keeps that form, since it is linear up to one factor per cell. So every
projection of X is one of S, computed here once per image, plus products of small matrices, in `fast_decoder.py`.

The mathematics is that of `two_way_transformer.py` and `mask_decoder.py`, whose parameters are used as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segany.model.mask_decoder import MaskDecoder
from napari_segany.model.two_way_transformer import Attention, TwoWayAttentionBlock


@dataclass(frozen=True, eq=False)
class ReadMaps:
    """What tokens attend to: an image of N cells as keys and values of H heads with D channels each.

    Attributes
    ----------
    attention : Attention
        The layer, tokens to image.
    keys, values : Tensor
        (H, D, N) of S.
    placed : Tensor or None
        (H, D, N), keys of the positions; None where they are part of `keys`.
    constant : Tensor
        (inner channels,), the value of s.
    """

    attention: Attention
    keys: Tensor
    values: Tensor
    placed: Tensor | None
    constant: Tensor


@dataclass(frozen=True, eq=False)
class WriteMaps:
    """What cells attend to tokens with, and what the normalisation after it needs.

    Attributes
    ----------
    attention : Attention
        The layer, image to tokens.
    norm : nn.LayerNorm
        What follows it.
    queries : Tensor
        (H, D, N) of S.
    placed : Tensor or None
        (H, D, N), queries of the positions and of s; None where they are part of `queries`.
    constant : Tensor or None
        (256,), what the layer adds to all cells alike; None where it is part of S.
    squares : Tensor
        (N,), sums of squares of centred S.
    crossings : tuple of Tensor
        (H, D, N) for this layer and each before it: twice the products of centred S with what a value vector of
        that layer becomes.
    constant_crossings : tuple of Tensor
        (N,) for the constant of each layer that has one.
    """

    attention: Attention
    norm: nn.LayerNorm
    queries: Tensor
    placed: Tensor | None
    constant: Tensor | None
    squares: Tensor
    crossings: tuple[Tensor, ...]
    constant_crossings: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class SharedLayer:
    """One layer of the two-way transformer on one image."""

    block: TwoWayAttentionBlock
    read: ReadMaps
    write: WriteMaps


@dataclass(frozen=True, eq=False)
class SharedImage:
    """One image as the mask decoder reads it, whatever the prompt.

    Attributes
    ----------
    decoder : MaskDecoder
        Whose weights these are; what is computed here is void once they change.
    grid : tuple of int
        (h, w) of the image embedding, N = h * w.
    layers : tuple of SharedLayer
        Those of the transformer.
    final : ReadMaps
        Its last attention.
    upscaled : Tensor
        (N, 2, 2 * 64), S after the first upscaling convolution: step down, step right and channel.
    upscale_weight : Tensor
        (256, 4 * 64), that convolution.
    upscale_constant : Tensor
        (4 * 64,), its bias and what it makes of s.
    """

    decoder: MaskDecoder
    grid: tuple[int, int]
    layers: tuple[SharedLayer, ...]
    final: ReadMaps
    upscaled: Tensor
    upscale_weight: Tensor
    upscale_constant: Tensor


def share_image(decoder: MaskDecoder, image: Tensor, image_pe: Tensor) -> SharedImage:
    """Compute what all prompts on an image share; about 5 GFLOP for 64 x 64 cells.

    Parameters
    ----------
    decoder : MaskDecoder
        The model's.
    image : Tensor
        (1, 256, h, w), image embedding and dense prompt embedding.
    image_pe : Tensor
        (1, 256, h, w), positions of the cells.

    Raises
    ------
    ValueError
        For more than one image.
    """
    if image.shape[0] != 1:
        raise ValueError(f"there are {image.shape[0]} image embeddings; give one, which all prompts share")
    cells = _Cells(image[0].flatten(1).T, image_pe[0].flatten(1).T)
    layers = []
    for block in decoder.transformer.layers:
        if not isinstance(block, TwoWayAttentionBlock):
            raise TypeError(f"a layer of the decoder is a {type(block).__name__}; expected a TwoWayAttentionBlock")
        read = cells.read(block.cross_attn_token_to_image)
        layers.append(SharedLayer(block, read, cells.write(block.cross_attn_image_to_token, block.norm4)))
    convolution = decoder.output_upscaling[0]
    if not isinstance(convolution, nn.ConvTranspose2d) or convolution.bias is None:
        raise TypeError("the decoder's upscaling does not begin with a transposed convolution with a bias")
    weight = convolution.weight.permute(0, 2, 3, 1).flatten(1)  # (256, 2 * 2 * 64)
    return SharedImage(
        decoder=decoder,
        grid=(image.shape[2], image.shape[3]),
        layers=tuple(layers),
        final=cells.read(decoder.transformer.final_attn_token_to_image),
        upscaled=(cells.shared @ weight).unflatten(1, (2, -1)),
        upscale_weight=weight,
        upscale_constant=cells.shift @ weight + convolution.bias.repeat(4),
    )


def centred(x: Tensor) -> Tensor:
    """Return x (..., C) without the mean over C."""
    return x - x.mean(dim=-1, keepdim=True)


class _Cells:
    """S and s while the layers are gone through, with the rows of M as functions of the tokens' values."""

    def __init__(self, image: Tensor, positions: Tensor) -> None:
        self.shared, self.positions = image, positions  # each (N, 256)
        self.shift = torch.zeros_like(image[0])
        self.first = True
        self.spreads: list[Tensor] = []  # (inner channels, 256): values of a layer's tokens to rows of M
        self.constants: list[Tensor] = []  # (256,): rows of M that are the same for all prompts

    def read(self, attention: Attention) -> ReadMaps:
        """Return what tokens attend to; a bias of all keys alike changes no attention."""
        placed = _by_head(F.linear(self.positions, attention.k_proj.weight), attention)
        keys = _by_head(F.linear(self.shared, attention.k_proj.weight), attention)
        return ReadMaps(
            attention=attention,
            keys=keys + placed if self.first else keys,
            values=_by_head(F.linear(self.shared, attention.v_proj.weight), attention),
            placed=None if self.first else placed,
            constant=attention.v_proj(self.shift),
        )

    def write(self, attention: Attention, norm: nn.LayerNorm) -> WriteMaps:
        """Return what cells attend to tokens with, and go on to what the cells are after it."""
        queries = _by_head(F.linear(self.shared, attention.q_proj.weight), attention)
        placed = _by_head(attention.q_proj(self.positions + self.shift), attention)
        constant = self.shift + attention.out_proj.bias
        if self.first:
            self.shared = self.shared + constant
        else:
            self.constants.append(constant)
        self.spreads.append(attention.out_proj.weight.T)
        self.shared = centred(self.shared)
        self.spreads = [centred(rows) for rows in self.spreads]
        self.constants = [centred(row) for row in self.constants]
        maps = WriteMaps(
            attention=attention,
            norm=norm,
            queries=queries + placed if self.first else queries,
            placed=None if self.first else placed,
            constant=None if self.first else constant,
            squares=self.shared.square().sum(dim=1),
            crossings=tuple(_by_head(2 * self.shared @ rows.T, attention) for rows in self.spreads),
            constant_crossings=tuple(2 * self.shared @ row for row in self.constants),
        )
        self.shared = self.shared * norm.weight
        self.spreads = [rows * norm.weight for rows in self.spreads]
        self.constants = [row * norm.weight for row in self.constants]
        self.shift, self.first = norm.bias, False
        return maps


def _by_head(x: Tensor, attention: Attention) -> Tensor:
    """Return (heads, D, N) of (N, heads * D)."""
    return x.unflatten(1, (attention.num_heads, -1)).permute(1, 2, 0).contiguous()
