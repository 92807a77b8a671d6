"""Cells that fill the image, parted by membranes, with organelles in them: the look of electron microscopy."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_segany.training.scene import Scene
from napari_segany.training.synthetic.outlines import blob, fill
from napari_segany.training.synthetic.textures import smooth_noise, texture


def membranes(size: int, rng: np.random.Generator) -> Scene:
    """Draw a warped Voronoi tiling with dark (or bright) borders and organelles."""
    spacing = float(np.exp(rng.uniform(np.log(14), np.log(size / 3))))
    cells = _warped_voronoi(size, spacing, rng)
    width = rng.uniform(0.8, 3.0)
    border = ndimage.distance_transform_edt(~(ndimage.grey_erosion(cells, 3) != cells))
    membrane = np.exp(-((border / width) ** 2))
    polarity = -1 if rng.random() < 0.8 else 1
    count = int(cells.max())
    level = rng.uniform(0.4, 0.75) + np.concatenate([[0], rng.normal(0, rng.uniform(0, 0.08), count)])
    image = level[cells] + texture(size, rng) * rng.uniform(0.01, 0.07)
    image += polarity * rng.uniform(0.15, 0.45) * membrane * (1 + 0.2 * smooth_noise(size, 8, rng))
    if rng.random() < 0.6:
        image += _vesicles(cells, border, width, rng)
    organelles = np.zeros_like(cells)
    for label in range(1, int(rng.integers(0, 25))):
        centre = rng.uniform(0, size, 2)
        drawn = fill(blob(rng.uniform(4, max(5, spacing / 4)), rng, elongation=3) + centre, size)
        if drawn is None:
            continue
        window, mask = drawn
        owner = cells[int(centre[0]), int(centre[1])]
        mask &= (cells[window] == owner) & (border[window] > width)
        image[window][mask] += rng.choice([-1, 1], p=[0.85, 0.15]) * rng.uniform(0.05, 0.25)
        if rng.random() < 0.5:  # folds, as in mitochondria, and a rim
            image[window] += mask * texture(size, rng)[window] * rng.uniform(0.03, 0.15)
            image[window] -= (mask & ~ndimage.binary_erosion(mask)) * rng.uniform(0, 0.3)
        organelles[window][mask] = label
    image = ndimage.gaussian_filter(image, rng.uniform(0.4, 1.3))
    image += rng.normal(0, rng.uniform(0.005, 0.06), image.shape)
    layers = (cells, organelles) if organelles.any() else (cells,)
    return Scene(np.clip(image * 255, 0, 255).astype(np.float32), layers)


def _vesicles(cells: np.ndarray, border: np.ndarray, width: float, rng: np.random.Generator) -> np.ndarray:
    """Return dark rings and dots (H, W) inside of some of the cells, away from their membranes."""
    crowded = np.concatenate([[0], (rng.random(int(cells.max())) < rng.uniform(0.2, 1)) * rng.uniform(0.2, 1)])
    seeds = rng.random(cells.shape) < 0.04 * crowded[cells]
    distance = ndimage.distance_transform_edt(~seeds)
    radius, thickness = rng.uniform(0, 4), rng.uniform(0.6, 1.5)
    rings = np.exp(-(((distance - radius) / thickness) ** 2)) * (border > width + radius)
    drawn: np.ndarray = -rings * rng.uniform(0.05, 0.3)
    return drawn


def _warped_voronoi(size: int, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """Return (size, size) int32 labels 1..n of the nearest of n random seeds, in warped coordinates."""
    seeds = rng.uniform(-spacing, size + spacing, (max(4, int(((size + 2 * spacing) / spacing) ** 2)), 2))
    rows, cols = np.mgrid[:size, :size].astype(np.float64)
    strength = spacing * rng.uniform(0, 0.3)
    rows += smooth_noise(size, spacing, rng) * strength
    cols += smooth_noise(size, spacing, rng) * strength
    stretch = rng.uniform(1, 2.5)
    _, nearest = cKDTree(seeds * (1, stretch)).query(np.stack([rows, cols * stretch], axis=-1))
    return np.unique(nearest, return_inverse=True)[1].reshape(size, size).astype(np.int32) + 1
