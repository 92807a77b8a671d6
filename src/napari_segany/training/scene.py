"""Annotated images as values: a scene as it was read or drawn, and the crop of it that a model is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Scene:
    """An image with its objects.

    Attributes
    ----------
    image : numpy.ndarray
        (H, W) or (H, W, 3), 0 to 255, uint8 or float32.
    layers : tuple of numpy.ndarray
        Label images (H, W), 0 is background. Objects of one layer do not overlap; those of several may, as a cell
        and its nucleus do.
    """

    image: NDArray[Any]
    layers: tuple[NDArray[np.integer[Any]], ...]


@dataclass(frozen=True, eq=False)
class Crop:
    """What one image contributes to a training step.

    Attributes
    ----------
    image : numpy.ndarray
        (S, S, 3) float32, RGB in 0 to 255; the mean colour of the model's normalisation where there is no image.
    masks : numpy.ndarray
        (N, S, S) bool, the objects to ask for; N may be 0.
    recurs : bool
        Whether the same image comes again in this run, perhaps with other objects.
    """

    image: NDArray[np.float32]
    masks: NDArray[np.bool_]
    recurs: bool = False
