"""From a scene to a training crop: scale, place, flip, and change the light. Knows no files and no model.

Scenes are resized as inference resizes images (bilinear, the long side to the model's input), times a random factor:
the large-scale jitter of the SAM paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from napari_segany.engine.image import input_scale
from napari_segany.model.config import SamConfig
from napari_segany.training.config import TrainingConfig
from napari_segany.training.scene import Crop, Scene

# The padding that a model adds after normalisation has this colour before it (`Sam.preprocess`).
PADDING_COLOUR = (123.675, 116.28, 103.53)


def make_crop(
    scene: Scene,
    config: TrainingConfig,
    shape: SamConfig,
    rng: np.random.Generator,
    *,
    changed: bool = True,
    choice: np.random.Generator | None = None,
    magnified: float = 1.0,
) -> Crop:
    """Cut a random crop out of a scene and change it as training asks for.

    Parameters
    ----------
    scene : Scene
        The scene.
    config : TrainingConfig
        Says how large the crop is and what may be asked for.
    shape : SamConfig
        The model, which sets the scale without jitter.
    rng : numpy.random.Generator
        Source of all chance.
    changed : bool
        Whether scale, orientation and light are changed; otherwise the crop is what inference would see there.
    choice : numpy.random.Generator, optional
        Source of the choice of objects, where it is another one.
    magnified : float
        Factor on the scale of changed crops, before the jitter.
    """
    height, width = scene.image.shape[:2]
    scale = input_scale((height, width), shape.image_size, shape.enlargement_limit((height, width)))
    if changed:
        low, high = np.log(config.scale_jitter)
        scale *= magnified * float(np.exp(rng.uniform(low, high)))
    scales = (scale, scale)
    if changed and config.aspect_jitter:
        stretch = float(np.exp(rng.uniform(-config.aspect_jitter, config.aspect_jitter) / 2))
        scales = (scale * stretch, scale / stretch)
    window = _window(scene, config.crop_size, scales, rng)
    image, layers = _cut(scene, window, config.crop_size, scales)
    if changed:
        image, layers = _flip(image, layers, rng)
    masks = choose_masks(layers, config, choice or rng)
    if image.shape[2] == 1:
        image = np.repeat(image, 3, axis=2)
    changes_light = changed and (config.light_share == 1 or rng.random() < config.light_share)
    return Crop(change_light(image, rng) if changes_light else image, masks)


def choose_masks(
    layers: Sequence[NDArray[np.integer[Any]]], config: TrainingConfig, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return up to `masks_per_image` objects of the layers as (N, H, W), those of a permitted area."""
    candidates: list[tuple[int, int]] = []
    for number, labels in enumerate(layers):
        areas = np.bincount(labels.ravel())
        areas[0] = 0
        allowed = (areas >= config.min_object_area) & (areas <= config.max_object_share * labels.size)
        candidates += [(number, int(label)) for label in np.flatnonzero(allowed)]
    chosen = rng.permutation(len(candidates))[: config.masks_per_image]
    masks = [layers[candidates[index][0]] == candidates[index][1] for index in chosen]
    return np.stack(masks) if masks else np.zeros((0, *layers[0].shape), bool)


def change_light(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return an (H, W, 3) image of 0 to 255 as another microscope or camera might have taken it."""
    out = image / np.float32(255)
    if rng.random() < 0.15:
        out = 1 - out
    if rng.random() < 0.5:
        out = np.clip(out, 0, 1) ** np.float32(np.exp(rng.uniform(-0.6, 0.6)))
    if rng.random() < 0.35:
        mean = out.mean()
        out = (out - mean) * np.float32(np.exp(rng.uniform(-0.7, 0.5))) + mean + np.float32(rng.uniform(-0.15, 0.15))
    if rng.random() < 0.3:
        out = out * rng.uniform(0.75, 1.25, 3).astype(np.float32)
    if rng.random() < 0.1:
        out = np.repeat(out.mean(axis=2, keepdims=True), 3, axis=2)
    elif rng.random() < 0.1:
        out = _tint(out, rng)
    if rng.random() < 0.25:
        out = out * _uneven_light(out.shape[:2], rng)[..., None]
    if rng.random() < 0.2:
        sigma = rng.uniform(0.4, 1.6)
        out = ndimage.gaussian_filter(out, (sigma, sigma, 0), mode="nearest", truncate=3)
    if rng.random() < 0.3:
        out = _noise(out, rng)
    if rng.random() < 0.2:  # dark images: 8-bit microscopy that uses a fraction of its range
        out = out * np.float32(np.exp(rng.uniform(-2.3, -0.3)))
    return np.clip(out * 255, 0, 255).astype(np.float32)


def _window(scene: Scene, size: int, scales: tuple[float, float], rng: np.random.Generator) -> tuple[float, float]:
    """Return the (x, y) in the scene of a crop's corner: mostly around an object, inside where it fits."""
    height, width = scene.image.shape[:2]
    sides = size / np.array(scales)
    centre = rng.uniform(0, (width, height))
    layer = scene.layers[rng.integers(len(scene.layers))]
    if rng.random() < 0.8:
        for _ in range(20):
            row, col = int(rng.integers(height)), int(rng.integers(width))
            if layer[row, col]:
                centre = np.array([col, row]) + rng.uniform(-0.35, 0.35, 2) * sides
                break
    corner = np.clip(centre - sides / 2, 0, np.maximum(np.array([width, height]) - sides, 0))
    return float(corner[0]), float(corner[1])


def _cut(
    scene: Scene, corner: tuple[float, float], size: int, scales: tuple[float, float]
) -> tuple[NDArray[np.float32], list[NDArray[np.int32]]]:
    """Return the crop (S, S, C) and its label layers; padded below and to the right where the scene ends."""
    height, width = scene.image.shape[:2]
    (x, y), (across, down) = corner, scales
    box = (x, y, min(x + size / across, width), min(y + size / down, height))
    shape = (max(1, min(size, round((box[2] - x) * across))), max(1, min(size, round((box[3] - y) * down))))
    planes = np.atleast_3d(scene.image)
    cut = [
        np.asarray(
            Image.fromarray(planes[..., c].astype(np.float32)).resize(shape, Image.Resampling.BILINEAR, box=box)
        )
        for c in range(planes.shape[2])
    ]
    image = np.stack(cut, axis=2)
    layers = [
        np.asarray(Image.fromarray(layer.astype(np.int32)).resize(shape, Image.Resampling.NEAREST, box=box))
        for layer in scene.layers
    ]
    missing = ((0, size - shape[1]), (0, size - shape[0]))
    if any(after for _, after in missing):
        colour = np.array(PADDING_COLOUR, np.float32)
        padded = np.broadcast_to(colour, (size, size, 3)).copy()
        padded[: shape[1], : shape[0]] = image
        return padded, [np.pad(layer, missing) for layer in layers]
    return image, layers


def _flip(
    image: NDArray[np.float32], layers: list[NDArray[np.int32]], rng: np.random.Generator
) -> tuple[NDArray[np.float32], list[NDArray[np.int32]]]:
    turns, mirrored = int(rng.integers(4)), rng.random() < 0.5

    def turn(array: NDArray[Any]) -> NDArray[Any]:
        turned = np.rot90(array, turns)
        return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)

    return turn(image), [turn(layer) for layer in layers]


def _tint(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the image's brightness in one colour, as a single-channel image shown with a colour map."""
    colour = rng.uniform(0, 1, 3).astype(np.float32)
    return image.mean(axis=2, keepdims=True) * (colour / colour.max())


def _uneven_light(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a smooth (H, W) factor around 1."""
    rows, cols = np.linspace(-1, 1, shape[0])[:, None], np.linspace(-1, 1, shape[1])[None]
    slope = rng.uniform(-0.3, 0.3, 2)
    bowl = rng.uniform(-0.3, 0.1)
    return (1 + slope[0] * rows + slope[1] * cols + bowl * (rows**2 + cols**2)).astype(np.float32)


def _noise(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the image with noise that is grey or coloured, of a constant or of a brightness-dependent strength."""
    shape = image.shape if rng.random() < 0.5 else (*image.shape[:2], 1)
    noise = rng.standard_normal(shape, dtype=np.float32) * np.float32(rng.uniform(0.005, 0.08))
    return image + (noise if rng.random() < 0.5 else noise * np.sqrt(np.clip(image, 0, 1)) * 2)
