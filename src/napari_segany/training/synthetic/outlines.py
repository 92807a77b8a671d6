"""Shapes of drawn objects as polygons, and polygons as windows of pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Outline = NDArray[np.float64]
Window = tuple[slice, slice]


def blob(radius: float, rng: np.random.Generator, *, roughness: float = 0.12, elongation: float = 1.5) -> Outline:
    """Return a closed outline (M, 2) in row, col around the origin: an ellipse with low-frequency bumps."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    r = np.ones_like(angle)
    for harmonic in range(2, 6):
        amplitude = roughness * rng.normal() / harmonic**0.5
        r += amplitude * np.cos(harmonic * angle + rng.uniform(0, 2 * np.pi))
    stretch = np.sqrt(rng.uniform(1, elongation))
    points = np.clip(r, 0.35, 1.8)[:, None] * np.stack([np.sin(angle) * stretch, np.cos(angle) / stretch], axis=1)
    return rotate(points * radius, rng.uniform(0, 2 * np.pi))


def polygon(radius: float, rng: np.random.Generator) -> Outline:
    """Return a triangle to octagon, a rectangle, a star or a blob of about this radius around the origin."""
    kind = rng.random()
    if kind < 0.25:
        half = radius * np.array([rng.uniform(0.4, 1), rng.uniform(0.6, 1.2)])
        points = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * half
        return rotate(points, rng.uniform(0, 2 * np.pi))
    if kind < 0.5:
        corners = int(rng.integers(3, 9))
        angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
        r = radius * rng.uniform(0.7, 1.2, corners)
        return r[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return blob(radius, rng, roughness=rng.uniform(0, 0.25), elongation=4)


def rotate(points: Outline, angle: float) -> Outline:
    """Return points (M, 2) turned around the origin."""
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, -sin], [sin, cos]])


def fill(outline: Outline, size: int) -> tuple[Window, NDArray[np.bool_]] | None:
    """Return the window of a (size, size) image that an outline covers, and its pixels; None if it is outside."""
    low = np.maximum(np.floor(outline.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 1, size)
    if (high <= low).any():
        return None
    canvas = Image.new("1", (int(high[1] - low[1]), int(high[0] - low[0])))
    ImageDraw.Draw(canvas).polygon([(float(col - low[1]), float(row - low[0])) for row, col in outline], fill=1)
    mask = np.array(canvas, dtype=bool)
    return ((slice(low[0], high[0]), slice(low[1], high[1])), mask) if mask.any() else None
