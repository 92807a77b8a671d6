"""Buildings and fields seen from above: polygons with shadows and roofs on textured ground."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_segany.training.scene import Scene
from napari_segany.training.synthetic.outlines import fill, rotate
from napari_segany.training.synthetic.textures import coloured_texture, smooth_noise


def buildings(size: int, rng: np.random.Generator) -> Scene:
    """Draw roofs, mostly along one direction, with shadows, trees and roads between them."""
    ground = coloured_texture(size, rng, grey=False)
    patches = smooth_noise(size, size / 3, rng) > rng.uniform(0, 1)
    ground[patches] = coloured_texture(size, rng, grey=False)[patches]
    image = ground
    labels = np.zeros((size, size), np.int32)
    direction = rng.uniform(0, np.pi)
    half = float(np.exp(rng.uniform(np.log(5), np.log(size / 7))))
    shadow = rng.uniform(-1, 1, 2) * rng.uniform(0.1, 0.5) * half
    roofs = coloured_texture(size, rng, grey=False)
    for label in range(1, int(rng.integers(3, 40))):
        angle = direction + (rng.choice([0, np.pi / 2]) if rng.random() < 0.8 else rng.uniform(0, np.pi))
        outline = rotate(_floor_plan(half * rng.uniform(0.6, 1.5), rng), angle) + rng.uniform(0, size, 2)
        drawn = fill(outline, size)
        if drawn is None or (labels[drawn[0]] > 0)[drawn[1]].any():
            continue
        shade = fill(outline + shadow, size)
        if shade is not None:
            dark = shade[1] & (labels[shade[0]] == 0)
            image[shade[0]][dark] *= rng.uniform(0.4, 0.8)
        window, mask = drawn
        roof = np.clip(roofs + rng.normal(0, 0.12, 3).astype(np.float32), 0, 1)
        image[window][mask] = roof[window][mask]
        labels[window][mask] = label
        _shade_ridge(image, window, mask, angle, rng)
    image = ndimage.gaussian_filter(image, (*[rng.uniform(0.4, 1.1)] * 2, 0))
    image += rng.normal(0, rng.uniform(0.002, 0.02), image.shape)
    return Scene(np.clip(image * 255, 0, 255).astype(np.float32), (labels,))


def _floor_plan(half: float, rng: np.random.Generator) -> np.ndarray:
    """Return a rectangle or an L shape (M, 2) around the origin."""
    a, b = half, half * rng.uniform(0.6, 1.8)
    if rng.random() < 0.65:
        return np.array([[-a, -b], [-a, b], [a, b], [a, -b]])
    c, d = a * rng.uniform(-0.3, 0.3), b * rng.uniform(-0.3, 0.3)
    return np.array([[-a, -b], [-a, b], [c, b], [c, d], [a, d], [a, -b]])


def _shade_ridge(image: np.ndarray, window: tuple, mask: np.ndarray, angle: float, rng: np.random.Generator) -> None:
    """Light the two halves of a gabled roof differently."""
    if rng.random() < 0.5:
        return
    rows, cols = np.nonzero(mask)
    side = (rows - rows.mean()) * np.cos(angle) + (cols - cols.mean()) * np.sin(angle) > 0
    view = image[window]
    view[rows[side], cols[side]] *= rng.uniform(0.7, 0.95)
