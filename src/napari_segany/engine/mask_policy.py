"""Which of the masks that answer an ambiguous prompt is taken. Numpy only."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

MaskPolicy = Literal["best", "largest", "middle", "smallest"]
"""The highest predicted IoU; the most pixels; the median by pixels (of two the smaller); the fewest."""

MASK_POLICIES: tuple[MaskPolicy, ...] = get_args(MaskPolicy)


def choose_mask(areas: ArrayLike, policy: MaskPolicy) -> int:
    """Return the index of the mask that a policy takes; an empty mask only where all are empty.

    Parameters
    ----------
    areas : array_like
        (N,) pixels of the masks, N at least 1, highest predicted IoU first: of equal areas the first is taken.
    policy : str
        See `MaskPolicy`.

    Raises
    ------
    ValueError
        For another policy, or without masks.
    """
    if policy not in MASK_POLICIES:
        raise ValueError(f"the policy is {policy!r}; choose one of {', '.join(MASK_POLICIES)}")
    sizes = np.asarray(areas)
    if sizes.ndim != 1 or not len(sizes):
        raise ValueError(f"areas has the shape {sizes.shape}; give one number for each mask, at least one")
    there = np.flatnonzero(sizes > 0) if (sizes > 0).any() else np.arange(len(sizes))
    if policy == "best":
        return int(there[0])
    rising = there[np.argsort(sizes[there], kind="stable")]
    if policy == "largest":
        return int(there[np.argmax(sizes[there])])
    return int(rising[0] if policy == "smallest" else rising[(len(rising) - 1) // 2])
