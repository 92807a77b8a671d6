"""The embeddings of a stack's slices as a session has them: from its cache, or computed and kept there. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from napari.layers import Image

from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.tiled_embedding import TiledEmbedding
from napari_segany.engine.tiling import is_large
from napari_segany.widgets.embedder import Embedder
from napari_segany.widgets.layers import full_resolution, intensity_limits, read_plane, spatial_shape
from napari_segany.widgets.stack_line import StackLine

if TYPE_CHECKING:  # which brings torch
    from napari_segany.engine.embedding import ImageEmbedding


def slice_embeddings(embedder: Embedder, image: Image, line: StackLine) -> Callable[[int], Steps[ImageEmbedding]]:
    """Return what gives the embedding of a slice, to be called in the background.

    It goes on with the model, the device and the contrast of now, whatever is chosen meanwhile. Large slices are
    encoded as a whole; of those the cache holds windows.
    """
    predictor, data, limits = embedder.predictor, full_resolution(image), intensity_limits(image)
    first = embedder.key(image.unique_id, line.first, limits)
    keep = embedder.cache.keeper(image.unique_id)
    is_windowed = is_large(line.first.shape_in(spatial_shape(image)))

    def embedding(place: int) -> Steps[ImageEmbedding]:
        key = replace(first, plane=line.plane(place))
        known = embedder.cache.get(key)
        if known is not None and not isinstance(known, TiledEmbedding):
            yield Progress(1, 1, "The image embedding is there")
            return known
        if predictor is None:
            raise ValueError("the model is not loaded; choose one")
        found = yield from predictor.encode_steps(read_plane(data, key.plane), contrast_limits=limits)
        if not is_windowed:
            keep(key, found)
        return found

    return embedding
