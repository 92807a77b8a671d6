"""Sample images for napari's File menu, from scikit-image's wheel: nothing is downloaded."""

from __future__ import annotations

from typing import Any

LayerData = tuple[Any, dict[str, Any], str]


def micrograph() -> list[LayerData]:
    """Return the immunohistochemistry image: (512, 512, 3) uint8, brown nuclei and blue tissue."""
    from skimage import data

    return [(data.immunohistochemistry(), {"name": "immunohistochemistry", "rgb": True}, "image")]


def cell() -> list[LayerData]:
    """Return one floating cell, its phase retrieved from a hologram: (660, 550) uint8."""
    from skimage import data

    return [(data.cell(), {"name": "cell"}, "image")]


def coins() -> list[LayerData]:
    """Return Greek coins: (303, 384) uint8."""
    from skimage import data

    return [(data.coins(), {"name": "coins"}, "image")]
