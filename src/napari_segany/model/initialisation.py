"""How a SAM starts when it is trained from random weights: able to tell near from far. Knows no data and no files.

With torch's ordinary initialisation the attention of the mask decoder is flat at first, and a model learns nothing of
where the prompt is for hundreds of steps (docs/experiments.md). Three changes of the start, none of the network:

- queries and keys of the cross-attentions begin with the same orthogonal projection, so that a token attends most to
  image positions whose encoding resembles its own;
- values pass the attention undiminished, and what the image, the labels and the decoder's own tokens add begins small
  beside the positions: the first self-attention mixes all tokens, and large ones would drown the click;
- the random frequencies of the positional encoding cover scales from the whole image to a few pixels.

Checkpoints overwrite all of it.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from napari_segany.model.mask_decoder import MaskDecoder
from napari_segany.model.prompt_encoder import PromptEncoder
from napari_segany.model.sam import Sam
from napari_segany.model.two_way_transformer import Attention

SHARPNESS = 1.4
"""Gain of the common projection of queries and keys: with 256 channels and 8 heads, a match stands out by 4 nats."""

FREQUENCIES = (0.7, 8.0)
"""Lowest and highest factor on the frequencies of the positional encoding, spaced evenly in their logarithm."""

CONTENT = 0.3
"""Scale of the image embedding, and of the embeddings of point labels, beside the positional encoding."""

TOKENS = 0.1
"""Scale of the mask, IoU and padding tokens, and of the dense embedding that says "no mask": that one is added to
every position of the image embedding, and would outweigh it threefold."""


@torch.no_grad()
def start_localised(sam: Sam) -> Sam:
    """Prepare a newly built model for training from scratch, in place, and return it.

    Parameters
    ----------
    sam : Sam
        The model, with parameters that hold values (not on the meta device).
    """
    matrix = sam.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
    low, high = (math.log(factor) for factor in FREQUENCIES)
    matrix.mul_(torch.linspace(low, high, matrix.shape[1], device=matrix.device).exp())
    for embedding in sam.prompt_encoder.point_embeddings.parameters():
        embedding.mul_(CONTENT)
    sam.prompt_encoder.not_a_point_embed.weight.mul_(TOKENS)
    sam.image_encoder.neck[-1].get_parameter("weight").fill_(CONTENT)
    if isinstance(sam.mask_decoder, MaskDecoder) and isinstance(sam.prompt_encoder, PromptEncoder):
        _localise(sam.mask_decoder)
        sam.prompt_encoder.no_mask_embed.weight.mul_(TOKENS)
    return sam


def _localise(decoder: MaskDecoder) -> None:
    for name, module in decoder.transformer.named_modules():
        if not isinstance(module, Attention):
            continue
        nn.init.orthogonal_(module.v_proj.weight)
        nn.init.orthogonal_(module.out_proj.weight)
        if not name.endswith("self_attn"):
            nn.init.orthogonal_(module.q_proj.weight, gain=SHARPNESS)
            module.k_proj.weight.copy_(module.q_proj.weight)
    for tokens in (decoder.mask_tokens, decoder.iou_token):
        tokens.weight.mul_(TOKENS)
