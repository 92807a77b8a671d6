"""What a prompt on a large image is answered with, and what a further answer about the same object goes on from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.tiling import Window
from napari_segany.formats.window_mask import WindowMask

if TYPE_CHECKING:  # which brings torch
    from napari_segany.engine.embedding import ImageEmbedding


@dataclass(frozen=True, eq=False)
class TiledPrediction:
    """Ranked masks of one prompt on a large image.

    Attributes
    ----------
    masks : tuple of WindowMask
        Best first, in pixels of the image.
    predicted_iou, stability_score : numpy.ndarray
        (N,) float32, as in `Prediction`.
    logits : numpy.ndarray
        (N, h, w) float32 low-resolution logits of the window; they refine a further answer in the same window only.
    window : Window
        Where it was asked.
    is_cut : bool
        Whether the best mask still reaches the edge of the window, at the coarsest level too.
    is_refined : bool
        Whether it went on from logits of the answer before; false also where these could not be used.
    """

    masks: tuple[WindowMask, ...]
    predicted_iou: NDArray[np.float32]
    stability_score: NDArray[np.float32]
    logits: NDArray[np.float32]
    window: Window
    is_cut: bool
    is_refined: bool = False

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.masks)


@dataclass(frozen=True, eq=False)
class Refinement:
    """The last answer about the same object.

    Attributes
    ----------
    window : Window
        Where it was given.
    logits : numpy.ndarray
        (h, w) low-resolution logits of the mask that was chosen.
    """

    window: Window
    logits: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ReadyWindow:
    """Where a prompt is answered first, and at once.

    Attributes
    ----------
    window : Window
        The window.
    embedding : ImageEmbedding
        What the model made of it.
    logits : numpy.ndarray or None
        (h, w) low-resolution logits of the last answer that the prompt goes on from.
    """

    window: Window
    embedding: ImageEmbedding
    logits: NDArray[np.float32] | None
