"""Objects of a training image as CLIP sees them: the prompts from which a model learns to follow words.

Kirillov et al. 2023 (arXiv:2304.02643), section 7.5 and appendix D.5: what a mask shows is embedded as a picture, in
a space where words lie beside pictures of what they mean, so that no words are needed to learn to follow words.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from napari_segany.engine.clip import ObjectEncoder
from napari_segany.engine.object_pictures import square_picture

GROWN = (1.0, 2.0)
"""Smallest and largest side of an object's picture, by the longer side of its box."""

BLACKED_OUT = 0.5
"""Share of pictures without what is around the object."""


def describe_objects(
    encoder: ObjectEncoder, image: NDArray[Any], masks: NDArray[np.bool_], generator: torch.Generator
) -> Tensor:
    """Return embeddings (N, D) of the objects of an image, to be prompts.

    Parameters
    ----------
    encoder : ObjectEncoder
        The CLIP.
    image : numpy.ndarray
        (H, W, 3), 0 to 255.
    masks : numpy.ndarray
        (N, H, W) bool, none of them empty.
    generator : torch.Generator
        Source of all chance, on the CPU.
    """
    pictures = picture_objects(image, masks, encoder.picture_size, generator)
    return torch.from_numpy(encoder.objects(*pictures)).float()


def picture_objects(
    image: NDArray[Any], masks: NDArray[np.bool_], size: int, generator: torch.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a square picture of every object: its box grown by chance, in half of them black around it.

    Parameters
    ----------
    image, masks, generator : numpy.ndarray, numpy.ndarray, torch.Generator
        As for `describe_objects`.
    size : int
        Side S of the pictures, in pixels.

    Returns
    -------
    pictures : numpy.ndarray
        (N, S, S, 3) of eight bits.
    inside : numpy.ndarray
        (N, S, S) bool, where a pixel shows some of the object.
    """
    pixels = np.clip(np.round(image), 0, 255).astype(np.uint8)
    pictures = np.empty((len(masks), size, size, 3), np.uint8)
    inside = np.empty((len(masks), size, size), np.bool_)
    low, high = GROWN
    for number, (mask, chances) in enumerate(zip(masks, torch.rand(len(masks), 2, generator=generator), strict=True)):
        grown, blacked_out = low + (high - low) * float(chances[0]), float(chances[1]) < BLACKED_OUT
        picture, own = square_picture(pixels, _box(mask), lambda box, mask=mask: _window(mask, box), grown)  # type: ignore[misc]
        if blacked_out:
            picture[~own] = 0
        pictures[number] = np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC))
        shares = Image.fromarray(255 * own.astype(np.uint8)).resize((size, size), Image.Resampling.BOX)
        inside[number] = np.asarray(shares) > 0
    return pictures, inside


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return (top, left, bottom, right), half open."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1


def _window(mask: NDArray[np.bool_], box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    top, left, bottom, right = box
    return mask[top:bottom, left:right]
