"""Embeddings that are looked up before they are computed, and kept afterwards: memory over disk, a prepared folder.

What is kept is in half precision, and what a cache on the disk returns is so from the first time on: the answers do
not change when the image is closed and opened again.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_segany.engine.cache_disk import DiskCache
from napari_segany.engine.cache_entry import CacheEntry, DamagedEntryError
from napari_segany.engine.cache_key import CacheKey, Limits, Region, checked_region, image_digest_steps
from napari_segany.engine.cache_memory import MemoryCache
from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.image import checked_image, checked_limits, default_limits
from napari_segany.engine.progress import Progress, Steps


class DamagedCacheWarning(RuntimeWarning):
    """A cached embedding was damaged and is computed again."""


class CacheNotWrittenWarning(RuntimeWarning):
    """An embedding could not be kept; the work goes on without it."""


class Encoder(Protocol):
    """What the cache asks of `engine.predictor.Predictor`."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def device(self) -> torch.device:
        """Where the model is."""

    @property
    def accepted_precisions(self) -> tuple[str, ...]:
        """Precisions of embeddings that it takes where they are kept, in the order in which they are looked for."""

    def digest_steps(self) -> Steps[str]:
        """Return a digest of the model's shape, of every weight, and of its precision."""

    def compute_steps(
        self, image: ArrayLike, *, contrast_limits: tuple[float, float] | None = None
    ) -> Steps[ImageEmbedding]:
        """Compute an embedding, whatever is cached."""


@dataclass(frozen=True)
class LayeredCache:
    """The places, in the order in which they are asked.

    Attributes
    ----------
    memory : MemoryCache or None
        Embeddings used last.
    prepared : DiskCache or None
        A folder that `segany embed` made; only read.
    disk : DiskCache or None
        The cache on the disk.
    """

    memory: MemoryCache[CacheKey, ImageEmbedding] | None = None
    prepared: DiskCache | None = None
    disk: DiskCache | None = None

    def encode_steps(
        self,
        encoder: Encoder,
        image: ArrayLike,
        *,
        contrast_limits: tuple[float, float] | None = None,
        region: Region | None = None,
    ) -> Steps[ImageEmbedding]:
        """Return the embedding of an image or a part of it, computed if it is in none of the places.

        Parameters
        ----------
        encoder : Encoder
            The model.
        image : array_like
            (H, W), (H, W, 3) or (H, W, 4), any real type.
        contrast_limits : (float, float), optional
            Intensities that become black and white; by default those of the whole image, also for a part of it.
        region : (int, int, int, int), optional
            The part to encode, (row_min, col_min, row_max, col_max); all of the image where not given.

        Yields
        ------
        Progress
            Rows that are hashed, then blocks of the image encoder where it is computed.

        Returns
        -------
        ImageEmbedding
            Of the part, on the encoder's device; its positions begin at the upper left corner of the part.

        Raises
        ------
        ValueError
            For an array that is no image, limits that do not increase, or a region outside of the image.
        """
        key, pixels = yield from key_steps(encoder, image, contrast_limits, region)
        yield Progress(0, 0, "Looking for the image embedding")
        keys = [key.in_precision(precision) for precision in encoder.accepted_precisions]
        known, damage = self._found(encoder, keys)
        for error in damage:
            warnings.warn(f"{error}; it is computed again", DamagedCacheWarning, stacklevel=2)
        if known is not None:
            return known
        if damage:
            yield Progress(0, 0, "A cached embedding is damaged: computing it again")
        found = yield from encoder.compute_steps(pixels, contrast_limits=key.contrast_limits)
        if self.disk is not None:
            entry = CacheEntry.of(found)
            yield Progress(0, 0, "Keeping the image embedding")
            self._keep(self.disk, key.in_precision(found.precision), entry)
            found = entry.embedding(encoder.device)
        if self.memory is not None:
            self.memory.put(key.in_precision(found.precision), found)
        return found

    def known_steps(
        self,
        encoder: Encoder,
        image: ArrayLike,
        *,
        contrast_limits: tuple[float, float] | None = None,
        region: Region | None = None,
    ) -> Steps[ImageEmbedding | None]:
        """Return the embedding of an image or a part of it if one of the places has it, else None: none is computed.

        A damaged one counts as none. See `encode_steps` for the parameters and the errors.
        """
        key, _ = yield from key_steps(encoder, image, contrast_limits, region)
        yield Progress(0, 0, "Looking for the image embedding")
        return self._found(encoder, [key.in_precision(precision) for precision in encoder.accepted_precisions])[0]

    def _found(
        self, encoder: Encoder, keys: Sequence[CacheKey]
    ) -> tuple[ImageEmbedding | None, list[DamagedEntryError]]:
        """Return the first of these that the places hold, and what is damaged of it."""
        for key in keys:
            known = None if self.memory is None else self.memory.get(key)
            if known is not None:
                return replace(known.to(encoder.device), model_name=encoder.name), []
        damage: list[DamagedEntryError] = []
        for place, key in product((self.prepared, self.disk), keys):
            try:
                entry = None if place is None else place.get(key)
            except DamagedEntryError as error:
                damage.append(error)
                continue
            if entry is not None:
                found = entry.named(encoder.name).embedding(encoder.device)
                if self.memory is not None:
                    self.memory.put(key.in_precision(found.precision), found)
                return found, damage
        return None, damage

    def _keep(self, disk: DiskCache, key: CacheKey, entry: CacheEntry) -> None:
        try:
            disk.put(key, entry)
        except OSError as error:
            reason = error.strerror or str(error)
            warnings.warn(
                f"the image embedding could not be kept in {disk.folder} ({reason}); the work goes on without",
                CacheNotWrittenWarning,
                stacklevel=2,
            )


def key_steps(
    encoder: Encoder, image: ArrayLike, contrast_limits: Limits | None = None, region: Region | None = None
) -> Steps[tuple[CacheKey, NDArray[np.generic]]]:
    """Return what an embedding is found by, and the pixels to compute it from; see `LayeredCache.encode_steps`."""
    whole = checked_image(image)
    limits = default_limits(whole) if contrast_limits is None else checked_limits(contrast_limits)
    part = checked_region(region, (whole.shape[0], whole.shape[1]))
    model = yield from encoder.digest_steps()
    digest = yield from image_digest_steps(whole)
    pixels = whole if part is None else whole[part[0] : part[2], part[1] : part[3]]
    return CacheKey(digest, limits, part, model), pixels
