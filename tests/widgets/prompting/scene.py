"""Images to prompt on, and what a viewer shows of them."""

from __future__ import annotations

import numpy as np

FLAT = np.arange(40 * 50, dtype=np.uint8).reshape(40, 50)
STACK = np.stack([np.full((40, 50), index, np.uint8) for index in range(6)])


def names(viewer) -> list[str]:
    return [layer.name for layer in viewer.layers]


def visible_masks(viewer) -> list[str]:
    """Return which masks are seen: a layer without a mask may be visible too, for showing it takes long."""
    masks = [layer for layer in viewer.layers if layer.name.startswith("mask ") and layer.data.any()]
    return [layer.name for layer in masks if layer.visible]
