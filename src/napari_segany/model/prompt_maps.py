"""Prompts drawn as maps over the image, for decoders with convolutions. Knows no weights and no features.

Positions relative to each prompt are what tells a convolution where the object is, as interactive segmentation with
click maps does (Xu et al. 2016, doi:10.1109/CVPR.2016.47).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

CLICK_RADII = (6.0, 16.0, 48.0, 144.0)
"""Standard deviations of the bells around a click, in pixels of the model's input."""

BOX_EDGE = 12.0
"""Distance from a box's side, in pixels, at which the map of that side is nearly flat."""

CLICK_MAPS = 2 * len(CLICK_RADII)
BOX_MAPS = 7
MASK_MAPS = 2


def click_maps(points: Tensor | None, labels: Tensor | None, grid: tuple[int, int], stride: int) -> Tensor | None:
    """Return bells around the clicks of each kind.

    Parameters
    ----------
    points : Tensor or None
        (B, N, 2), x, y in pixels.
    labels : Tensor or None
        (B, N): 1, 0, or -1 for padding.
    grid : tuple of int
        (h, w) of the maps.
    stride : int
        Pixels along the side of a cell.

    Returns
    -------
    Tensor or None
        (B, `CLICK_MAPS`, h, w) in 0..1: the largest bell at every cell, of every radius, of foreground clicks and
        then of background clicks. None without points.
    """
    if points is None or labels is None:
        return None
    columns, rows = _axes(grid, stride, points)
    dx = (columns - points[..., :1]).square()  # (B, N, w)
    dy = (rows - points[..., 1:]).square()  # (B, N, h)
    maps = []
    for label in (1, 0):
        counts = (labels == label).to(points.dtype)[..., None]  # (B, N, 1)
        for radius in CLICK_RADII:
            across = torch.exp(dx / (-2 * radius**2)) * counts
            down = torch.exp(dy / (-2 * radius**2))
            maps.append((down[..., :, None] * across[..., None, :]).amax(dim=1))
    return torch.stack(maps, dim=1)


def box_maps(boxes: Tensor | None, grid: tuple[int, int], stride: int) -> Tensor | None:
    """Return where every cell lies in its box.

    Parameters
    ----------
    boxes : Tensor or None
        (B, 4), x0, y0, x1, y1 in pixels.
    grid, stride : tuple of int, int
        As for `click_maps`.

    Returns
    -------
    Tensor or None
        (B, `BOX_MAPS`, h, w): inside or not; along x the signed distances from both sides, flat beyond `BOX_EDGE`,
        and the position relative to the centre in half sides, clipped at 2; the same along y. None without boxes.
    """
    if boxes is None:
        return None
    columns, rows = _axes(grid, stride, boxes)
    x0, y0, x1, y1 = (side[:, None] for side in boxes.unbind(dim=1))  # (B, 1) each
    sides = [(columns - x0), (x1 - columns), (rows - y0), (y1 - rows)]
    left, right, top, bottom = (torch.tanh(side / BOX_EDGE) for side in sides)
    across = _relative(columns, x0, x1)
    down = _relative(rows, y0, y1)
    inside = ((columns >= x0) & (columns <= x1))[:, None, :] & ((rows >= y0) & (rows <= y1))[:, :, None]
    height, width = grid
    over_columns = [side[:, None, :].expand(-1, height, -1) for side in (left, right, across)]
    over_rows = [side[:, :, None].expand(-1, -1, width) for side in (top, bottom, down)]
    return torch.stack([inside.to(boxes.dtype), *over_columns, *over_rows], dim=1)


def mask_maps(masks: Tensor | None, grid: tuple[int, int]) -> Tensor | None:
    """Return the mask prompt and that there is one.

    Parameters
    ----------
    masks : Tensor or None
        (B, 1, H, W) logits.
    grid : tuple of int
        (h, w) of the maps; H and W or parts of them.

    Returns
    -------
    Tensor or None
        (B, `MASK_MAPS`, h, w): the squashed logits, averaged where the maps are coarser, and ones. None without.
    """
    if masks is None:
        return None
    squashed = torch.tanh(masks / 4)
    if squashed.shape[-2:] != grid:
        squashed = F.adaptive_avg_pool2d(squashed, grid)
    return torch.cat([squashed, torch.ones_like(squashed)], dim=1)


def _axes(grid: tuple[int, int], stride: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pixel coordinates (w,) and (h,) of the centres of the cells; integers are centres of pixels."""
    height, width = grid
    offset = (stride - 1) / 2
    columns = torch.arange(width, dtype=like.dtype, device=like.device) * stride + offset
    rows = torch.arange(height, dtype=like.dtype, device=like.device) * stride + offset
    return columns, rows


def _relative(positions: Tensor, first: Tensor, last: Tensor) -> Tensor:
    half = ((last - first) / 2).clamp(min=1.0)
    return ((positions - (first + last) / 2) / half).clamp(-2, 2)
