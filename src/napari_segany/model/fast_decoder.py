"""The mask decoder at inference: some prompts at a time on what all prompts of an image share.

Exact: the same answers as `MaskDecoder.predict_masks` up to rounding, with a quarter of its arithmetic and without a
map of 256 channels for each prompt. `shared_image.py` says why. The predicted IoU is known before the masks are
drawn (`mask_drawing.py`), so that prompts whose masks nobody wants cost about half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_segany.model.prompt_cells import Part, PromptCells
from napari_segany.model.shared_image import SharedImage
from napari_segany.model.two_way_transformer import Attention


@dataclass(frozen=True, eq=False)
class Reading:
    """What one prompt made of an image: scores, and all that is needed to draw its masks.

    Attributes
    ----------
    iou : Tensor
        (4,) predicted IoU: of the mask for unambiguous prompts, then of the three for ambiguous ones.
    filters : Tensor
        (4, 32), what each mask is drawn with.
    parts : sequence of Part
        The cells, of this prompt and of those that were read with it.
    number : int
        Which of these prompts it is.
    rows : Tensor
        (R, 256), what the prompt adds to the shared image tokens by the weights of `parts`.
    """

    iou: Tensor
    filters: Tensor
    parts: Sequence[Part]
    number: int
    rows: Tensor

    def scale(self) -> Tensor:
        """Return (N,), the factor of each cell."""
        return torch.cat([part.factor[self.number] for part in self.parts])

    def weights(self) -> Tensor:
        """Return (R, N), how much of each row each cell has, with its factor."""
        every = self.rows.new_empty(len(self.rows), self.parts[-1].cells.stop)
        for part in self.parts:
            torch.mul(part.weights[self.number], part.factor[self.number], out=every[:, part.cells])
        return every


def read_prompts(shared: SharedImage, prompt_tokens: Tensor) -> list[Reading]:
    """Let some prompts and an image exchange what they know.

    Parameters
    ----------
    shared : SharedImage
        The image.
    prompt_tokens : Tensor
        (B, tokens, 256), of the prompt encoder. Eight at a time take a third less than one after the other: products
        of one prompt are small, and what all share is read from memory once.
    """
    decoder = shared.decoder
    own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([own.expand(len(prompt_tokens), -1, -1), prompt_tokens], dim=1)  # (B, t, 256)
    cells = PromptCells(shared, *tokens.shape[:2])
    queries, writing = tokens, None
    for layer in shared.layers:
        block = layer.block
        if block.skip_first_layer_pe:
            queries = _self_attention(block.self_attn, queries, queries)
        else:
            queries = queries + _self_attention(block.self_attn, queries + tokens, queries)
        queries = block.norm1(queries)
        queries = block.norm2(queries + cells.read(layer.read, queries + tokens, writing))
        queries = block.norm3(queries + block.mlp(queries))
        writing = cells.writing(layer.write, queries + tokens, queries)
    taken = cells.read(shared.final, queries + tokens, writing)
    queries = decoder.transformer.norm_final_attn(queries + taken)
    of_masks = queries[:, 1 : 1 + decoder.num_mask_tokens].unbind(dim=1)
    mlps = decoder.output_hypernetworks_mlps
    filters = torch.stack([mlp(token) for mlp, token in zip(mlps, of_masks, strict=True)], dim=1)
    of_each = zip(decoder.iou_prediction_head(queries[:, 0]), filters, cells.rows, strict=True)
    return [Reading(iou, own, cells.parts, number, rows) for number, (iou, own, rows) in enumerate(of_each)]


def _self_attention(attention: Attention, placed: Tensor, values: Tensor) -> Tensor:
    out: Tensor = attention(q=placed, k=placed, v=values)
    return out
