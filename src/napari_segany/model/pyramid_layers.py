"""Layers of the mask decoder of `light`: tokens look at the image, and its cells at the tokens. Knows no prompts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_segany.model.layers import MLPBlock
from napari_segany.model.two_way_transformer import Attention


class TokenLayer(nn.Module):
    """Self-attention of tokens, a look at the image, and an MLP, each on normalised tokens."""

    def __init__(self, embed_dim: int, num_heads: int, mlp_dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dim)
        self.self_attn = Attention(embed_dim, num_heads, downsample_rate=2)
        self.norm2 = nn.LayerNorm(embed_dim)
        self.cross_attn_token_to_image = Attention(embed_dim, num_heads, downsample_rate=2)
        self.norm3 = nn.LayerNorm(embed_dim)
        self.mlp = MLPBlock(embed_dim, mlp_dim, nn.ReLU)
        # Tokens begin by looking where they are: see `model/initialisation.py`.
        cross = self.cross_attn_token_to_image
        nn.init.orthogonal_(cross.q_proj.weight, gain=1.4)
        with torch.no_grad():
            cross.k_proj.weight.copy_(cross.q_proj.weight)

    def read(self, image: Tensor, image_positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values of an image's tokens (1 or B, h * w, 256), which no prompt changes."""
        return self.cross_attn_token_to_image.read(image + image_positions, image)

    def forward(self, tokens: Tensor, positions: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Return the tokens (B, T, 256) of the same shape; keys and values are those of `read`."""
        normed = self.norm1(tokens)
        placed = normed + positions
        tokens = tokens + self.self_attn(q=placed, k=placed, v=normed)
        queries = self.norm2(tokens) + positions
        # One image for all prompts: their tokens are one long row of queries.
        rows = queries.flatten(0, 1)[None] if len(keys) == 1 else queries
        looked = self.cross_attn_token_to_image.attend(rows, keys, values)
        tokens = tokens + looked.reshape(tokens.shape)
        out: Tensor = tokens + self.mlp(self.norm3(tokens))
        return out


class PixelsToTokens(nn.Module):
    """Every cell of a map asks which token it resembles, and takes up what that token has to say."""

    def __init__(self, channels: int, token_dim: int, num_heads: int = 4) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q_conv = nn.Conv2d(channels, channels, 1)
        self.k_proj = nn.Linear(token_dim, channels)
        self.v_proj = nn.Linear(token_dim, channels)

    def ask(self, x: Tensor) -> Tensor:
        """Return what the cells of a map (1 or B, C, h, w) ask, (1 or B, heads, c, h, w)."""
        queries: Tensor = self.q_conv(x).unflatten(1, (self.num_heads, -1))
        return queries

    def forward(self, asked: Tensor, tokens: Tensor) -> Tensor:
        """Return (B, C, h, w) of what `ask` gave and tokens (B, T, 256)."""
        heads, grid = self.num_heads, asked.shape[-2:]
        queries = asked.flatten(3)  # (1 or B, heads, c, h * w)
        keys = self.k_proj(tokens).unflatten(2, (heads, -1)).transpose(1, 2)  # (B, heads, T, c)
        values = self.v_proj(tokens).unflatten(2, (heads, -1)).transpose(1, 2)
        keys = keys * queries.shape[2] ** -0.5
        if len(queries) == 1:  # one product for all prompts, without a copy of the image for each
            rows = keys.transpose(0, 1).flatten(1, 2)  # (heads, B * T, c)
            alike = (rows @ queries[0]).unflatten(1, tokens.shape[:2]).transpose(0, 1)
        else:
            alike = keys @ queries
        alike = alike.softmax(dim=2)  # (B, heads, T, h * w)
        said = torch.matmul(values.transpose(2, 3), alike)  # (B, heads, c, h * w)
        return said.flatten(1, 2).unflatten(2, grid)
