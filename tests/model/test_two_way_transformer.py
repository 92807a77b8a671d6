from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_segany.model.two_way_transformer import Attention, TwoWayTransformer


def test_attention_equals_that_of_torch():
    ours = Attention(16, num_heads=4).double()
    theirs = nn.MultiheadAttention(16, 4, batch_first=True, dtype=torch.float64)
    projections = (ours.q_proj, ours.k_proj, ours.v_proj)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([projection.weight for projection in projections]))
        theirs.in_proj_bias.copy_(torch.cat([projection.bias for projection in projections]))
        theirs.out_proj.weight.copy_(ours.out_proj.weight)
        theirs.out_proj.bias.copy_(ours.out_proj.bias)
    q, k, v = torch.randn(2, 5, 16).double(), torch.randn(2, 7, 16).double(), torch.randn(2, 7, 16).double()
    torch.testing.assert_close(ours(q, k, v), theirs(q, k, v)[0])


def test_inner_channels_can_be_fewer():
    attention = Attention(16, num_heads=4, downsample_rate=2)
    assert attention.q_proj.weight.shape == (8, 16)
    assert attention(torch.randn(1, 5, 16), torch.randn(1, 7, 16), torch.randn(1, 7, 16)).shape == (1, 5, 16)
    with pytest.raises(ValueError, match="8 channels cannot be shared by 3 heads"):
        Attention(16, num_heads=3, downsample_rate=2)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_tokens_and_image_keep_their_shapes_and_hear_of_each_other(depth: int):
    transformer = TwoWayTransformer(depth, embed_dim=16, num_heads=2, mlp_dim=32)
    image, positions, tokens = torch.randn(2, 16, 3, 5), torch.randn(1, 16, 3, 5), torch.randn(2, 4, 16)
    queries, keys = transformer(image, positions, tokens)
    assert queries.shape == (2, 4, 16)
    assert keys.shape == (2, 15, 16)
    other_queries, _ = transformer(image + torch.randn_like(image), positions, tokens)
    _, other_keys = transformer(image, positions, tokens + torch.randn_like(tokens))
    assert not torch.allclose(queries, other_queries)
    assert not torch.allclose(keys, other_keys)
