"""A large image whose objects are known, and a model that finds them in each tile: for tests of tiles."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import zarr
from skimage.measure import label, regionprops

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.candidates import run_lengths_in_box
from napari_segany.engine.large.job import ImageAtHand
from napari_segany.engine.large.run import ThisProcess, large_steps
from napari_segany.engine.progress import Progress, drain
from napari_segany.engine.tiling import TilingSettings
from napari_segany.formats.lazy_image import lazy_image
from napari_segany.formats.record import MaskRecord

SHAPE = (700, 900)
SIDE = 256
SETTINGS = AutomaticSettings(points_per_side=32, box_nms_thresh=0.7)


def thick(mask) -> bool:
    """Whether a square of five pixels fits in."""
    if min(mask.shape) < 5:
        return False
    rows = np.logical_and.reduce([mask[start : mask.shape[0] - 4 + start] for start in range(5)])
    return bool(np.logical_and.reduce([rows[:, start : rows.shape[1] - 4 + start] for start in range(5)]).any())


@dataclass
class Components:
    """Finds the connected pixels of each grey level in a tile, cut where the tile ends: perfect but for the tile."""

    seen: list[tuple[int, ...]] = field(default_factory=list)
    fails_at: int | None = None
    error: Exception = field(default_factory=lambda: MemoryError("no memory for this tile"))

    def steps(self, pixels, settings, contrast_limits):
        self.seen.append(pixels.shape)
        if self.fails_at == len(self.seen):
            raise self.error
        yield Progress(0, 1)
        records = []
        for region in regionprops(label(pixels, background=0, connectivity=1)):
            # Pixels between two greys, averaged at coarser levels, are thin.
            if region.area < 0.3 * pixels.size and thick(region.image):
                mask = run_lengths_in_box(region.image, region.bbox, pixels.shape)
                records.append(MaskRecord.from_mask(mask, predicted_iou=0.9, stability_score=0.9))
        return records


MODEL = SimpleNamespace(digest_steps=lambda: _digest())


def _digest():
    yield Progress(0, 1)
    return "components"


def true_labels() -> np.ndarray:
    """Labels of discs everywhere, a bar over several tiles, a ring across corners and one large disc."""
    rng = np.random.default_rng(3)
    labels, number = np.zeros(SHAPE, np.uint32), 0
    rows, cols = np.indices(SHAPE)

    def add(mask):
        nonlocal number
        if not labels[mask].any():
            number += 1
            labels[mask] = number

    add((np.abs(rows - 150) < 8) & (np.abs(cols - 450) < 330))
    add(np.abs(np.hypot(rows - 385, cols - 385) - 60) < 10)
    add(np.hypot(rows - 470, cols - 700) < 140)
    for _ in range(110):
        row, col = rng.uniform(0, SHAPE[0]), rng.uniform(0, SHAPE[1])
        add(np.hypot(rows - row, cols - col) <= rng.uniform(5, 14))
    return labels


def greys_of(truth: np.ndarray) -> np.ndarray:
    """An image in which each object has a grey level of its own."""
    return np.where(truth > 0, 40 + (truth * 37) % 200, 0).astype(np.uint8)


def run(image, folder, segment=None, **more):
    steps = large_steps(
        image if hasattr(image, "open") else ImageAtHand(lazy_image(image)), "big", folder, MODEL, SETTINGS,
        tiling=TilingSettings(side=SIDE), workers=ThisProcess(segment or Components()), **more,
    )  # fmt: skip
    return drain(steps)


def labels_of(result) -> np.ndarray:
    return zarr.open_group(result.labels, mode="r")["0"][:]
