"""Low-resolution logits to masks of the image's size, and how stable they are. Knows no prompts and no images."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_segany.model import Sam

STABILITY_OFFSET = 1.0
"""Logits by which the threshold is raised and lowered for the stability score (SAM paper, appendix B)."""

_BYTES_AT_A_TIME = 2**25


def full_size_masks(
    sam: Sam, logits: Tensor, input_shape: tuple[int, int], image_shape: tuple[int, int]
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return the masks that low-resolution logits stand for, and their stability scores.

    One mask at a time is brought to the size of the image: its logits take four times the memory of the mask. A
    device hands over several at once and all counts at the end, since the processor waits for it each time.

    Parameters
    ----------
    sam : Sam
        The model that answered.
    logits : Tensor
        (B, C, h, w), of the whole padded model input.
    input_shape, image_shape : tuple of int
        (rows, cols) of the image within the model input, and of the image.

    Returns
    -------
    masks : numpy.ndarray
        (B, C, *image_shape) bool.
    stability : numpy.ndarray
        (B, C) float32.
    """
    every = logits.flatten(0, 1)  # (N, h, w)
    masks = np.empty((len(every), *image_shape), np.bool_)
    counts = []
    step = masks_at_a_time(logits.device.type, image_shape[0] * image_shape[1])
    for start in range(0, len(every), step):
        some = slice(start, start + step)
        drawn = torch.empty(masks[some].shape, dtype=torch.bool, device=logits.device)
        for low, mask in zip(every[some], drawn, strict=True):
            full = sam.upscale(low[None, None], input_shape, image_shape)[0, 0]
            counts.append(stability_counts(full, sam.mask_threshold, out=mask))
            torch.gt(full, sam.mask_threshold, out=mask)
        torch.from_numpy(masks[some]).copy_(drawn)
    stability = stability_scores(torch.stack(counts).cpu().numpy())
    return masks.reshape(*logits.shape[:2], *image_shape), stability.reshape(logits.shape[:2])


def masks_at_a_time(device_type: str, pixels: int) -> int:
    """Return how many masks of so many pixels are drawn before they are fetched: on a processor one."""
    return 1 if device_type == "cpu" else max(1, _BYTES_AT_A_TIME // pixels)


def stability_counts(
    logits: Tensor, threshold: float = 0.0, offset: float = STABILITY_OFFSET, *, out: Tensor | None = None
) -> Tensor:
    """Count the pixels of the mask thresholded higher and of the mask thresholded lower, without waiting for them.

    Parameters
    ----------
    logits : Tensor
        (H, W), at the size of the image.
    threshold, offset : float
        The mask's threshold, and how far it is raised and lowered.
    out : Tensor, optional
        (H, W) bool, overwritten, which spares the memory of a mask.

    Returns
    -------
    Tensor
        (2,) int64, on the device of the logits.
    """
    out = torch.empty_like(logits, dtype=torch.bool) if out is None else out
    limits = threshold + offset, threshold - offset
    counts = [_count(torch.gt(logits, limit, out=out)) for limit in limits]
    return torch.stack(counts)


def _count(mask: Tensor) -> Tensor:
    """Return the number of pixels of a mask (H, W)."""
    if mask.device.type == "cpu":  # torch makes an int64 of every pixel first, which took a fifth of a click
        return torch.tensor(np.count_nonzero(mask.numpy()))
    return mask.sum()


def stability_scores(counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the IoU (...) of both masks (SAM paper, appendix B) of their pixels (..., 2).

    It is 0 where even the lower threshold leaves no pixel.
    """
    inner, outer = counts[..., 0], counts[..., 1]
    return (inner / np.maximum(outer, 1)).astype(np.float32)
