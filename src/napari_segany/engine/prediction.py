"""What the mask decoder answered to a prompt, as arrays, best mask first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Prediction:
    """Ranked masks of one prompt, or of a batch of B prompts (then every array has a leading axis B).

    Attributes
    ----------
    masks : numpy.ndarray
        (N, H, W) bool, in pixels of the image, highest predicted IoU first; N is 3 or 1.
    predicted_iou : numpy.ndarray
        (N,) float32, the model's own estimate of each mask's IoU.
    stability_score : numpy.ndarray
        (N,) float32, IoU of the mask thresholded one logit higher and one lower (SAM paper, appendix B).
    logits : numpy.ndarray
        (N, h, w) float32, low-resolution logits; one of them serves as `mask=` of the next question.
    """

    masks: NDArray[np.bool_]
    predicted_iou: NDArray[np.float32]
    stability_score: NDArray[np.float32]
    logits: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of masks (of prompts, for a batch)."""
        return len(self.predicted_iou)


@dataclass(frozen=True, eq=False)
class LogitsPrediction:
    """Ranked masks of one prompt, or of a batch of B prompts, as the decoder draws them.

    Attributes
    ----------
    logits : numpy.ndarray
        (N, h, w) float32 low-resolution logits, highest predicted IoU first; N is 3 or 1. They stand for the whole
        padded input of the model: `engine.upsampling` brings them to pixels.
    predicted_iou : numpy.ndarray
        (N,) float32.
    """

    logits: NDArray[np.float32]
    predicted_iou: NDArray[np.float32]
