"""Drawn cells: fluorescent or stained, apart, touching or overlapping, with nuclei (parts of wholes)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segany.training.scene import Scene
from napari_segany.training.synthetic.outlines import Outline, blob, fill
from napari_segany.training.synthetic.textures import smooth_noise, texture


def fluorescent_cells(size: int, rng: np.random.Generator) -> Scene:
    """Draw bright cells or nuclei on a dark ground: dim to saturated, blurred, with haze."""
    radius = _radius(size, rng)
    cells, nuclei = _place(size, radius, rng, nested=rng.random() < 0.35)
    image = np.full((size, size), rng.uniform(0.01, 0.12), np.float32)
    brightness = rng.uniform(0.15, 0.8)
    spread = rng.uniform(0.05, 0.6)
    speckle = 1 + rng.uniform(0.02, 0.25) * texture(size, rng)
    nested = bool(nuclei.any())
    for labels, gain in ((cells, 0.4 if nested else 1.0), (nuclei, 1.0)):
        count = int(labels.max())
        levels = np.concatenate([[0], brightness * gain * np.exp(rng.normal(0, spread, count))]).astype(np.float32)
        image += levels[labels] * speckle
    if rng.random() < 0.5:
        image *= _shading(cells, rng)
    sharp = ndimage.gaussian_filter(image, rng.uniform(0.4, 0.05 * radius + 0.6))
    haze = ndimage.gaussian_filter(image, radius) * rng.uniform(0, 0.35)
    image = sharp + haze + rng.normal(0, rng.uniform(0.003, 0.03), image.shape)
    return Scene(_to_grey_levels(image), (cells, nuclei) if nested else (cells,))


def stained_cells(size: int, rng: np.random.Generator) -> Scene:
    """Draw stained cells or nuclei on bright tissue, in colour, as in histology and smears."""
    radius = _radius(size, rng)
    cells, nuclei = _place(size, radius, rng, nested=rng.random() < 0.5)
    ground = rng.uniform([0.75, 0.55, 0.7], [1.0, 0.95, 1.0])
    stain = rng.uniform([0.15, 0.1, 0.3], [0.6, 0.5, 0.75])
    if rng.random() < 0.3:  # any two colours, so that no stain is the only one
        ground, stain = rng.uniform(0.5, 1, 3), rng.uniform(0, 0.6, 3)
    image = ground + texture(size, rng)[..., None] * rng.uniform(0.01, 0.08) * rng.uniform(0.5, 1.5, 3)
    distractors = np.clip(smooth_noise(size, 2.5 * radius, rng), 0, 2)[..., None]
    image -= distractors * rng.uniform(0, 0.12) * rng.uniform(0.5, 1.5, 3)
    nested = bool(nuclei.any())
    grain = texture(size, rng)
    for labels, depth in ((cells, 0.35 if nested else 0.9), (nuclei, 0.95)):
        count = int(labels.max())
        dose = np.concatenate([[0], np.clip(depth * rng.uniform(0.5, 1.1, count), 0, 1)])
        cover = ndimage.gaussian_filter(dose[labels], rng.uniform(0.4, 1.2))[..., None]
        cover = np.clip(cover * (1 + rng.uniform(0.02, 0.25) * grain[..., None]), 0, 1)
        image = image * (1 - cover) + stain * cover
        if rng.random() < 0.4:  # a dark or bright rim
            rim = (labels > 0) & (ndimage.grey_erosion(labels, 3) != labels)
            image[rim] *= rng.uniform(0.6, 1.25)
    image += rng.normal(0, rng.uniform(0.003, 0.03), image.shape)
    return Scene(_to_grey_levels(image), (cells, nuclei) if nested else (cells,))


def _radius(size: int, rng: np.random.Generator) -> float:
    """Return the typical radius of a scene's cells, in pixels, small ones more often."""
    return float(np.exp(rng.uniform(np.log(5), np.log(size / 5))))


def _place(
    size: int, radius: float, rng: np.random.Generator, *, nested: bool
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Draw outlines over each other; return the visible cells and their nuclei (empty if not `nested`)."""
    cells, nuclei = np.zeros((2, size, size), np.int32)
    wanted = int(np.clip(rng.uniform(0.15, 1.1) * size**2 / (np.pi * radius**2), 3, 120))
    overlap = rng.uniform(0, 0.35)
    roughness, elongation = rng.uniform(0, 0.15), rng.choice([1.3, 2.0, 4.0], p=[0.6, 0.3, 0.1])
    for label in range(1, wanted + 1):
        own = radius * float(np.exp(rng.normal(0, 0.25)))
        outline = blob(own, rng, roughness=roughness, elongation=elongation)
        centre = rng.uniform(0, size, 2)
        drawn = fill(outline + centre, size)
        if drawn is None:
            continue
        window, mask = drawn
        taken = (cells[window] > 0) & mask
        if taken.sum() > overlap * mask.sum():
            continue
        over = rng.random() < 0.5  # later cells lie over or under the earlier ones
        cells[window][mask if over else mask & ~taken] = label
        if nested:
            _draw_nucleus(nuclei, cells, outline, centre, label, rng)
    nuclei[nuclei != cells] = 0
    return cells, nuclei


def _draw_nucleus(
    nuclei: NDArray[np.int32],
    cells: NDArray[np.int32],
    outline: Outline,
    centre: NDArray[np.float64],
    label: int,
    rng: np.random.Generator,
) -> None:
    radius = np.sqrt((outline**2).sum(axis=1)).mean() * rng.uniform(0.3, 0.65)
    drawn = fill(blob(radius, rng, roughness=0.05) + centre + rng.uniform(-0.2, 0.2, 2) * radius, len(cells))
    if drawn is not None:
        window, mask = drawn
        nuclei[window][mask & (cells[window] == label)] = label


def _shading(labels: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a factor that falls or rises from the border to the middle of every object."""
    depth = ndimage.distance_transform_edt(labels > 0)
    scale = max(float(depth.max()), 1.0) * rng.uniform(0.2, 0.8)
    rise = np.clip(depth / scale, 0, 1)
    strength = rng.uniform(-0.4, 0.6)
    return (1 - strength * (1 - rise)).astype(np.float32)


def _to_grey_levels(image: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.clip(image * 255, 0, 255).astype(np.float32)
