"""Two-way transformer of SAM's mask decoder: tokens and image attend to each other. Knows no masks and no prompts.

Kirillov et al. 2023, appendix A, figure 14 (doi:10.1109/ICCV51070.2023.00371). Parameter names are the published
ones.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from napari_segany.model.layers import MLPBlock


class TwoWayTransformer(nn.Module):
    """Decoder whose tokens read the image embedding and whose image embedding reads the tokens.

    Parameters
    ----------
    depth : int
        Layers.
    embed_dim : int
        Channels of tokens and image.
    num_heads : int
        Attention heads.
    mlp_dim : int
        Hidden channels of the layers' MLPs.
    """

    def __init__(self, depth: int, embed_dim: int, num_heads: int, mlp_dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            # The tokens of the first layer are their own positions.
            TwoWayAttentionBlock(embed_dim, num_heads, mlp_dim, skip_first_layer_pe=index == 0)
            for index in range(depth)
        )
        self.final_attn_token_to_image = Attention(embed_dim, num_heads, downsample_rate=2)
        self.norm_final_attn = nn.LayerNorm(embed_dim)

    def forward(self, image_embedding: Tensor, image_pe: Tensor, point_embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Let tokens and image exchange what they know.

        Parameters
        ----------
        image_embedding : Tensor
            (B, 256, h, w).
        image_pe : Tensor
            (1, 256, h, w) or (B, 256, h, w), positions of the image's cells.
        point_embedding : Tensor
            (B, tokens, 256).

        Returns
        -------
        queries : Tensor
            (B, tokens, 256).
        keys : Tensor
            (B, h * w, 256).
        """
        keys = image_embedding.flatten(2).transpose(1, 2)  # (B, h * w, 256)
        key_pe = image_pe.flatten(2).transpose(1, 2)
        queries = point_embedding
        for layer in self.layers:
            queries, keys = layer(queries, keys, point_embedding, key_pe)
        attended = self.final_attn_token_to_image(q=queries + point_embedding, k=keys + key_pe, v=keys)
        return self.norm_final_attn(queries + attended), keys


class TwoWayAttentionBlock(nn.Module):
    """Self-attention of tokens, tokens to image, MLP, image to tokens."""

    def __init__(self, embed_dim: int, num_heads: int, mlp_dim: int, *, skip_first_layer_pe: bool) -> None:
        super().__init__()
        self.self_attn = Attention(embed_dim, num_heads)
        self.norm1 = nn.LayerNorm(embed_dim)
        self.cross_attn_token_to_image = Attention(embed_dim, num_heads, downsample_rate=2)
        self.norm2 = nn.LayerNorm(embed_dim)
        self.mlp = MLPBlock(embed_dim, mlp_dim, nn.ReLU)
        self.norm3 = nn.LayerNorm(embed_dim)
        self.norm4 = nn.LayerNorm(embed_dim)
        self.cross_attn_image_to_token = Attention(embed_dim, num_heads, downsample_rate=2)
        self.skip_first_layer_pe = skip_first_layer_pe

    def forward(self, queries: Tensor, keys: Tensor, query_pe: Tensor, key_pe: Tensor) -> tuple[Tensor, Tensor]:
        """Return updated queries (B, tokens, 256) and keys (B, h * w, 256)."""
        if self.skip_first_layer_pe:
            queries = self.self_attn(q=queries, k=queries, v=queries)
        else:
            q = queries + query_pe
            queries = queries + self.self_attn(q=q, k=q, v=queries)
        queries = self.norm1(queries)
        placed = keys + key_pe
        queries = self.norm2(queries + self.cross_attn_token_to_image(q=queries + query_pe, k=placed, v=keys))
        queries = self.norm3(queries + self.mlp(queries))
        keys = self.norm4(keys + self.cross_attn_image_to_token(q=placed, k=queries + query_pe, v=queries))
        return queries, keys


class Attention(nn.Module):
    """Multi-head attention whose inner channels may be fewer than the outer ones."""

    def __init__(self, embed_dim: int, num_heads: int, downsample_rate: int = 1) -> None:
        super().__init__()
        inner = embed_dim // downsample_rate
        if inner % num_heads:
            raise ValueError(f"{inner} channels cannot be shared by {num_heads} heads; the heads must divide them")
        self.num_heads = num_heads
        self.q_proj = nn.Linear(embed_dim, inner)
        self.k_proj = nn.Linear(embed_dim, inner)
        self.v_proj = nn.Linear(embed_dim, inner)
        self.out_proj = nn.Linear(inner, embed_dim)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return (B, queries, C) of q (B, queries, C), k and v (B, keys, C)."""
        return self.attend(q, *self.read(k, v))

    def read(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values (B, heads, keys, inner / heads) of k and v (B, keys, C)."""
        return self._heads(self.k_proj(k)), self._heads(self.v_proj(v))

    def attend(self, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Return (B, queries, C) of q (B, queries, C), and of keys and values as `read` gives them."""
        looked = F.scaled_dot_product_attention(self._heads(self.q_proj(q)), keys, values)
        out: Tensor = self.out_proj(looked.transpose(1, 2).flatten(2))
        return out

    def _heads(self, projected: Tensor) -> Tensor:
        return projected.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
