"""Images of discs, and a predictor that finds them as a perfectly trained model would, without weights.

Every grey level is an object: a click answers with the connected pixels that are at least as bright as the clicked
one, and with those at the next two darker levels (the objects around it). The brightness, from 0 to 250, is the
predicted IoU. Everything else (prompts, upsampling, crops, filtering) is the engine's own.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from scipy.ndimage import label
from skimage.transform import resize

from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.progress import Progress

SIDE = 128  # of the low-resolution logits
LEVELS = 250.0


def disc_image(shape, discs) -> np.ndarray:
    """Return uint8 (H, W) with discs (row, col, radius, level), later ones over earlier ones."""
    image = np.zeros(shape, np.uint8)
    for row, col, radius, level in discs:
        image[disc_mask(shape, row, col, radius)] = level
    return image


def disc_mask(shape, row, col, radius) -> np.ndarray:
    rows, cols = np.indices(shape)
    return np.hypot(rows - row, cols - col) <= radius


@dataclass
class DiscFinder:
    """A predictor for such images; can be held while it decodes."""

    name: str = "discs"
    held: bool = False
    encoded: list[tuple[int, ...]] = field(default_factory=list)
    limits: list[Any] = field(default_factory=list)
    calls: int = 0
    begun: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    failure: Exception | None = None
    last: Any = None

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def sam(self):
        return SimpleNamespace(mask_threshold=0.0, decode=self.decode, config=SimpleNamespace(image_size=4 * SIDE))

    def encode_steps(self, image, *, contrast_limits=None):
        yield Progress(1, 2, "Computing the image embedding")
        if self.failure is not None:
            raise self.failure
        image = np.asarray(image)
        grey = image.astype(np.float32) if image.ndim == 2 else image[..., :3].mean(axis=2, dtype=np.float32)
        scale = SIDE / max(grey.shape)
        small = [max(1, round(scale * side)) for side in grey.shape]
        pixels = np.zeros((SIDE, SIDE), np.float32)
        pixels[: small[0], : small[1]] = resize(grey, small, order=0, preserve_range=True, anti_aliasing=False)
        features = torch.nn.functional.pixel_unshuffle(torch.from_numpy(pixels)[None, None], 4)
        self.encoded.append(image.shape)
        self.limits.append(contrast_limits)
        limits = (0.0, 255.0) if contrast_limits is None else tuple(float(limit) for limit in contrast_limits)
        return ImageEmbedding(features, (), grey.shape, (4 * small[0], 4 * small[1]), limits, self.name)

    def decode(self, features, *, points, labels, multimask):
        self.calls += 1
        self.begun.set()
        while self.held and not self.released.is_set():
            time.sleep(0.002)
        pixels, parts = self._seen(features.embedding)
        answers = [_answer(pixels, parts, point.numpy()) for point in points[:, 0]]
        logits, scores = zip(*answers, strict=True)
        return torch.from_numpy(np.stack(logits)), torch.from_numpy(np.stack(scores))

    def _seen(self, embedding):
        """Return the pixels of an image, and its connected parts at each level; kept for the next question."""
        if self.last is None or self.last[0] is not embedding:
            pixels = torch.nn.functional.pixel_shuffle(embedding, 4)[0, 0].numpy()
            parts = {float(level): label(pixels >= level)[0] for level in {0.0, *np.unique(pixels).tolist()}}
            self.last = embedding, pixels, parts
        return self.last[1:]


def _answer(pixels, parts, point) -> tuple[np.ndarray, np.ndarray]:
    col, row = (min(round(float(value) / 4), SIDE - 1) for value in point)
    levels = sorted((level for level in parts if level <= pixels[row, col]), reverse=True)[:3]
    levels += [0.0] * (3 - len(levels))
    masks = [np.where(parts[level] == parts[level][row, col], 8.0, -8.0) for level in levels]
    return np.asarray(masks, np.float32), np.asarray(levels, np.float32) / np.float32(LEVELS)
