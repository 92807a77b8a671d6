"""Which pixels a new object takes where others are already, and a label image with it in. Numpy only, no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.window_mask import WindowMask

OverlapRule = Literal["keep", "overwrite", "smaller"]
"""Pixels of other objects stay theirs; go to the new object; or go to whichever of the two has fewer pixels."""

OVERLAP_RULES: tuple[OverlapRule, ...] = get_args(OverlapRule)


def check_overlap_rule(rule: str) -> None:
    """Raise ValueError for what is no rule for overlaps."""
    if rule not in OVERLAP_RULES:
        raise ValueError(f"the rule for overlaps is {rule!r}; choose one of {', '.join(OVERLAP_RULES)}")


def writable_pixels(
    mask: NDArray[np.bool_],
    present: NDArray[Any],
    own: int,
    rule: OverlapRule,
    areas: Mapping[int, int] | None = None,
) -> NDArray[np.bool_]:
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
    areas : Mapping, optional
        Pixels of the labels, where `present` is a window that does not show them all; counted where not given.

    Raises
    ------
    ValueError
        For another rule.
    """
    check_overlap_rule(rule)
    if rule == "overwrite":
        return mask
    takes = (present == 0) | (present == own)
    if rule == "smaller":
        covered = np.unique(present[mask & ~takes])
        area = int(mask.sum())
        size = areas or {int(label): int((present == label).sum()) for label in covered}
        takes |= np.isin(present, [label for label in covered if size[int(label)] > area])
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


def put_objects(
    labels: NDArray[Any], masks: Sequence[WindowMask], numbers: Sequence[int], *, overlap: OverlapRule = "keep"
) -> None:
    """Write many new objects into a label image, one after the other, as if each were accepted in turn.

    Parameters
    ----------
    labels : numpy.ndarray
        (H, W) labels; changed in place. Its type must hold the numbers.
    masks : sequence of WindowMask
        The objects, in pixels of the label image.
    numbers : sequence of int
        A number for each, which no object has yet.
    overlap : str
        What becomes of pixels of other objects, those written before among them, see `OverlapRule`.

    Raises
    ------
    ValueError
        For another rule.
    """
    areas: dict[int, int] = {}
    if overlap == "smaller":
        areas = {int(label): int(count) for label, count in zip(*np.unique(labels, return_counts=True), strict=True)}
    for mask, number in zip(masks, numbers, strict=True):
        top, left, bottom, right = mask.box
        present = labels[top:bottom, left:right]
        pixels = writable_pixels(mask.pixels, present, 0, overlap, areas)
        if overlap == "smaller":
            lost, counts = np.unique(present[pixels], return_counts=True)
            for label, count in zip(lost.tolist(), counts.tolist(), strict=True):
                areas[label] -= count
            areas[number] = int(pixels.sum())
        present[pixels] = number


def put_numbered(
    labels: NDArray[Any], masks: Sequence[WindowMask], numbers: Sequence[int], *, overlap: OverlapRule = "keep"
) -> None:
    """Write many objects as `put_objects` does, where some are known to end without a pixel.

    Parameters
    ----------
    labels, masks, overlap
        As for `put_objects`.
    numbers : sequence of int
        A number for each, which no object has yet; 0 for one that is written over by those after it: what it keeps
        all the same becomes background.

    Raises
    ------
    ValueError
        For another rule, or for more or fewer numbers than masks.
    """
    if len(numbers) != len(masks):
        raise ValueError(f"{len(masks)} masks have {len(numbers)} numbers; give one for each")
    first = max(int(labels.max(initial=0)), *numbers, 0) + 1
    passing = labels.astype(np.int64)
    put_objects(passing, masks, range(first, first + len(masks)), overlap=overlap)
    new = passing >= first
    passing[new] = np.asarray(numbers, np.int64)[passing[new] - first]
    labels[...] = passing
