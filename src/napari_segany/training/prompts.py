"""The simulated user: first prompts on an object, then clicks into the error of the last answer. Knows no model.

SAM paper, appendix A. Positions are (x, y); a grid position times `stride`, plus half a cell, is a pixel's.
"""

from __future__ import annotations

import torch
from torch import Tensor

FEWEST_WITH_REFINEMENT = 6


def sample_points(regions: Tensor, generator: torch.Generator) -> Tensor:
    """Choose one position of every region, each with the same chance.

    Parameters
    ----------
    regions : Tensor
        (B, h, w) bool.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    Tensor
        (B, 2) int64, x and y; (0, 0) for an empty region.
    """
    height, width = regions.shape[1:]
    counted = regions.flatten(1).to(torch.int32).cumsum(1, dtype=torch.int32)  # (B, h * w)
    total = counted[:, -1:]
    chance = torch.rand(len(regions), 1, generator=generator).to(regions.device)
    wanted = torch.minimum((chance * total).to(torch.int32) + 1, total)
    index = torch.searchsorted(counted, wanted)[:, 0].clamp(max=height * width - 1)
    return torch.stack([index % width, index // width], dim=1)


def to_pixels(positions: Tensor, stride: int) -> Tensor:
    """Return the pixel coordinates (..., 2) float32 of the centres of grid positions."""
    return positions.to(torch.float32) * stride + (stride - 1) / 2


def noisy_boxes(masks: Tensor, generator: torch.Generator, noise: float = 0.1, limit: float = 20.0) -> Tensor:
    """Return the bounding boxes of masks, every side shifted by chance.

    Parameters
    ----------
    masks : Tensor
        (B, H, W) bool, none of them empty.
    generator : torch.Generator
        On the CPU.
    noise : float
        Standard deviation of a side's shift over the box's extent along that axis.
    limit : float
        Largest shift, in pixels.

    Returns
    -------
    Tensor
        (B, 4) float32: x0, y0, x1, y1, within the image and in order.
    """
    boxes = torch.stack([_extent(masks.any(dim=1)), _extent(masks.any(dim=2))], dim=2).flatten(1)  # x0, y0, x1, y1
    extent = (boxes[:, 2:] - boxes[:, :2] + 1).repeat(1, 2)
    shift = torch.randn(boxes.shape, generator=generator).to(boxes.device) * extent * noise
    moved = boxes + shift.clamp(-limit, limit)
    last = torch.tensor([masks.shape[2] - 1, masks.shape[1] - 1], device=masks.device)
    first, second = moved[:, :2], moved[:, 2:]
    lower, upper = torch.minimum(first, second), torch.maximum(first, second)
    return torch.cat([lower.clamp(min=0).minimum(last), upper.clamp(min=0).minimum(last)], dim=1)


def correction_points(predicted: Tensor, truth: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Choose a position where the answer is wrong, and say what is right there.

    Parameters
    ----------
    predicted, truth : Tensor
        (B, h, w) bool.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    positions : Tensor
        (B, 2) int64, x and y, uniform in the error; in the object where there is no error.
    labels : Tensor
        (B,) int64: 1 where the object was missed, 0 where background was taken.
    """
    error = predicted ^ truth
    without_error = ~error.flatten(1).any(dim=1)
    positions = sample_points(torch.where(without_error[:, None, None], truth, error), generator)
    rows = torch.arange(len(truth), device=truth.device)
    return positions, truth[rows, positions[:, 1], positions[:, 0]].long()


def rounds_without_points(rounds: int, generator: torch.Generator) -> frozenset[int]:
    """Return the rounds that only refine the mask: the last one, and one before it by chance.

    Runs of fewer than `FEWEST_WITH_REFINEMENT` rounds have none, lest there be no clicks left.
    """
    if rounds < FEWEST_WITH_REFINEMENT:
        return frozenset()
    chosen = int(torch.randint(1, rounds - 1, (1,), generator=generator))
    return frozenset({chosen, rounds - 1})


def _extent(occupied: Tensor) -> Tensor:
    """Return the first and the last True of (B, n) as (B, 2) float32."""
    n = occupied.shape[1]
    first = occupied.int().argmax(dim=1)
    last = n - 1 - occupied.flip(1).int().argmax(dim=1)
    return torch.stack([first, last], dim=1).to(torch.float32)
