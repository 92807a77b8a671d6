"""Embeddings of the planes seen last, up to a number of bytes. Knows no napari and no Qt."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_segany.widgets.geometry import Plane

if TYPE_CHECKING:  # the engine's embedding brings torch, which takes seconds to import
    from napari_segany.engine.embedding import ImageEmbedding


@dataclass(frozen=True)
class EmbeddingKey:
    """What an embedding depends on: if one of these changes, it must be computed again.

    Attributes
    ----------
    image : str
        Unique id of the image layer.
    plane : Plane
        The plane of the image.
    contrast_limits : tuple of float, optional
        Intensities shown as black and white; None for RGB.
    model, device : str
        What computes it.
    """

    image: str
    plane: Plane
    contrast_limits: tuple[float, float] | None
    model: str
    device: str


class EmbeddingCache:
    """Keeps the embeddings used last; the newest one always, whatever its size.

    Parameters
    ----------
    limit : int
        Bytes of features to keep.
    """

    def __init__(self, limit: int) -> None:
        if limit < 0:
            raise ValueError(f"the limit of the embedding cache is {limit} bytes; give 0 or more")
        self.limit = limit
        self._kept: OrderedDict[EmbeddingKey, ImageEmbedding] = OrderedDict()

    def __contains__(self, key: EmbeddingKey) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(embedding.nbytes for embedding in self._kept.values())

    def get(self, key: EmbeddingKey) -> ImageEmbedding | None:
        """Return an embedding, which thereby becomes the one used last, or None."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, key: EmbeddingKey, embedding: ImageEmbedding) -> None:
        """Keep an embedding and drop those not used for longest that no longer fit."""
        self._kept[key] = embedding
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and self.nbytes > self.limit:
            self._kept.popitem(last=False)

    def forget_image(self, image: str) -> None:
        """Drop all embeddings of an image layer."""
        for key in [key for key in self._kept if key.image == image]:
            del self._kept[key]

    def clear(self) -> None:
        """Drop everything."""
        self._kept.clear()
