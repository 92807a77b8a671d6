"""Young plants on soil, seen from above: objects of several leaves that meet in a centre, broad or feathery."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segany.training.scene import Scene
from napari_segany.training.synthetic.outlines import Outline, fill, rotate
from napari_segany.training.synthetic.textures import coloured_texture, smooth_noise, texture


def seedlings(size: int, rng: np.random.Generator) -> Scene:
    """Draw plants apart from each other or over each other, in colour or as a near-infrared camera sees them."""
    grey = rng.random() < 0.4
    image = coloured_texture(size, rng, grey=grey) * np.float32(rng.uniform(0.5, 1))
    image = image + (texture(size, rng) * rng.uniform(0.01, 0.08))[..., None].astype(np.float32)
    if rng.random() < 0.6:
        image *= _clods(size, rng)[..., None]
    colour = _leaf_colour(image, grey, rng)
    shade = np.clip(1 + 0.15 * smooth_noise(size, size / 8, rng), 0.5, 1.5)
    plants = np.zeros((size, size), np.int32)
    largest = size * float(np.exp(rng.uniform(np.log(0.06), np.log(0.4))))
    for label in range(1, int(rng.integers(3, int(8 + 1.2 * size / largest))) + 1):
        radius = largest * float(np.exp(rng.uniform(np.log(0.2), 0)))
        centre = rng.uniform(0, size, 2)
        own = colour + rng.normal(0, 0.05) + (0 if grey else rng.normal(0, 0.04, 3))
        for leaf in _leaves(radius, rng):
            _draw_leaf(image, plants, leaf + centre, label, own, shade, rng)
    plants = _without_crumbs(plants)
    image = ndimage.gaussian_filter(image, (*[rng.uniform(0.3, 1.2)] * 2, 0))
    image = image + rng.normal(0, rng.uniform(0.003, 0.03), image.shape)
    return Scene(np.clip(image * 255, 0, 255).astype(np.float32), (plants,))


def _clods(size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return factors (size, size) on the light of the ground: lumps and stones, with dark gaps between them."""
    lumps = np.ones((size, size), np.float32)
    for cell in (size / rng.uniform(8, 20), size / rng.uniform(25, 80)):
        heights = smooth_noise(size, cell, rng)
        lumps += np.float32(rng.uniform(0.05, 0.3)) * np.tanh(3 * (np.abs(heights) - 0.5))
    return np.clip(lumps, 0.2, 2)


def _leaf_colour(ground: NDArray[np.floating], grey: bool, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the colour (3,) of leaves: some green, red or yellow, or a grey; not that of the ground."""
    soil = ground.mean(axis=(0, 1))
    for _ in range(20):
        colour = np.full(3, rng.uniform(0.2, 0.9)) if grey else rng.uniform((0.1, 0.3, 0.05), (0.7, 0.8, 0.5))
        if np.abs(colour - soil).max() > 0.08:
            break
    return colour


def _leaves(radius: float, rng: np.random.Generator) -> list[Outline]:
    """Return the outlines of the leaves of a plant of about this radius around the origin."""
    feathery = rng.random() < 0.4
    count = int(rng.integers(2, 8))
    turn = rng.uniform(0, 2 * np.pi)
    slender = rng.uniform(0.12, 0.45)
    leaves: list[Outline] = []
    for number in range(count):
        length = radius * rng.uniform(0.55, 1.1)
        angle = turn + 2 * np.pi * number / count + rng.normal(0, 0.25)
        stem = _blade(length, max(0.02 * length, 0.8), 0.0)
        own = [stem, *_leaflets(length, slender, rng)] if feathery else [stem, _blade(length, slender * length, 0.2)]
        bend = rng.normal(0, 0.4) / length
        leaves += [rotate(_bent(part, bend), angle) for part in own]
    return leaves


def _blade(length: float, half_width: float, start: float) -> Outline:
    """Return a leaf (M, 2) in row, col that lies along the columns, from `start` of its length to its tip."""
    along = np.linspace(start, 1, 24)
    across = half_width * np.sin(np.pi * ((along - start) / (1 - start)) ** 0.8) ** 0.7
    there = np.stack([across, along * length], axis=1)
    back = np.stack([-across, along * length], axis=1)[::-1]
    return np.concatenate([there, back])


def _leaflets(length: float, slender: float, rng: np.random.Generator) -> list[Outline]:
    """Return small leaves on both sides of a stem, shorter towards the tip."""
    leaflets = []
    for along in np.linspace(0.3, 1, int(rng.integers(4, 9))):
        for side in (-1, 1):
            own = length * slender * (1.3 - along) * rng.uniform(0.8, 1.4)
            blade = _blade(own, rng.uniform(0.15, 0.35) * own + 0.5, 0.0)
            leaflets.append(rotate(blade, side * rng.uniform(0.5, 1.1)) + np.array([0, along * length * 0.9]))
    return leaflets


def _bent(points: Outline, bend: float) -> Outline:
    """Return points (M, 2) of a leaf along the columns whose tip is moved sideways."""
    return points + np.stack([bend * points[:, 1] ** 2, np.zeros(len(points))], axis=1)


def _draw_leaf(
    image: NDArray[np.floating],
    plants: NDArray[np.int32],
    outline: Outline,
    label: int,
    colour: NDArray[np.floating],
    shade: NDArray[np.floating],
    rng: np.random.Generator,
) -> None:
    """Lay a leaf over what is there, in place: darker where it bends down, with a shadow beside it."""
    shadow = fill(outline + rng.uniform(1, 4, 2), len(plants))
    if shadow is not None:
        window, mask = shadow
        image[window][mask & (plants[window] != label)] *= rng.uniform(0.6, 0.95)
    drawn = fill(outline, len(plants))
    if drawn is None:
        return
    window, mask = drawn
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    relief = 1 + rng.uniform(-0.25, 0.15) * np.clip(1 - depth / max(float(depth.max()), 1.0), 0, 1)
    brightness = relief * shade[window] * rng.uniform(0.65, 1.25)
    image[window][mask] = (colour * brightness[..., None])[mask]
    plants[window][mask] = label


def _without_crumbs(plants: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the labels without parts of a plant that others have cut off."""
    for label, window in enumerate(ndimage.find_objects(plants), start=1):
        if window is None:
            continue
        parts, count = ndimage.label(plants[window] == label, np.ones((3, 3)))
        if count > 1:
            areas = np.bincount(parts.ravel())[1:]
            plants[window][np.isin(parts, np.flatnonzero(areas < 0.1 * areas.max()) + 1)] = 0
    return plants
