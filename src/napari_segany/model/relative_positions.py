"""Tables of positions of the ViT encoder, fitted to grids of other sizes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def relative_table(table: Tensor, size: int) -> Tensor:
    """Return (size, size, D): the entry of every query position against every key position along one axis.

    Parameters
    ----------
    table : Tensor
        (2 * n - 1, D), entries for offsets -(n - 1) to n - 1; interpolated linearly when n is not `size`.
    size : int
        Positions along the axis.
    """
    table = resize_table(table, 2 * size - 1)
    position = torch.arange(size, device=table.device)
    return table[position[:, None] - position[None, :] + size - 1]


def resize_table(table: Tensor, length: int) -> Tensor:
    """Interpolate a table (n, D) of relative positions to (length, D)."""
    if table.shape[0] == length:
        return table
    return F.interpolate(table.T[None], size=length, mode="linear")[0].T


def resize_grid(positions: Tensor, shape: tuple[int, int]) -> Tensor:
    """Interpolate absolute positions (1, h, w, C) to the grid `shape`."""
    if positions.shape[1:3] == shape:
        return positions
    resized = F.interpolate(positions.permute(0, 3, 1, 2), size=shape, mode="bicubic", align_corners=False)
    return resized.permute(0, 2, 3, 1)
