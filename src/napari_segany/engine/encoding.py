"""What a model makes of an image of any size: one embedding, or of a large one windows, encoded when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.tiled_embedding import TiledEmbedding, WindowPredictor, image_limits
from napari_segany.engine.tiling import TilePlan, model_side, tile_plan
from napari_segany.formats.lazy_image import LazyImage

if TYPE_CHECKING:  # it brings torch, which takes seconds to import
    from napari_segany.engine.cache_prepared import Preparation
    from napari_segany.engine.embedding import ImageEmbedding

AnyEmbedding: TypeAlias = "ImageEmbedding | TiledEmbedding"
"""What is asked about an image of any size; a large one has a `TiledEmbedding`, which is asked in its windows."""


def encoding_steps(
    predictor: WindowPredictor,
    image: ArrayLike | LazyImage,
    limits: tuple[float, float] | None,
    prepared: Preparation | None = None,
) -> Steps[AnyEmbedding]:
    """Return the embedding of an image; of a `LazyImage` a value that encodes a window when it is asked.

    `prepared` is what the folder of prepared embeddings is known to hold of the image; else it is looked for there.
    """
    if isinstance(image, LazyImage):
        yield Progress(0, 0, "Looking at the image")
        plan = tile_plan(image.shape, model_side(predictor))
        if limits is None:
            limits = image_limits(image)
        if prepared is None:
            prepared = yield from _prepared_steps(predictor, image, plan, limits)
        return TiledEmbedding(image, plan, limits, prepared=prepared)
    return (yield from predictor.encode_steps(image, contrast_limits=limits))


def unprepared_steps(predictor: Any, image: ArrayLike | LazyImage, limits: tuple[float, float] | None) -> Steps[str]:
    """Return why the folder of prepared embeddings does not serve an image, as a sentence; "" where nothing is amiss.

    Of a large image the value that `encoding_steps` returns knows it.
    """
    folder = getattr(getattr(predictor, "cache", None), "prepared", None)
    if folder is None or isinstance(image, LazyImage):
        return ""
    from napari_segany.engine.cache_prepared import image_preparation_steps

    return (yield from image_preparation_steps(folder, predictor, np.asarray(image), limits)).reason


def _prepared_steps(
    predictor: Any, image: LazyImage, plan: TilePlan, limits: tuple[float, float]
) -> Steps[Preparation | None]:
    """Return what the folder of prepared embeddings holds of an image; None without such a folder."""
    folder = getattr(getattr(predictor, "cache", None), "prepared", None)
    if folder is None:
        return None
    from napari_segany.engine.cache_prepared import window_preparation_steps

    return (yield from window_preparation_steps(folder, predictor, image, plan, limits))
