"""How long segmenting everything will take: the questions counted, and the model timed on a few of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from numpy.typing import ArrayLike

from napari_segany.engine.automatic import AutomaticMaskGenerator
from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.crops import Allowed, crops_of, points_of
from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Steps

_POINTS_ON_CPU = 8


@dataclass(frozen=True)
class Questions:
    """How much is asked of one image: points, and crops that must be encoded for them."""

    points: int
    crops: int


@dataclass(frozen=True)
class Speed:
    """What was measured: seconds to encode one crop, and to ask one point and measure its masks."""

    encode_s: float
    point_s: float

    def seconds(self, questions: Questions, *, encoded: int = 0) -> float:
        """Return how long the questions take when `encoded` of the crops have their embedding already."""
        return max(questions.crops - encoded, 0) * self.encode_s + questions.points * self.point_s


def count_questions(
    image_shape: tuple[int, int], settings: AutomaticSettings, allowed: Allowed | None = None
) -> Questions:
    """Count what `AutomaticMaskGenerator` will ask of an image.

    Parameters
    ----------
    image_shape : (int, int)
        (H, W) of the image, in pixels.
    settings : AutomaticSettings
        The grid and the crops.
    allowed : numpy.ndarray or callable, optional
        (H, W) bool, or what tells which of (N, 2) pixels (row, col) are allowed: points on others are not asked.
    """
    crops = crops_of(image_shape, settings.crop_n_layers, settings.crop_overlap_ratio)
    counts = [len(points_of(crop, settings, allowed)) for crop in crops]
    return Questions(sum(counts), sum(count > 0 for count in counts))


def point_seconds_steps(
    predictor: Predictor,
    image: ArrayLike,
    embedding: ImageEmbedding,
    settings: AutomaticSettings,
    clock: Callable[[], float] = time.perf_counter,
) -> Steps[float]:
    """Ask a few points of an image and return the seconds that one takes, the first call left out.

    Parameters
    ----------
    predictor : Predictor
        The model.
    image : array_like
        The image, (H, W) or (H, W, C).
    embedding : ImageEmbedding
        Its embedding.
    settings : AutomaticSettings
        Says how many points go through the decoder at once.
    clock : callable
        Returns the time in seconds.
    """
    count = _POINTS_ON_CPU if predictor.device.type == "cpu" else settings.points_per_batch
    for points in (1, count):
        grid = _spread(points)
        generator = AutomaticMaskGenerator(predictor, points_per_batch=settings.points_per_batch, point_grids=(grid,))
        begin = clock()
        yield from generator.candidate_steps(image, contrast_limits=embedding.contrast_limits, embedding=embedding)
        seconds = clock() - begin
    return seconds / count


def _spread(count: int) -> tuple[tuple[float, float], ...]:
    """Return positions (row, col), as fractions, spread over an image."""
    side = math.ceil(math.sqrt(count))
    return tuple(((index // side + 0.5) / side, (index % side + 0.5) / side) for index in range(count))
