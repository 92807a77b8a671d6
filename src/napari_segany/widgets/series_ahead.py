"""Reads the next images of a series and computes their embeddings while nothing else is to do. Knows no Qt.

It makes way for the shown image: what it has begun waits, half done, and is gone on with afterwards.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.tiling import is_large
from napari_segany.formats.image_file import read_array
from napari_segany.widgets.embedder import AnyPredictor, Embedder, EmbeddingState
from napari_segany.widgets.embedding_cache import EmbeddingKey
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.layers import intensity_limits, spatial_shape
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.session_files import FILE_KEY
from napari_segany.widgets.work_ahead import Piece, WorkAhead

if TYPE_CHECKING:  # which brings torch
    from napari_segany.engine.embedding import ImageEmbedding

_FLAT = Plane((0, 1), ())


class ImagesAhead:
    """Keeps the next images ready as layers that no viewer has yet.

    Parameters
    ----------
    runner : Runner
        Runs the work.
    embedder : Embedder
        Has the model and keeps the embeddings.
    """

    def __init__(self, runner: Runner, embedder: Embedder) -> None:
        self._embedder = embedder
        self._paths: tuple[Path, ...] = ()
        self._layers: dict[Path, Image] = {}
        self._failed: set[Path] = set()
        self._work = WorkAhead(runner, self._may_work, self._next)
        embedder.state_changed.connect(self._embedder_moved)

    def want(self, paths: tuple[Path, ...]) -> None:
        """Make these ready, in their order; what is ready of others is dropped."""
        self._paths = paths
        self._failed.clear()
        for path in [one for one in self._layers if one not in paths]:
            self._embedder.cache.forget_image(self._layers.pop(path).unique_id)
        self._work.look_again()

    def take(self, path: Path) -> Image | None:
        """Return the layer of an image, which is the caller's from now on; None where it is not ready."""
        self._paths = tuple(one for one in self._paths if one != path)
        return self._layers.pop(path, None)

    def is_ready(self, path: Path) -> bool:
        """Whether a click on the image would be answered at once."""
        layer = self._layers.get(path)
        key = None if layer is None else self._key(layer)
        return key is not None and key in self._embedder.cache

    def close(self) -> None:
        """Stop for good."""
        self._embedder.state_changed.disconnect(self._embedder_moved)
        self._paths, self._layers = (), {}
        self._work.close()

    def _embedder_moved(self, state: EmbeddingState) -> None:
        if state.phase in ("working", "ready"):
            self._work.look_again()

    def _may_work(self) -> bool:
        return self._embedder.state.phase == "ready" and self._embedder.predictor is not None

    def _next(self) -> Piece | None:
        for path in self._paths:
            if path in self._failed:
                continue
            give_up = partial(self._give_up, path)
            layer = self._layers.get(path)
            if layer is None:
                return Piece("Reading the next images", reading_steps(path), partial(self._read, path), give_up)
            key, predictor = self._key(layer), self._embedder.predictor
            if key is None or predictor is None or key in self._embedder.cache:
                continue
            begin = partial(_encoding_steps, predictor, layer, key)
            work = self._work.half_done(key, begin, partial(self._embedder.cache.keeper(key.image), key))
            return Piece("Computing embeddings ahead", work.steps(), failed=give_up)
        return None

    def _read(self, path: Path, pixels: NDArray[np.generic]) -> None:
        if path in self._paths:
            self._layers[path] = layer_of(path, pixels)

    def _give_up(self, path: Path, error: Exception) -> None:
        """Leave an image alone that cannot be read: it is told when it is opened."""
        self._failed.add(path)

    def _key(self, layer: Image) -> EmbeddingKey | None:
        """Return the key of a flat image's embedding; of a stack nobody knows yet which slice is wanted."""
        if layer.ndim != 2 or is_large(_FLAT.shape_in(spatial_shape(layer))):
            return None
        return self._embedder.key(layer.unique_id, _FLAT, intensity_limits(layer))


def layer_of(path: Path, pixels: NDArray[np.generic]) -> Image:
    """Return the layer of an image file, as it is shown."""
    rgb = pixels.ndim >= 3 and pixels.shape[-1] in (3, 4)
    return Image(pixels, name=path.stem, rgb=rgb, metadata={FILE_KEY: str(path)})


def reading_steps(path: Path) -> Steps[NDArray[np.generic]]:
    """Read an image file in the background."""
    yield Progress(0, 0, f"Reading {path.name}")
    return read_array(path)


def _encoding_steps(predictor: AnyPredictor, layer: Image, key: EmbeddingKey) -> Steps[ImageEmbedding]:
    return (yield from predictor.encode_steps(np.asarray(layer.data), contrast_limits=key.contrast_limits))
