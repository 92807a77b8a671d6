"""Find similar: all masks of an image ranked by how much they resemble chosen ones. Numbers only.

Kirillov et al. 2023 (arXiv:2304.02643), appendix D.6: the cosine similarity of mask embeddings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.mask_embedding import MaskEmbeddings

SIZE_WEIGHT = 0.1
"""What `size_weight` served best on annotated nuclei (docs/similar.md)."""


@dataclass(frozen=True, eq=False)
class SimilarityRanking:
    """How much each mask of an image resembles the chosen ones.

    Attributes
    ----------
    similarity : numpy.ndarray
        (N,) float32, 1 for the chosen masks, -inf for empty ones; at most 1, at least -1 where size does not count.
    chosen : tuple of int
        Numbers of the chosen masks.
    """

    similarity: NDArray[np.float32]
    chosen: tuple[int, ...]

    @property
    def order(self) -> NDArray[np.int64]:
        """(N,) numbers of the masks: the chosen ones as they were chosen, then the others, most similar first."""
        rest = np.setdiff1d(np.arange(len(self.similarity)), self.chosen)
        ranked = rest[np.argsort(-self.similarity[rest], kind="stable")]
        return np.concatenate([np.array(self.chosen, np.int64), ranked])

    def above(self, threshold: float) -> NDArray[np.int64]:
        """Return the numbers of masks that reach a threshold, in the order of `order`; the chosen ones always do.

        Raises
        ------
        ValueError
            For a threshold that is NaN.
        """
        if math.isnan(threshold):
            raise ValueError("the threshold is NaN; give a similarity, for example 0.9")
        order = self.order
        reaches = self.similarity[order] >= threshold
        reaches[: len(self.chosen)] = True
        return order[reaches]


def rank_by_similarity(
    embeddings: MaskEmbeddings, chosen: Sequence[int], *, size_weight: float = 0.0
) -> SimilarityRanking:
    """Rank all masks by their cosine similarity to the nearest of the chosen ones.

    The nearest one counts, not the mean of them: who chooses two kinds of objects wants both back.

    Parameters
    ----------
    embeddings : MaskEmbeddings
        N masks of one image.
    chosen : sequence of int
        One or several of them, by number.
    size_weight : float
        What is taken off for an area that differs e-fold; 0 compares embeddings alone. See `SIZE_WEIGHT`.

    Raises
    ------
    ValueError
        For no chosen mask, one that does not exist, is empty or is chosen twice, or a negative weight.
    """
    numbers = _checked(embeddings, chosen)
    if not (math.isfinite(size_weight) and size_weight >= 0):
        raise ValueError(f"size_weight is {size_weight!r}; give a number of at least 0, for example {SIZE_WEIGHT}")
    similarity = embeddings.vectors @ embeddings.vectors[numbers].T  # (N, chosen)
    if size_weight > 0:
        logarithms = np.log(np.maximum(embeddings.areas, 1)).astype(np.float32)
        similarity -= np.float32(size_weight) * np.abs(logarithms[:, None] - logarithms[numbers])
    nearest = np.clip(similarity.max(axis=1), None, 1.0)
    nearest[embeddings.areas == 0] = -np.inf
    nearest[numbers] = 1.0  # which rounding may miss
    return SimilarityRanking(nearest, tuple(numbers))


def _checked(embeddings: MaskEmbeddings, chosen: Sequence[int]) -> list[int]:
    numbers = [int(number) for number in chosen]
    if not numbers:
        raise ValueError("no mask is chosen; choose at least one that the others are compared with")
    outside = [number for number in numbers if not 0 <= number < len(embeddings)]
    if outside:
        raise ValueError(f"mask {outside[0]} is chosen and there are {len(embeddings)}, counted from 0")
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"a mask is chosen twice in {numbers}; choose each once")
    empty = [number for number in numbers if embeddings.areas[number] == 0]
    if empty:
        raise ValueError(f"mask {empty[0]} is chosen and holds no pixel; choose a mask of an object")
    return numbers
