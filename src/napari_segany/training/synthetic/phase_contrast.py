"""Adherent cells in phase contrast: spread, spindly or rounded up, grey on grey, with halos, nuclei and granules."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segany.training.scene import Scene
from napari_segany.training.synthetic.outlines import Outline, blob, fill, rotate
from napari_segany.training.synthetic.textures import smooth_noise, texture


def phase_contrast_cells(size: int, rng: np.random.Generator) -> Scene:
    """Draw cells whose grey hardly differs from the ground: their borders and halos tell where they end."""
    radius = float(np.exp(rng.uniform(np.log(min(14, size / 12)), np.log(size / 6))))
    cells, round_ones = _place(size, radius, rng)
    inside = cells > 0
    depth = _depth(cells)
    ground = rng.uniform(0.3, 0.55)
    image = ground + texture(size, rng) * rng.uniform(0.002, 0.015)
    count = int(cells.max())
    level = np.concatenate([[0], rng.normal(0, 0.025, count)]).astype(np.float32)
    image = image + level[cells] + inside * texture(size, rng) * rng.uniform(0.01, 0.05)
    image -= rng.uniform(0.02, 0.12) * inside * np.exp(-((depth / rng.uniform(2, 0.25 * radius + 3)) ** 2))
    image += _halo(inside, cells, radius, rng)
    _draw_granules(image, cells, rng)
    _draw_nuclei(image, cells, radius, rng)
    bright = np.isin(cells, round_ones) & inside
    image += bright * rng.uniform(0.1, 0.35) * np.clip(1 - depth / (0.6 * radius), 0, 1)
    image = ndimage.gaussian_filter(image, rng.uniform(0.4, 1.2))
    image += rng.normal(0, rng.uniform(0.003, 0.02), image.shape)
    _draw_debris(image, rng)
    return Scene(np.clip(image * 255, 0, 255).astype(np.float32), (cells,))


def _place(size: int, radius: float, rng: np.random.Generator) -> tuple[NDArray[np.int32], list[int]]:
    """Draw cells that keep off each other or touch; return their labels and which of them have rounded up."""
    cells = np.zeros((size, size), np.int32)
    wanted = int(np.clip(rng.uniform(0.1, 0.6) * size**2 / (np.pi * radius**2), 3, 80))
    rounded: list[int] = []
    for label in range(1, wanted + 1):
        is_round = rng.random() < 0.12
        outline = blob(0.45 * radius, rng, roughness=0.05) if is_round else _spread(radius, rng)
        drawn = fill(outline + rng.uniform(0, size, 2), size)
        if drawn is None:
            continue
        window, mask = drawn
        free = mask & (cells[window] == 0)
        parts, _ = ndimage.label(free)
        if free.sum() < 0.7 * mask.sum() or not parts.any():
            continue
        largest = parts == np.bincount(parts.ravel())[1:].argmax() + 1
        cells[window][largest] = label
        if is_round:
            rounded.append(label)
    return cells, rounded


def _spread(radius: float, rng: np.random.Generator) -> Outline:
    """Return an outline (M, 2) with a few pointed extensions and concave sides between them, or a spindle."""
    tips = int(rng.integers(2, 7))
    angles = np.sort(rng.uniform(0, 2 * np.pi, tips)) if tips > 2 else np.array([0, np.pi]) + rng.normal(0, 0.2, 2)
    lengths = radius * rng.uniform(0.8, 2.0, tips)
    body = radius * rng.uniform(0.35, 0.75)
    sharpness = rng.uniform(2, 9)
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    apart = np.abs((angle[:, None] - angles + np.pi) % (2 * np.pi) - np.pi)
    r = body + ((lengths - body) * np.exp(-((apart * sharpness / 2) ** 2))).max(axis=1)
    r *= 1 + 0.06 * np.interp(angle, np.linspace(0, 2 * np.pi, 24), rng.standard_normal(24))
    return rotate(r[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1), rng.uniform(0, 2 * np.pi))


def _depth(cells: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the distance of every pixel of a cell from the nearest pixel that is not of that cell."""
    border = (ndimage.grey_erosion(cells, 3) != cells) | (ndimage.grey_dilation(cells, 3) != cells)
    depth: NDArray[np.float64] = ndimage.distance_transform_edt(~border)
    return depth


def _halo(
    inside: NDArray[np.bool_], cells: NDArray[np.int32], radius: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the bright rim outside of the cells, stronger around some of them than around others."""
    distance, nearest = ndimage.distance_transform_edt(~inside, return_indices=True)
    count = int(cells.max())
    strength = np.concatenate([[0], rng.uniform(0, 0.3, count) * rng.uniform(0.2, 1)])
    rim = np.exp(-((distance / rng.uniform(1, 0.12 * radius + 1.5)) ** 2)) * ~inside
    halo: NDArray[np.float64] = rim * strength[cells[nearest[0], nearest[1]]]
    return halo


def _draw_granules(image: NDArray[np.floating], cells: NDArray[np.int32], rng: np.random.Generator) -> None:
    """Add dark and bright dots inside of the cells, in place."""
    dots = (rng.random(cells.shape) < rng.uniform(0, 0.02)) & (cells > 0)
    signs = rng.choice([-1.0, 1.0], cells.shape, p=[0.7, 0.3])
    spread = ndimage.gaussian_filter(dots * signs, rng.uniform(0.6, 1.6))
    image += spread / max(float(np.abs(spread).max()), 1e-6) * rng.uniform(0.03, 0.25)


def _draw_nuclei(
    image: NDArray[np.floating], cells: NDArray[np.int32], radius: float, rng: np.random.Generator
) -> None:
    """Add a faint nucleus with a nucleolus to most cells, in place; it is no object of its own."""
    for label, window in enumerate(ndimage.find_objects(cells), start=1):
        if window is None or rng.random() < 0.3:
            continue
        depth = ndimage.distance_transform_edt(cells[window] == label)
        centre = np.array(np.unravel_index(int(depth.argmax()), depth.shape)) + [part.start for part in window]
        for part, gain in ((rng.uniform(0.25, 0.4), rng.uniform(-0.05, 0.05)), (0.08, -rng.uniform(0.05, 0.2))):
            drawn = fill(blob(max(part * radius, 1.5), rng, roughness=0.04) + centre, len(cells))
            if drawn is not None:
                place, mask = drawn
                image[place][mask & (cells[place] == label)] += gain


def _draw_debris(image: NDArray[np.floating], rng: np.random.Generator) -> None:
    """Add small dark and bright specks on the ground and the uneven light of the condenser, in place."""
    size = len(image)
    for _ in range(int(rng.integers(0, 30))):
        drawn = fill(blob(rng.uniform(1, 4), rng) + rng.uniform(0, size, 2), size)
        if drawn is not None:
            image[drawn[0]][drawn[1]] += rng.choice([-1, 1]) * rng.uniform(0.03, 0.25)
    image += smooth_noise(size, size, rng) * rng.uniform(0, 0.05)
