"""Smooth and rough noise, and colours, for drawn scenes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def smooth_noise(size: int, cell: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return (size, size) noise of mean 0 and standard deviation 1 whose grains are about `cell` pixels."""
    coarse = max(2, round(size / cell) + 1)
    grid = rng.standard_normal((coarse, coarse), dtype=np.float32)
    noise = np.asarray(Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC))
    return (noise - noise.mean()) / max(float(noise.std()), 1e-6)


def texture(size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return (size, size) noise of mean 0 and standard deviation 1 with grains of several sizes, or stripes."""
    if rng.random() < 0.15:
        return _stripes(size, rng)
    cells = np.exp(rng.uniform(np.log(1.5), np.log(size / 3), 3))
    weights = rng.dirichlet(np.ones(3))
    noise = sum(weight * smooth_noise(size, cell, rng) for weight, cell in zip(weights, cells, strict=True))
    noise = np.asarray(noise, np.float32)
    return (noise - noise.mean()) / max(float(noise.std()), 1e-6)


def coloured_texture(size: int, rng: np.random.Generator, *, grey: bool) -> NDArray[np.float32]:
    """Return a (size, size, 3) texture in 0..1 around one random colour."""
    colour = rng.uniform(0.05, 0.95, 3)
    if grey or rng.random() < 0.3:
        colour[:] = colour.mean()
    contrast = rng.choice([0.02, 0.06, 0.12]) * rng.uniform(0.5, 1.5)
    variation = texture(size, rng)[..., None] * (contrast * rng.uniform(0.7, 1.3, 3))
    if grey:
        variation = variation[..., :1]
    return np.clip(colour + variation, 0, 1).astype(np.float32)


def _stripes(size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    angle, period = rng.uniform(0, np.pi), rng.uniform(4, size / 6)
    rows, cols = np.mgrid[:size, :size].astype(np.float32)
    phase = (np.cos(angle) * rows + np.sin(angle) * cols) * (2 * np.pi / period)
    return np.sqrt(2) * np.sin(phase + smooth_noise(size, size / 4, rng) * rng.uniform(0, 1.5)).astype(np.float32)
