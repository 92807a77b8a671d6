"""Which pixels a new object takes where others are already. Numpy only: knows neither napari nor Qt."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

OverlapRule = Literal["keep", "overwrite", "smaller"]
"""Pixels of other objects stay theirs; go to the new object; or go to whichever of the two has fewer pixels."""

OVERLAP_RULES: tuple[OverlapRule, ...] = get_args(OverlapRule)


def writable_pixels(mask: NDArray[np.bool_], present: NDArray[Any], own: int, rule: OverlapRule) -> NDArray[np.bool_]:
    """Return the pixels of a mask that its object takes, (H, W) bool.

    Parameters
    ----------
    mask : numpy.ndarray
        (H, W) bool, the object as the model sees it.
    present : numpy.ndarray
        (H, W) labels that are there.
    own : int
        The object's own label, if it is there in another form; 0 for a new one. Its pixels and the background are
        always taken.
    rule : str
        What becomes of the pixels of others. By "smaller", objects of equal size keep theirs.

    Raises
    ------
    ValueError
        For another rule.
    """
    if rule not in OVERLAP_RULES:
        raise ValueError(f"the rule for overlaps is {rule!r}; choose one of {', '.join(OVERLAP_RULES)}")
    if rule == "overwrite":
        return mask
    takes = (present == 0) | (present == own)
    if rule == "smaller":
        covered = np.unique(present[mask & ~takes])
        area = int(mask.sum())
        takes |= np.isin(present, [label for label in covered if int((present == label).sum()) > area])
    return mask & takes
