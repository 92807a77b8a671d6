"""One axis on the way from low-resolution logits to the pixels of an image: both bilinear steps as three taps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis in B blocks of at most P pixels that share their three logits.

    Attributes
    ----------
    edges : numpy.ndarray
        (B + 1,) first pixel of each block, and the number of pixels.
    first : numpy.ndarray
        (B,) the first of the three logits of each block.
    lengths : numpy.ndarray
        (B,) float64 pixels of each block.
    logits : numpy.ndarray
        (B, 3) all three; the last logit of the axis stands for those beyond it.
    pixels : numpy.ndarray
        (B, P) pixels of each block; a shorter block repeats its last one.
    weights : numpy.ndarray
        (B, P, 3) float32 of the three logits in each pixel.
    once : numpy.ndarray
        (B, P, 3) the same, and not a number in repetitions, so that no comparison finds them.
    """

    edges: Index
    first: Index
    lengths: NDArray[np.float64]
    logits: Index
    pixels: Index
    weights: Float
    once: Float

    @classmethod
    def build(cls, low: int, model: int, used: int, pixels: int) -> Axis:
        """Compose `low` logits -> `model` pixels of the input, of which `used` -> `pixels` of the image."""
        inner_a, inner_b, inner_share = _bilinear(low, model)
        outer_a, outer_b, outer_share = _bilinear(used, pixels)
        first = inner_a[outer_a]
        weights = np.zeros((pixels, 3))
        every = np.arange(pixels)
        for middle, outer in ((outer_a, 1 - outer_share), (outer_b, outer_share)):
            for logit, inner in ((inner_a[middle], 1 - inner_share[middle]), (inner_b[middle], inner_share[middle])):
                # A logit further than two away only ever comes with no weight.
                np.add.at(weights, (every, np.clip(logit - first, 0, 2)), outer * inner)
        edges = np.flatnonzero(np.concatenate([[True], first[1:] != first[:-1], [True]]))
        # The outermost blocks are longer than all others, which would be filled up to their length.
        longest = int(np.ceil(np.mean(np.diff(edges))))
        starts = np.concatenate([np.arange(*ends, longest) for ends in pairwise(edges)])
        edges = np.concatenate([starts, [pixels]])
        raw = starts[:, None] + np.arange(np.diff(edges).max())
        members = np.minimum(raw, edges[1:, None] - 1)
        shared = weights.astype(np.float32)[members]
        return cls(
            edges=edges,
            first=first[starts],
            lengths=np.diff(edges).astype(np.float64),
            logits=np.minimum(first[starts][:, None] + np.arange(3), low - 1),
            pixels=members,
            weights=shared,
            once=np.where(raw[:, :, None] >= edges[1:, None, None], np.float32(np.nan), shared),
        )

    def around(self, first: int, last: int) -> tuple[int, int]:
        """Return from where to where logits belong to the blocks that use those from the first to the last."""
        top, bottom = self.logits[:, 2].searchsorted(first), self.logits[:, 0].searchsorted(last, "right") - 1
        return int(self.logits[top, 0]), int(self.logits[bottom, 2]) + 1

    def within(self, origin: int, length: int) -> slice:
        """Return the blocks whose logits all lie within a stretch of the logits."""
        start = int(self.logits[:, 0].searchsorted(origin))
        return slice(start, max(start, int(self.logits[:, 2].searchsorted(origin + length))))


def _bilinear(source: int, target: int) -> tuple[Index, Index, NDArray[np.float64]]:
    """Return for each target pixel its two source pixels and the share of the second, without aligned corners."""
    position = np.maximum((np.arange(target) + 0.5) * (source / target) - 0.5, 0)
    first = np.minimum(position.astype(np.int64), source - 1)
    return first, np.minimum(first + 1, source - 1), position - first
