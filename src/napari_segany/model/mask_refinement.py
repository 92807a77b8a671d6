"""A second look at the masks that were drawn first, over a wide neighbourhood. Knows no prompts and no pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 64
"""Channels of the wide look."""

DILATIONS = (1, 2, 4)
"""Of its convolutions: together they see seven cells of stride 16 to every side."""


class MaskRefinement(nn.Module):
    """Reads first masks together with the map that they were drawn from, and changes that map.

    Whether a cell belongs to an object depends on cells far away: those of a long protrusion on the body that it
    comes from. As in cascades that give their masks to the next stage (Chen et al. 2019,
    doi:10.1109/CVPR.2019.00511), the first answer is an input of the second. At half the resolution, so that a wide
    look is cheap.

    Parameters
    ----------
    channels : int
        Of the map.
    masks : int
        Masks that are drawn from it.
    """

    def __init__(self, channels: int, masks: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(masks, channels, 1, bias=False)
        self.down = nn.Conv2d(channels, WIDTH, 3, stride=2, padding=1)
        self.wide = nn.ModuleList(
            nn.Conv2d(WIDTH, WIDTH, 3, padding=dilation, dilation=dilation) for dilation in DILATIONS
        )
        self.up = nn.Conv2d(WIDTH, channels, 1)
        self.leave = nn.Conv2d(channels, channels, 3, padding=1)
        # It begins by changing nothing, so that weights without it can be trained on with it.
        nn.init.zeros_(self.leave.weight)
        if self.leave.bias is not None:
            nn.init.zeros_(self.leave.bias)

    def forward(self, drawn: Tensor, logits: Tensor) -> Tensor:
        """Return the changed map.

        Parameters
        ----------
        drawn : Tensor
            (B, C, h, w), the map.
        logits : Tensor
            (B, M, h, w), the first masks.

        Returns
        -------
        Tensor
            (B, C, h, w).
        """
        seen = F.relu(drawn + self.enter(torch.tanh(logits / 4)))
        far = F.relu(self.down(seen))
        for convolution in self.wide:
            far = far + F.relu(convolution(far))
        back = F.interpolate(self.up(far), drawn.shape[-2:], mode="bilinear", align_corners=False)
        changed: Tensor = drawn + self.leave(F.relu(seen + back))
        return changed
