"""Occluding shapes of many sizes, each with its own texture: the statistics of natural and aerial images.

The "dead leaves" model (Lee, Mumford and Huang 2001, doi:10.1023/A:1011109015675), with marks on the leaves as parts
of wholes.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_segany.training.scene import Scene
from napari_segany.training.synthetic.outlines import blob, fill, polygon
from napari_segany.training.synthetic.textures import coloured_texture


def dead_leaves(size: int, rng: np.random.Generator) -> Scene:
    """Draw textured shapes over each other, or apart on a textured ground."""
    grey = rng.random() < 0.35
    textures = [coloured_texture(size, rng, grey=grey) for _ in range(6)]
    image = textures[0].copy()
    shapes, marks = np.zeros((2, size, size), np.int32)
    smallest = 4.0
    count = int(rng.integers(5, 45))
    crowded = rng.random() < 0.6
    for label in range(1, count + 1):
        # Sizes follow a power law; large shapes come first so that small ones are not all covered.
        radius = smallest / (1 - rng.random() * (1 - smallest / (size / 3))) if crowded else rng.uniform(5, size / 6)
        centre = rng.uniform(0, size, 2)
        drawn = fill(polygon(radius, rng) + centre, size)
        if drawn is None:
            continue
        window, mask = drawn
        if not crowded and (shapes[window] > 0)[mask].any():
            continue
        image[window][mask] = _recoloured(textures, rng, grey)[window][mask]
        shapes[window][mask], marks[window][mask] = label, 0
        if radius > 12 and rng.random() < 0.4:
            inner = fill(blob(radius * rng.uniform(0.25, 0.5), rng) + centre, size)
            if inner is not None:
                window, mask = inner
                mask &= shapes[window] == label
                image[window][mask] = _recoloured(textures, rng, grey)[window][mask]
                marks[window][mask] = label
    image = ndimage.gaussian_filter(image, (*[rng.uniform(0.3, 1.0)] * 2, 0))
    image += rng.normal(0, rng.uniform(0.002, 0.03), image.shape)
    layers = (shapes, marks) if marks.any() else (shapes,)
    return Scene(np.clip(image * 255, 0, 255).astype(np.float32), layers)


def _recoloured(textures: list[np.ndarray], rng: np.random.Generator, grey: bool) -> np.ndarray:
    """Return one of the textures with another mean colour."""
    chosen = textures[rng.integers(len(textures))]
    shift = rng.normal(0, 0.18, 1 if grey else 3).astype(np.float32)
    return np.clip(chosen + shift, 0, 1)
