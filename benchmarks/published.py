"""The published order of operations, written out plainly on our modules' weights: what the ratios compare with.

Every temporary that the published code makes is made here: whole attention maps, a copy of the image embedding for
each prompt, batch normalisation as a step of its own, every mask at the size of the image. (Kirillov et al. 2023,
doi:10.1109/ICCV51070.2023.00371; TinyViT: Wu et al. 2022, doi:10.1007/978-3-031-19803-8_5.)
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_segany.model.image_encoder import ImageEncoderViT, window_partition, window_unpartition
from napari_segany.model.mask_decoder import MaskDecoder
from napari_segany.model.relative_positions import relative_table
from napari_segany.model.tiny_vit import TinyViT


def encode_vit(encoder: ImageEncoderViT, x: Tensor) -> Tensor:
    """Return the embedding (B, 256, h, w) of (B, 3, H, W) at the encoder's own size."""
    x = encoder.patch_embed.proj(x).permute(0, 2, 3, 1) + encoder.pos_embed
    for block in encoder.blocks:
        attended = block.norm1(x)
        if block.window_size:
            windows, padded = window_partition(attended, block.window_size)
            attended = vit_attention(block.attn, windows)
            attended = window_unpartition(attended, block.window_size, padded, x.shape[1:3])
        else:
            attended = vit_attention(block.attn, attended)
        x = x + attended
        x = x + block.mlp(block.norm2(x))
    return neck(encoder.neck, x.permute(0, 3, 1, 2))


def vit_attention(attention, x: Tensor) -> Tensor:
    batch, height, width, _ = x.shape
    qkv = attention.qkv(x).reshape(batch, height * width, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.reshape(3, batch * attention.num_heads, height * width, -1).unbind(0)
    weights = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (B * heads, h * w, h * w)
    by_row = q.reshape(-1, height, width, q.shape[-1])
    bias_h = torch.einsum("bhwc,hkc->bhwk", by_row, relative_table(attention.rel_pos_h, height))
    bias_w = torch.einsum("bhwc,wkc->bhwk", by_row, relative_table(attention.rel_pos_w, width))
    weights = weights.view(-1, height, width, height, width) + bias_h[..., :, None] + bias_w[..., None, :]
    weights = weights.view(-1, height * width, height * width).softmax(dim=-1)
    out = (weights @ v).view(batch, attention.num_heads, height, width, -1).permute(0, 2, 3, 1, 4)
    return attention.proj(out.reshape(batch, height, width, -1))


def encode_tiny_vit(encoder: TinyViT, x: Tensor) -> Tensor:
    """Return the embedding (B, 256, h, w) of (B, 3, H, W)."""
    embed = encoder.patch_embed.seq
    x = normalised(embed[2], F.gelu(normalised(embed[0], x)))
    for number, stage in enumerate(encoder.layers):
        for block in stage.blocks:
            if number == 0:
                hidden = F.gelu(normalised(block.conv2, F.gelu(normalised(block.conv1, x))))
                x = F.gelu(x + normalised(block.conv3, hidden))
            else:
                x = tiny_vit_block(block, x)
        if stage.downsample is not None:
            merge = stage.downsample
            x = normalised(merge.conv3, F.gelu(normalised(merge.conv2, F.gelu(normalised(merge.conv1, x)))))
    return neck(encoder.neck, x)


def tiny_vit_block(block, x: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    x = x.permute(0, 2, 3, 1)
    windows, padded = window_partition(x, block.window_size)
    attention = block.attn
    tokens = attention.norm(windows.flatten(1, 2))
    qkv = attention.qkv(tokens).view(len(tokens), tokens.shape[1], attention.num_heads, 3, -1).permute(3, 0, 2, 1, 4)
    weights = qkv[0] @ qkv[1].transpose(-2, -1) * qkv.shape[-1] ** -0.5
    weights = (weights + attention.attention_biases[:, attention.offsets]).softmax(dim=-1)
    attended = attention.proj((weights @ qkv[2]).transpose(1, 2).reshape(tokens.shape)).view(windows.shape)
    x = x + window_unpartition(attended, block.window_size, padded, (height, width))
    x = normalised(block.local_conv, x.permute(0, 3, 1, 2))
    tokens = x.view(batch, channels, height * width).transpose(1, 2)
    return (tokens + block.mlp(tokens)).transpose(1, 2).reshape(batch, channels, height, width)


def normalised(layer, x: Tensor) -> Tensor:
    """Convolve, then normalise by the statistics of batches."""
    return layer.bn(layer.c(x))


def neck(layers, x: Tensor) -> Tensor:
    return channel_norm(layers[3], layers[2](channel_norm(layers[1], layers[0](x))))


def channel_norm(layer, x: Tensor) -> Tensor:
    """Normalise the channels of (B, C, H, W), step by step."""
    mean = x.mean(1, keepdim=True)
    variance = (x - mean).pow(2).mean(1, keepdim=True)
    x = (x - mean) / torch.sqrt(variance + layer.eps)
    return layer.weight[:, None, None] * x + layer.bias[:, None, None]


def decode(decoder: MaskDecoder, image: Tensor, positions: Tensor, prompts: Tensor, dense: Tensor):
    """Return three logits (B, 3, 4h, 4w) and predicted IoU (B, 3) of B prompts on one image (1, 256, h, w)."""
    own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    points = torch.cat([own.expand(len(prompts), -1, -1), prompts], dim=1)
    image = image.repeat_interleave(len(prompts), dim=0) + dense
    positions = positions.repeat_interleave(len(prompts), dim=0)
    batch, channels, height, width = image.shape
    keys, key_pe = image.flatten(2).permute(0, 2, 1), positions.flatten(2).permute(0, 2, 1)
    queries = points
    for layer in decoder.transformer.layers:
        queries, keys = two_way_layer(layer, queries, keys, points, key_pe)
    last = decoder.transformer.final_attn_token_to_image
    queries = decoder.transformer.norm_final_attn(queries + attend(last, queries + points, keys + key_pe, keys))
    up = decoder.output_upscaling
    upscaled = up[0](keys.transpose(1, 2).view(batch, channels, height, width))
    upscaled = F.gelu(up[3](F.gelu(channel_norm(up[1], upscaled))))
    filters = torch.stack([mlp(queries[:, 1 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)], dim=1)
    masks = (filters @ upscaled.flatten(2)).view(batch, -1, 4 * height, 4 * width)
    return masks[:, 1:], decoder.iou_prediction_head(queries[:, 0])[:, 1:]


def two_way_layer(layer, queries: Tensor, keys: Tensor, query_pe: Tensor, key_pe: Tensor) -> tuple[Tensor, Tensor]:
    if layer.skip_first_layer_pe:
        queries = attend(layer.self_attn, queries, queries, queries)
    else:
        q = queries + query_pe
        queries = queries + attend(layer.self_attn, q, q, queries)
    queries = layer.norm1(queries)
    q, k = queries + query_pe, keys + key_pe
    queries = layer.norm2(queries + attend(layer.cross_attn_token_to_image, q, k, keys))
    queries = layer.norm3(queries + layer.mlp(queries))
    q, k = queries + query_pe, keys + key_pe
    return queries, layer.norm4(keys + attend(layer.cross_attn_image_to_token, k, q, queries))


def attend(attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    def heads(x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], attention.num_heads, -1).transpose(1, 2)

    q, k, v = heads(attention.q_proj(q)), heads(attention.k_proj(k)), heads(attention.v_proj(v))
    weights = ((q @ k.permute(0, 1, 3, 2)) / q.shape[-1] ** 0.5).softmax(dim=-1)
    return attention.out_proj((weights @ v).transpose(1, 2).flatten(2))


def mask_statistics(logits: Tensor, input_shape: tuple[int, int], image_shape: tuple[int, int], offset: float):
    """Return stability (N,), boxes (N, 4) x0, y0, x1, y1 and areas (N,) of low-resolution logits (N, 256, 256)."""
    side = 4 * logits.shape[-1]
    full = F.interpolate(logits[:, None], (side, side), mode="bilinear", align_corners=False)
    full = full[..., : input_shape[0], : input_shape[1]]
    full = F.interpolate(full, image_shape, mode="bilinear", align_corners=False)[:, 0]
    inner = (full > offset).sum(-1, dtype=torch.int16).sum(-1, dtype=torch.int32)
    outer = (full > -offset).sum(-1, dtype=torch.int16).sum(-1, dtype=torch.int32)
    masks = full > 0
    return inner / outer, boxes_of(masks), masks.sum((-1, -2))


def boxes_of(masks: Tensor) -> Tensor:
    """Return (N, 4) x0, y0, x1, y1 of (N, H, W), zeros for an empty mask."""
    height, width = masks.shape[-2:]
    in_rows, in_cols = masks.max(dim=-1)[0], masks.max(dim=-2)[0]
    rows, cols = torch.arange(height), torch.arange(width)
    bottom, right = (in_rows * rows).max(dim=-1)[0], (in_cols * cols).max(dim=-1)[0]
    top = (in_rows * rows + height * ~in_rows).min(dim=-1)[0]
    left = (in_cols * cols + width * ~in_cols).min(dim=-1)[0]
    empty = (right < left) | (bottom < top)
    return torch.stack([left, top, right, bottom], dim=-1) * (~empty)[:, None]
