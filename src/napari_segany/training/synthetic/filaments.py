"""Curved threads, rods and fibres: thin objects, bright or dark, some crossing."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from napari_segany.training.scene import Scene
from napari_segany.training.synthetic.textures import texture


def filaments(size: int, rng: np.random.Generator) -> Scene:
    """Draw threads (long) or rods (short, as bacteria are) on a textured ground."""
    rods = rng.random() < 0.6
    canvas = Image.new("I", (size, size))
    draw = ImageDraw.Draw(canvas)
    width = rng.uniform(4, 14) if rods else rng.uniform(3, 8)
    for label in range(1, int(rng.integers(4, 40 if rods else 12))):
        length = width * rng.uniform(1.5, 6) if rods else rng.uniform(0.3, 1.2) * size
        points = _curve(length, rng.uniform(0, 0.03 if rods else 0.15), size, rng)
        draw.line([(float(x), float(y)) for x, y in points], fill=label, width=round(width), joint="curve")
        for x, y in (points[0], points[-1]):
            half = width / 2
            draw.ellipse((x - half, y - half, x + half, y + half), fill=label)
    labels = np.array(canvas, dtype=np.int32)
    level, contrast = rng.uniform(0.1, 0.9), rng.uniform(0.12, 0.5)
    polarity = 1 if level < 0.5 else -1
    gain = np.concatenate([[0], rng.uniform(0.6, 1.2, int(labels.max()))])
    image = level + polarity * contrast * gain[labels] * (1 + 0.15 * texture(size, rng))
    image = ndimage.gaussian_filter(image, rng.uniform(0.4, 1.4))
    image += texture(size, rng) * rng.uniform(0.005, 0.06) + rng.normal(0, rng.uniform(0.003, 0.04), image.shape)
    return Scene(np.clip(image * 255, 0, 255).astype(np.float32), (labels,))


def _curve(length: float, bend: float, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return (M, 2) points of a curve whose direction drifts by `bend` radians a pixel at most."""
    steps = max(2, int(length / 3))
    turns = np.cumsum(rng.normal(0, bend, steps)) * 1.5
    heading = rng.uniform(0, 2 * np.pi) + turns
    path = np.cumsum(3 * np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0)
    return path - path.mean(axis=0) + rng.uniform(0, size, 2)
