"""Embeddings of the planes seen last, up to a number of bytes. Knows no napari and no Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from napari_segany.engine.cache_memory import MemoryCache
from napari_segany.engine.encoding import AnyEmbedding
from napari_segany.widgets.geometry import Plane


@dataclass(frozen=True)
class EmbeddingKey:
    """What an embedding depends on, as a viewer sees it: nothing is read or hashed to find it again.

    The engine's `CacheKey`, by the pixels themselves, finds it when this one has changed: in another layer, or after
    the image was opened again.

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


Embedded = TypeVar("Embedded", bound=AnyEmbedding)


class EmbeddingCache(MemoryCache[EmbeddingKey, Embedded]):
    """Keeps the embeddings (`engine.embedding`, which brings torch) used last; the newest one always.

    Parameters
    ----------
    limit : int
        Bytes of features to keep.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._data_of: dict[str, object] = {}

    def forget_image(self, image: str) -> None:
        """Drop all embeddings of an image layer, those too that are being computed: they are of other data."""
        with self._lock:
            self._data_of.pop(image, None)
        self.drop_where(lambda key: key.image == image)

    def keeper(self, image: str) -> Callable[[EmbeddingKey, Embedded], None]:
        """Return what keeps embeddings of an image as it is now: nothing, once the image is forgotten."""
        with self._lock:
            data = self._data_of.setdefault(image, object())

        def keep(key: EmbeddingKey, embedding: Embedded) -> None:
            self.put_if(key, embedding, lambda: self._data_of.get(image) is data)

        return keep
