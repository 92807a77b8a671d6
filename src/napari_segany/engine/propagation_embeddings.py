"""The embeddings of a stack's slices, as propagation asks for them: computed when wanted, the last ones kept."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_segany.engine.cache_memory import MemoryCache
from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.image import checked_image, default_limits
from napari_segany.engine.progress import Progress, Steps

DEFAULT_MEMORY = 512 * 1024**2


class SliceEncoder(Protocol):
    """What is asked of `engine.predictor.Predictor`."""

    def encode_steps(
        self, image: ArrayLike, *, contrast_limits: tuple[float, float] | None = None
    ) -> Steps[ImageEmbedding]:
        """Return the embedding of an image."""


class StackEmbeddings:
    """An `EmbeddingProvider` for an array; slices are mapped to grey levels alike.

    Parameters
    ----------
    predictor : SliceEncoder
        The model; a cache that it has is used.
    stack : array_like
        (Z, H, W) or (Z, H, W, 3), any real type; slices are taken one by one, so it may be a lazy array.
    contrast_limits : (float, float), optional
        Intensities that become black and white; by default those of `stack_limits`.
    memory : int
        Bytes of embeddings to keep: a slice is asked for on the way forwards and on the way backwards.

    Raises
    ------
    ValueError
        For an array that is no stack.
    """

    def __init__(
        self,
        predictor: SliceEncoder,
        stack: NDArray[np.generic],
        contrast_limits: tuple[float, float] | None = None,
        memory: int = DEFAULT_MEMORY,
    ) -> None:
        check_stack(stack)
        self._predictor = predictor
        self._stack = stack
        self._limits = stack_limits(stack) if contrast_limits is None else contrast_limits
        self._kept: MemoryCache[int, ImageEmbedding] = MemoryCache(memory)

    def __call__(self, index: int) -> Steps[ImageEmbedding]:
        """Return the embedding of a slice."""
        known = self._kept.get(index)
        if known is not None:
            yield Progress(1, 1, "The image embedding is there")
            return known
        found = yield from self._predictor.encode_steps(self._stack[index], contrast_limits=self._limits)
        self._kept.put(index, found)
        return found


def check_stack(stack: NDArray[np.generic]) -> tuple[int, int, int]:
    """Return (Z, H, W) of a stack.

    Raises
    ------
    ValueError
        For an array of another form.
    """
    is_coloured = stack.ndim > 2 and stack.shape[-1] in (3, 4)
    if stack.ndim != (4 if is_coloured else 3) or 0 in stack.shape:
        raise ValueError(
            f"the stack has the shape {tuple(stack.shape)}; allowed are (slices, rows, columns), and one more "
            "axis of 3 or 4 for colours. Choose one channel or time point, as `segany propagate --plane c=1` does"
        )
    slices, rows, cols = stack.shape[:3]
    return slices, rows, cols


def stack_limits(stack: NDArray[np.generic]) -> tuple[float, float]:
    """Return one pair of intensities that become black and white on all slices; see `engine.image.default_limits`."""
    check_stack(stack)
    rows = np.asarray(stack).reshape(stack.shape[0] * stack.shape[1], *stack.shape[2:])
    return default_limits(checked_image(rows))
