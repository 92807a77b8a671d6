"""Which pixels a new object takes where others are already, and a label image with it in. Numpy only, no model."""

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


def put_object(
    labels: NDArray[Any], mask: NDArray[np.bool_], label: int, *, overlap: OverlapRule = "keep"
) -> NDArray[np.bool_]:
    """Write an object into a label image, as accepting it in napari does.

    Pixels that the label has outside of the mask become background: the mask takes the place of an earlier form of
    the same object.

    Parameters
    ----------
    labels : numpy.ndarray
        (H, W) labels; changed in place. Its type must hold `label`.
    mask : numpy.ndarray
        (H, W) bool.
    label : int
        The object's number, from 1.
    overlap : str
        What becomes of pixels of other objects, see `OverlapRule`.

    Returns
    -------
    numpy.ndarray
        (H, W) bool, the pixels that the object has now.

    Raises
    ------
    ValueError
        For another rule, a number that is none, or arrays of different shapes.
    """
    highest = np.iinfo(labels.dtype).max
    if not 1 <= label <= highest:
        raise ValueError(f"the object's number is {label}; a label image of type {labels.dtype} holds 1 to {highest}")
    if mask.shape != labels.shape:
        raise ValueError(f"the mask has the shape {mask.shape} and the labels {labels.shape}; give both of one plane")
    writable = writable_pixels(mask, labels, label, overlap)
    labels[(labels == label) & ~writable] = 0
    labels[writable] = label
    return writable
