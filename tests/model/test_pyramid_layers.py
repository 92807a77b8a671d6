"""Cells that look at tokens: each takes up what the token that it resembles has to say."""

from __future__ import annotations

import torch

from napari_segany.model.pyramid_layers import PixelsToTokens


@torch.no_grad()
def test_pixels_take_up_what_the_token_says_that_they_resemble():
    look = PixelsToTokens(4, 4, num_heads=1)
    for layer in (look.q_conv, look.k_proj, look.v_proj):
        torch.nn.init.zeros_(layer.bias)
        layer.weight.copy_(torch.eye(4).view_as(layer.weight))
    tokens = 60 * torch.eye(4)[None, :2]  # two tokens, along the first and the second channel
    x = torch.zeros(1, 4, 1, 3)
    x[0, 0, 0, 0] = x[0, 1, 0, 1] = 1  # like the first, like the second, like neither
    said = look(look.ask(x), tokens)[0, :, 0]
    torch.testing.assert_close(said[:, 0], tokens[0, 0])
    torch.testing.assert_close(said[:, 1], tokens[0, 1])
    torch.testing.assert_close(said[:, 2], tokens[0].mean(dim=0))
