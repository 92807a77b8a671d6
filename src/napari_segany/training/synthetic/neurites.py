"""Sections through nervous tissue: cells of very different sizes, thin dark membranes, mitochondria, vesicles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_segany.training.scene import Scene
from napari_segany.training.synthetic.outlines import blob, fill
from napari_segany.training.synthetic.textures import smooth_noise


def neurites(size: int, rng: np.random.Generator) -> Scene:
    """Draw cut processes beside each other as transmission electron microscopes show them.

    The objects are what lies within a membrane; the mitochondria are a layer of their own.
    """
    cells = _processes(size, rng)
    depth = ndimage.distance_transform_edt(~_borders(cells))
    thickness = rng.uniform(0.8, 2.6)  # half the membranes' width
    inside = depth > thickness * rng.uniform(0.6, 1.2)
    image = _cytoplasm(cells, rng)
    image += _vesicles(cells, depth, thickness, rng)
    mitochondria = _draw_mitochondria(image, cells, depth, thickness, rng)
    uneven = 1 + 0.35 * smooth_noise(size, rng.uniform(6, 40), rng)
    membrane = np.exp(-((depth / thickness) ** 2)) * np.clip(uneven, 0.15, 1.6)
    image = image * (1 - np.clip(membrane, 0, 1)) + rng.uniform(0.0, 0.25) * np.clip(membrane, 0, 1)
    image = ndimage.gaussian_filter(image, rng.uniform(0.3, 1.1))
    grain = rng.normal(0, rng.uniform(0.01, 0.09), image.shape)
    image += ndimage.gaussian_filter(grain, rng.choice([0.0, 0.5, 0.8])) + 0.03 * smooth_noise(size, size / 2, rng)
    layers = [np.where(inside, cells, 0).astype(np.int32)]
    if mitochondria.any():
        layers.append(mitochondria)
    return Scene(np.clip(image * 255, 0, 255).astype(np.float32), tuple(layers))


def _processes(size: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Return labels 1..n: crowded small cells beside large ones, some of them long, in curved outlines."""
    spacing = float(np.exp(rng.uniform(np.log(9), np.log(28))))
    rows, cols = np.mgrid[:size, :size].astype(np.float64)
    for grain, strength in ((3.0, 0.45), (1.2, 0.2), (0.5, 0.06)):
        rows += smooth_noise(size, grain * spacing, rng) * strength * spacing
        cols += smooth_noise(size, grain * spacing, rng) * strength * spacing
    count = max(8, int((size / spacing) ** 2))
    seeds = rng.uniform(-spacing, size + spacing, (count, 2))
    _, nearest = cKDTree(seeds).query(np.stack([rows, cols], axis=-1))
    # Large cells are many small ones grown together around centres that differ in reach.
    reach = np.exp(rng.normal(0, 0.9, max(2, int(count * rng.uniform(0.01, 0.06)))))
    centres = rng.uniform(0, size, (len(reach), 2))
    stretch = np.exp(rng.normal(0, 0.5, (len(reach), 1))) * np.array([[1.0, 0.0]]) + np.array([[0.0, 1.0]])
    apart = np.linalg.norm((seeds[:, None] - centres[None]) * stretch[None], axis=2)
    belongs = apart < reach[None] * spacing * rng.uniform(1.2, 3.0)
    group = np.where(belongs.any(axis=1), count + belongs.argmax(axis=1), np.arange(count))
    return np.unique(group[nearest], return_inverse=True)[1].reshape(size, size).astype(np.int32) + 1


def _borders(cells: NDArray[np.int32]) -> NDArray[np.bool_]:
    return np.asarray(ndimage.grey_erosion(cells, 3) != ndimage.grey_dilation(cells, 3))


def _cytoplasm(cells: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return brightness (H, W): a level for each cell, clouds, and fine grains."""
    size, count = len(cells), int(cells.max())
    level = rng.uniform(0.55, 0.85) + np.concatenate([[0], rng.normal(0, rng.uniform(0.01, 0.07), count)])
    grainy = np.concatenate([[0], rng.uniform(0, 0.09, count)])
    image = level[cells] + grainy[cells] * smooth_noise(size, rng.uniform(2, 6), rng)
    return np.asarray(image + 0.03 * smooth_noise(size, 30, rng))


def _vesicles(
    cells: NDArray[np.int32], depth: NDArray[np.float64], thickness: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return dark rings and dots (H, W), crowded in some cells and clustered within them."""
    size = len(cells)
    crowded = np.concatenate([[0], (rng.random(int(cells.max())) < rng.uniform(0.1, 0.7)) * rng.uniform(0.2, 1)])
    clustered = np.clip(smooth_noise(size, 40, rng), 0, 2)
    seeds = rng.random(cells.shape) < 0.02 * crowded[cells] * clustered
    if not seeds.any():
        return np.zeros(cells.shape)
    distance = ndimage.distance_transform_edt(~seeds)
    radius = rng.uniform(0, 4.5)
    rings = np.exp(-(((distance - radius) / rng.uniform(0.7, 1.4)) ** 2)) * (depth > thickness + radius + 1)
    return np.asarray(-rings * rng.uniform(0.1, 0.45))


def _draw_mitochondria(
    image: NDArray[np.float64],
    cells: NDArray[np.int32],
    depth: NDArray[np.float64],
    thickness: float,
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """Darken ellipses with a rim and folds inside of the larger cells, in place; return their labels."""
    size = len(cells)
    drawn_labels = np.zeros_like(cells)
    room = np.argwhere(depth > 8 + thickness)
    if not len(room):
        return drawn_labels
    angle, period = rng.uniform(0, np.pi), rng.uniform(3, 7)
    rows, cols = np.mgrid[:size, :size]
    folds = np.sin(
        (np.cos(angle) * rows + np.sin(angle) * cols) * 2 * np.pi / period + 2 * smooth_noise(size, 12, rng)
    )
    for label in range(1, int(rng.integers(0, 14)) + 1):
        centre = room[rng.integers(len(room))]
        largest = 0.85 * depth[tuple(centre)]
        drawn = fill(blob(rng.uniform(5, max(6, largest)), rng, elongation=3) + centre, size)
        if drawn is None:
            continue
        window, mask = drawn
        mask &= (
            (cells[window] == cells[tuple(centre)]) & (depth[window] > thickness + 1.5) & (drawn_labels[window] == 0)
        )
        if mask.sum() < 60:
            continue
        shade = image[window]
        shade[mask] = shade[mask] * rng.uniform(0.35, 0.8)
        shade += mask * folds[window] * rng.uniform(0.0, 0.12)
        rim = mask & ~ndimage.binary_erosion(mask, iterations=int(rng.integers(1, 3)))
        shade[rim] -= rng.uniform(0.05, 0.3)
        drawn_labels[window][mask] = label
    return drawn_labels
