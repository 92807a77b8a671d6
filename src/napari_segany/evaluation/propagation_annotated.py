"""An annotated stack in the form in which drawn ones are measured; asked for are objects on enough slices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.evaluation.propagation_stack import DrawnStack


def annotated_stack(
    image: NDArray[Any], labels: NDArray[np.integer[Any]], *, kind: str, min_slices: int = 3, min_area: int = 30
) -> DrawnStack:
    """Return a stack whose truth people (or another program) made.

    Parameters
    ----------
    image : numpy.ndarray
        (Z, H, W), any real type.
    labels : numpy.ndarray
        (Z, H, W) integers: the same number for an object on all slices, 0 for none.
    kind : str
        What the table calls these objects.
    min_slices : int
        Objects on fewer slices are there, but not asked for.
    min_area : int
        Nor are those whose largest slice has fewer pixels.

    Raises
    ------
    ValueError
        For arrays that do not fit each other, or without such an object.
    """
    if image.shape[:3] != labels.shape or labels.ndim != 3:
        raise ValueError(f"the image has the shape {image.shape} and the labels {labels.shape}; give (Z, H, W) twice")
    areas = np.stack([np.bincount(plane.ravel(), minlength=int(labels.max()) + 1) for plane in labels])
    asked = np.flatnonzero(((areas > 0).sum(axis=0) >= min_slices) & (areas.max(axis=0) >= min_area))
    kinds = {int(number): kind for number in asked if number}
    if not kinds:
        raise ValueError(f"no object of the labels is on {min_slices} slices with {min_area} pixels on one of them")
    return DrawnStack(image, labels.astype(np.uint32), kinds, {})
