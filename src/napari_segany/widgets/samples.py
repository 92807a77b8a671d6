"""Sample images for napari's File menu, from scikit-image's wheel: nothing is downloaded."""

from __future__ import annotations

from typing import Any

from napari_segany.formats.sample_images import sample_image

LayerData = tuple[Any, dict[str, Any], str]

SAMPLE_KEY = "napari_segany_sample"
"""Key of an image layer's metadata: which sample image it shows, so that sessions and scripts find it again."""


def sample_layer(name: str) -> LayerData:
    """Return what a layer of a sample image is made of; names are those of `formats.sample_images`."""
    image = sample_image(name)
    return image, {"name": name, "rgb": image.ndim == 3, "metadata": {SAMPLE_KEY: name}}, "image"


def micrograph() -> list[LayerData]:
    """Return the immunohistochemistry image: (512, 512, 3) uint8, brown nuclei and blue tissue."""
    return [sample_layer("immunohistochemistry")]


def cell() -> list[LayerData]:
    """Return one floating cell, its phase retrieved from a hologram: (660, 550) uint8."""
    return [sample_layer("cell")]


def coins() -> list[LayerData]:
    """Return Greek coins: (303, 384) uint8."""
    return [sample_layer("coins")]
