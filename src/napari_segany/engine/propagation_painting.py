"""Objects that were carried to a slice written into its labels. Numpy only; a session and its replay write alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.object_overlap import OverlapRule, writable_pixels
from napari_segany.engine.propagation_values import SliceMask
from napari_segany.formats.record import Box


def changed_window(
    masks: Sequence[SliceMask], shape: tuple[int, int], overlap: OverlapRule, *, were_there: bool
) -> Box | None:
    """Return the part of a slice that its masks may change; None where there is none.

    Parameters
    ----------
    masks : sequence of SliceMask
        The masks of the slice.
    shape : (int, int)
        (H, W) of the slice.
    overlap : str
        What becomes of pixels of other objects, see `OverlapRule`.
    were_there : bool
        Whether objects of the run were there before it: they may lose pixels anywhere.
    """
    if were_there or overlap == "smaller":
        return 0, 0, *shape
    boxes = np.array([mask.record.bbox for mask in masks if mask.record.area])
    if not len(boxes):
        return None
    (top, left), (bottom, right) = boxes[:, :2].min(axis=0).tolist(), boxes[:, 2:].max(axis=0).tolist()
    return top, left, bottom, right


def painted_window(
    present: NDArray[Any], masks: Sequence[SliceMask], window: Box, labels: Mapping[int, int], overlap: OverlapRule
) -> NDArray[Any]:
    """Return a window of a slice as it shall be: smaller masks of the run over larger ones, others by the rule.

    Parameters
    ----------
    present : numpy.ndarray
        (h, w) labels that are there in the window.
    masks : sequence of SliceMask
        The masks of the slice.
    window : (int, int, int, int)
        Where the window lies: (row_min, col_min, row_max, col_max), half-open.
    labels : Mapping
        The label of each object of the run, by its number there.
    overlap : str
        What becomes of pixels of other objects.
    """
    wanted = present.astype(np.promote_types(present.dtype, np.min_scalar_type(max(labels.values(), default=0))))
    own = np.isin(present, list(labels.values()))
    wanted[own] = 0
    others = np.where(own, 0, present)
    for mask in sorted(masks, key=lambda mask: -mask.record.area):
        pixels = writable_pixels(mask.record.rle.window(window), others, 0, overlap)
        wanted[pixels] = labels[mask.object_id]
    return wanted
