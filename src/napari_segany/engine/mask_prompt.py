"""A mask of the user as the mask decoder's low-resolution logits. Knows numpy and Pillow, no torch."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_segany.engine.prompts import Prompt

CERTAINTY = math.log(0.999 / 0.001)
"""Logit of a pixel that is surely in the mask: that of a probability of 99.9 %, a size that trained models see."""

_BLOCK = 4  # pixels of the model input along the side of a low-resolution pixel


def mask_logits(
    prompt: Prompt, input_shape: tuple[int, int], logits_shape: tuple[int, int]
) -> NDArray[np.float32] | None:
    """Return the mask prompt as (B, 1, h, w) float32 logits, B = 1 without a batch; None without a mask.

    Logits go in as they are. A boolean mask takes the way of the image: it is resized to `input_shape` with Pillow's
    bilinear filter, padded with background to the model input, and averaged over blocks of 4 x 4 pixels. That
    gives the fraction of each low-resolution pixel that the mask covers, which is mapped from -`CERTAINTY` (none) to
    +`CERTAINTY` (all).

    Parameters
    ----------
    prompt : Prompt
        The prompt.
    input_shape : (int, int)
        (rows, cols) of the image within the model input.
    logits_shape : (int, int)
        (h, w) of the result, which stands for the padded model input.
    """
    if prompt.mask is None:
        return None
    masks = prompt.mask.reshape(-1, *prompt.mask.shape[-2:])
    if masks.dtype != np.bool_:
        return masks[:, None].astype(np.float32, copy=False)
    return np.stack([_logits_of(mask, input_shape, logits_shape) for mask in masks])[:, None]


def _logits_of(
    mask: NDArray[np.bool_], input_shape: tuple[int, int], logits_shape: tuple[int, int]
) -> NDArray[np.float32]:
    rows, cols = input_shape
    picture = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
    height, width = logits_shape
    canvas = np.zeros((height * _BLOCK, width * _BLOCK), np.float32)
    canvas[:rows, :cols] = np.asarray(picture.resize((cols, rows), Image.Resampling.BILINEAR))
    coverage = canvas.reshape(height, _BLOCK, width, _BLOCK).mean(axis=(1, 3)) / np.float32(255)
    logits: NDArray[np.float32] = (2 * coverage - 1) * np.float32(CERTAINTY)
    return logits
