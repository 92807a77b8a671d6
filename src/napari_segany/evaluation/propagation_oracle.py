"""A model that knows the truth of a stack: what propagation makes of perfect answers, the ceiling of every table.

It answers a prompt with the true object that fits it best. Errors that remain are those of the way from slice to
slice, not of a model.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.prediction import Prediction
from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.prompts import FOREGROUND, Prompt

_STRIDE = 16  # pixels along the side of a feature, as in the published models
_LOGIT = 4  # pixels along the side of a low-resolution logit
_SURE = 8.0
_SIBLING = 0.3  # part of the prompt's object that each of two siblings has when the answer reaches over both


class Oracle:
    """Answers from label images instead of pixels; stands in for a `Predictor` in `propagate_steps`.

    Parameters
    ----------
    labels : numpy.ndarray
        (Z, H, W) integers below 2 ** 24, sides multiples of 16; 0 is background.
    parents : Mapping, optional
        Child to parent. Where a mask prompt lies on two children of the same object, both are answered together, as a
        model does that is asked for what it was shown.

    Raises
    ------
    ValueError
        For sides that are no multiples of 16.
    """

    name = "oracle"

    def __init__(self, labels: NDArray[np.integer], parents: Mapping[int, int] | None = None) -> None:
        if labels.ndim != 3 or labels.shape[1] % _STRIDE or labels.shape[2] % _STRIDE:
            raise ValueError(
                f"the labels have the shape {labels.shape}; give (Z, H, W), H and W multiples of {_STRIDE}"
            )
        self._labels = labels
        self._parents = dict(parents or {})

    def embeddings(self, index: int) -> Steps[ImageEmbedding]:
        """Return the truth of a slice in the form of an embedding: an `EmbeddingProvider`."""
        yield Progress(0, 1, "Looking up the truth")
        truth = torch.from_numpy(self._labels[index].astype(np.float32))[None, None]
        rows, cols = self._labels.shape[1:]
        return ImageEmbedding(
            pixel_unshuffle(truth, _STRIDE), (), (rows, cols), (rows, cols), (0.0, 255.0), self.name
        )

    def answer(self, embedding: ImageEmbedding, prompt: Prompt, *, multimask: bool | None = None) -> Prediction:
        """Return one mask for each prompt; an empty one, of predicted IoU 0, where no object fits."""
        truth = pixel_shuffle(embedding.features, _STRIDE)[0, 0].numpy().astype(np.int64)
        masks = np.stack([np.isin(truth, self._objects(truth, single)) for single in prompt.items()])[:, None]
        scores = np.where(masks.any(axis=(2, 3)), np.float32(0.95), np.float32(0.0))
        rows, cols = embedding.logits_shape
        covered = masks.reshape(len(masks), 1, rows, _LOGIT, cols, _LOGIT).mean(axis=(3, 5))
        logits = ((2 * covered - 1) * _SURE).astype(np.float32)
        if prompt.batch_size is None:
            return Prediction(masks[0], scores[0], scores[0], logits[0])
        return Prediction(masks, scores, scores, logits)

    def _objects(self, truth: NDArray[np.int64], prompt: Prompt) -> list[int]:
        """Return the objects that fit a single prompt."""
        if prompt.points is not None and prompt.labels is not None and (prompt.labels == FOREGROUND).any():
            row, col = np.rint(prompt.points[prompt.labels == FOREGROUND][-1]).astype(int)
            return [int(truth[row, col])] if truth[row, col] else []
        shown = np.ones(truth.shape, bool)
        if prompt.box is not None:
            top, left = np.ceil(prompt.box[:2]).astype(int)
            bottom, right = np.floor(prompt.box[2:]).astype(int)
            shown[:] = False
            shown[max(0, top) : bottom + 1, max(0, left) : right + 1] = True
        if prompt.mask is not None:
            is_mask = prompt.mask.dtype == np.bool_
            shown &= prompt.mask if is_mask else np.kron(prompt.mask > 0, np.ones((_LOGIT, _LOGIT), bool))
        return self._fitting(truth, shown)

    def _fitting(self, truth: NDArray[np.int64], shown: NDArray[np.bool_]) -> list[int]:
        counts = np.bincount(truth[shown])
        counts[:1] = 0
        if not counts.any():
            return []
        best = int(counts.argmax())
        parent = self._parents.get(best)
        siblings = [child for child, other in self._parents.items() if other == parent and child < len(counts)]
        if len(siblings) > 1 and all(counts[child] >= _SIBLING * counts.sum() for child in siblings):
            return siblings
        return [best]
