"""What a model makes of an image of any size: one embedding, or of a large one windows, encoded when asked."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.tiled_embedding import TiledEmbedding
from napari_segany.engine.tiling import model_side, tile_plan
from napari_segany.formats.lazy_image import LazyImage


def encoding_steps(predictor: Any, image: ArrayLike | LazyImage, limits: tuple[float, float] | None) -> Steps[Any]:
    """Return the embedding of an image; of a `LazyImage` a value that encodes a window when it is asked."""
    if isinstance(image, LazyImage):
        yield Progress(0, 0, "Looking at the image")
        prepared = getattr(getattr(predictor, "cache", None), "prepared", None) is not None
        return TiledEmbedding(image, tile_plan(image.shape, model_side(predictor)), limits, prepared=prepared)
    return (yield from predictor.encode_steps(image, contrast_limits=limits))
