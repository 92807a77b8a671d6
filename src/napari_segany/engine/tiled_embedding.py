"""One large image that can be clicked on: windows are encoded when a prompt needs them, and kept.

A prompt well inside of a window that is there already is answered from it, one near its edge from a window around the
prompt. An answer that the window cuts is asked again around the object, then at coarser levels until it is whole.
Knows no user interface; of the model only what `WindowPredictor` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_segany.engine.cache_memory import MemoryCache
from napari_segany.engine.image import checked_image, checked_limits, default_limits
from napari_segany.engine.prediction import Prediction
from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.engine.tiled_prediction import ReadyWindow, Refinement, TiledPrediction
from napari_segany.engine.tiled_prompt import TiledPrompt
from napari_segany.engine.tiling import Extent, TilePlan, Window
from napari_segany.formats.lazy_image import LazyImage, enlarged
from napari_segany.formats.window_mask import WindowMask

if TYPE_CHECKING:  # both bring torch
    from napari_segany.engine.cache_prepared import Preparation
    from napari_segany.engine.embedding import ImageEmbedding

DEFAULT_MEMORY = 512 * 1024**2

_AHEAD = 0.8  # part of the memory that may be filled before anybody asks
_INSIDE = 0.25  # of a window's side: how far from its edges a prompt lies well inside one that is to be encoded
_KEPT_INSIDE = 1 / 16  # the same for a prompt that refines the last answer
_TOUCHING = 2  # reduced pixels from an edge within which a mask counts as cut by it


class WindowPredictor(Protocol):
    """What is asked of `engine.predictor.Predictor`."""

    def encode_steps(
        self, image: ArrayLike, *, contrast_limits: tuple[float, float] | None = None
    ) -> Steps[ImageEmbedding]:
        """Compute the embedding of a window."""

    def predict(
        self,
        embedding: ImageEmbedding,
        *,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        multimask: bool | None = None,
    ) -> Prediction:
        """Answer prompts in pixels of the window."""


@runtime_checkable
class RememberingPredictor(Protocol):
    """A predictor that can tell what it need not encode, as `engine.predictor.Predictor` can."""

    @property
    def cache(self) -> object | None:
        """Where it looks; None for nowhere."""

    def known_steps(
        self, image: ArrayLike, *, contrast_limits: tuple[float, float] | None = None
    ) -> Steps[ImageEmbedding | None]:
        """Return the embedding of a window if it is kept somewhere, else None."""


class TiledEmbedding:
    """The windows of one image for one model and one intensity mapping. May be used from any thread.

    Parameters
    ----------
    image : LazyImage
        The image.
    plan : TilePlan
        How it is cut.
    contrast_limits : (float, float), optional
        Intensities that become black and white in all windows; by default those of a sample of the whole image.
    memory : int
        Bytes of embeddings to keep.
    prepared : Preparation, optional
        What there is of the windows of the grid in advance. Where it fits, one of them is better than one around a
        prompt.

    Attributes
    ----------
    contrast_limits : tuple of float
        The one intensity mapping.
    prepared : Preparation or None
        As given.
    answered : Window or None
        Where the last answer came from.
    rounding_error : float
        What keeping windows in half precision took from any of them at most, relative.
    """

    def __init__(
        self,
        image: LazyImage,
        plan: TilePlan,
        contrast_limits: tuple[float, float] | None = None,
        *,
        memory: int = DEFAULT_MEMORY,
        prepared: Preparation | None = None,
    ) -> None:
        self.image, self.plan, self.prepared = image, plan, prepared
        self.contrast_limits = image_limits(image) if contrast_limits is None else checked_limits(contrast_limits)
        self.nbytes = memory
        self._kept: MemoryCache[Window, ImageEmbedding] = MemoryCache(memory)
        self._order: list[Window] = []
        self._largest = 0
        self._not_found: set[Window] = set()
        self.answered: Window | None = None
        self.rounding_error = 0.0

    @property
    def image_shape(self) -> tuple[int, int]:
        """(H, W) of the image."""
        return self.image.shape

    @property
    def ready(self) -> tuple[Window, ...]:
        """The windows that answer at once, in the order in which they were encoded."""
        return tuple(window for window in self._order if window in self._kept)

    @property
    def room(self) -> int | None:
        """How many windows may be there without being asked for; None while nobody knows how large one is."""
        return int(_AHEAD * self.nbytes / self._largest) if self._largest else None

    def may_be_kept(self, window: Window) -> bool:
        """Tell whether a window is worth a look: it is not there, and no look has been in vain."""
        return window not in self._kept and window not in self._not_found

    def known_steps(self, predictor: RememberingPredictor, windows: Sequence[Window]) -> Steps[None]:
        """Have those of the windows ready whose embeddings are kept on the disk. Never encodes."""
        for number, window in enumerate(windows):
            if not self.may_be_kept(window):
                continue
            yield Progress(number, len(windows), "Looking for embeddings of parts of the image")
            pixels = self.image.read(window.box, window.factor)
            steps = predictor.known_steps(pixels, contrast_limits=self.contrast_limits)
            found = yield from relabelled(steps, partial(_nth, number, len(windows)))
            if found is None:
                self._not_found.add(window)
            else:
                self._keep(window, found)

    def embedding_steps(self, predictor: WindowPredictor, window: Window) -> Steps[ImageEmbedding]:
        """Return the embedding of a window, encoded unless it is there; closing the generator stops the encoder."""
        known = self._kept.get(window)
        if known is not None:
            return known
        yield Progress(0, 0, "Reading a part of the image")
        pixels = self.image.read(window.box, window.factor)
        note = "Computing the embedding of a part of the image"
        steps = predictor.encode_steps(pixels, contrast_limits=self.contrast_limits)
        found = yield from relabelled(steps, lambda inner: Progress(inner.done, inner.total, note))
        self._keep(window, found)
        return found

    def _keep(self, window: Window, found: ImageEmbedding) -> None:
        self._kept.put(window, found)
        self.rounding_error = max(self.rounding_error, getattr(found, "rounding_error", 0.0))
        self._largest = max(self._largest, int(found.nbytes))
        self._not_found.discard(window)  # a cache has it from now on
        self._order = [*(one for one in self._order if one != window and one in self._kept), window]

    def answer_steps(
        self,
        predictor: WindowPredictor,
        *,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: WindowMask | None = None,
        level: int | None = None,
        refine: Refinement | None = None,
        encode: Callable[[Window], Steps[ImageEmbedding]] | None = None,
        multimask: bool | None = None,
    ) -> Steps[TiledPrediction]:
        """Answer one prompt, encoding what is needed for it and nothing else.

        Parameters
        ----------
        predictor : WindowPredictor
            The model that made all windows of this value.
        points, labels, box : array_like, optional
            (N, 2), (N,) and (4,) in pixels of the image, as in `Predictor.predict`; no batch.
        mask : WindowMask, optional
            A mask as prompt.
        level : int, optional
            The finest level to answer from, `plan.level_for_view` of what the user sees; else the finest of all.
        refine : Refinement, optional
            The last answer, for a prompt that adds to it; it is used while its window holds the prompt and what is
            found, else the prompt is asked anew.
        encode : callable, optional
            Returns the steps that make the embedding of a window, for callers that go on with one that was left; else
            `embedding_steps`.
        multimask : bool, optional
            Three masks, or one, whatever the prompt; by default as the predictor chooses.

        Raises
        ------
        ValueError
            For a prompt that is empty, of a batch, or leaves the image.
        """
        prompt = TiledPrompt.checked(points, labels, box, mask, self.image_shape)
        extent = prompt.extent
        encode = encode or partial(self.embedding_steps, predictor)
        ask = predictor.predict if multimask is None else partial(predictor.predict, multimask=multimask)
        if refine is not None and self._holds(refine.window, extent):
            found = yield from self._asked(ask, encode, prompt, refine.window, refine.logits)
            if not found.is_cut:
                return found
            level = max(refine.window.level, 0 if level is None else level)  # the logits may have led astray
        window = self._first(extent, level)
        asked: set[Window] = set()
        while True:
            asked.add(window)
            found = yield from self._asked(ask, encode, prompt, window, None)
            if not found.is_cut or window.level >= self.plan.last_level:
                return found
            following = self._next(found, extent)
            # Each of two windows may send to the other, where the object is cut at another edge in each.
            is_new = following not in asked
            window = following if is_new else self.window_for(extent, window.level + 1)

    def answer_in_steps(
        self,
        predictor: WindowPredictor,
        window: Window,
        *,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: WindowMask | None = None,
        logits: NDArray[np.float32] | None = None,
        encode: Callable[[Window], Steps[ImageEmbedding]] | None = None,
    ) -> Steps[TiledPrediction]:
        """Answer one prompt in this window and no other, as an earlier answer was found; `logits` refine it.

        Raises
        ------
        ValueError
            As `answer_steps` does, and for a window that the image cannot have.
        """
        if not self.plan.allows(window):
            raise ValueError(f"{window} is no window of an image of {self.image_shape} pixels")
        prompt = TiledPrompt.checked(points, labels, box, mask, self.image_shape)
        encode = encode or partial(self.embedding_steps, predictor)
        return (yield from self._asked(predictor.predict, encode, prompt, window, logits))

    def ready_window(
        self, extent: Extent, *, level: int | None = None, refine: Refinement | None = None
    ) -> ReadyWindow | None:
        """Return where `answer_steps` asks first, if that window is there; nothing is read and nothing encoded.

        Parameters
        ----------
        extent : (float, float, float, float)
            The box around the prompt, see `TiledPrompt.extent`.
        level, refine
            As for `answer_steps`.
        """
        logits = refine.logits if refine is not None and self._holds(refine.window, extent) else None
        window = self._first(extent, level) if refine is None or logits is None else refine.window
        embedding = self._kept.get(window)
        return None if embedding is None else ReadyWindow(window, embedding, logits)

    def _holds(self, window: Window, extent: Extent) -> bool:
        """Tell whether a prompt that refines an answer of this window may stay in it."""
        return self.plan.margin(window, extent) >= _KEPT_INSIDE * self.plan.side

    def _first(self, extent: Extent, level: int | None) -> Window:
        """Return the window in which a prompt is asked first."""
        size = max(extent[2] - extent[0], extent[3] - extent[1])
        wanted = max(self.plan.level_for(size), 0 if level is None else min(level, self.plan.last_level))
        return self.window_for(extent, wanted)

    def window_for(self, extent: Extent, level: int) -> Window:
        """Return the window of a level that answers a prompt (row_min, col_min, row_max, col_max) of the image.

        One that is there, if the prompt lies in its `plan.answering_part`; else the window of the grid, if the prompt
        is well inside of it; else one around the prompt.
        """
        known = [
            one for one in self.ready if one.level == level and self.plan.margin(one, extent) >= self.plan.overlap / 2
        ]
        if known:
            return max(known, key=lambda one: self.plan.margin(one, extent))
        is_prepared = self.prepared is not None and self.prepared.fits
        least = self.plan.overlap / 2 if is_prepared else _INSIDE * self.plan.side
        best = max(self.plan.around(extent, level), key=lambda one: self.plan.margin(one, extent))
        return best if self.plan.margin(best, extent) >= least else self.plan.centred(level, extent)

    def _next(self, found: TiledPrediction, extent: Extent) -> Window:
        """Return where to ask again when an answer was cut: around the object if it may fit, else coarser."""
        top, left, bottom, right = found.masks[0].box if found.masks[0].area else (0, 0, 0, 0)
        both = (min(top, extent[0]), min(left, extent[1]), max(bottom, extent[2]), max(right, extent[3]))
        size = max(both[2] - both[0], both[3] - both[1]) / found.window.factor
        if size < 0.6 * self.plan.side:
            around = self.plan.centred(found.window.level, both)
            if around != found.window and self.plan.margin(around, both) > self.plan.margin(found.window, both):
                return around
        return self.window_for(extent, min(found.window.level + 1, self.plan.last_level))

    def _asked(
        self,
        ask: Callable[..., Prediction],
        encode: Callable[[Window], Steps[ImageEmbedding]],
        prompt: TiledPrompt,
        window: Window,
        logits: NDArray[np.float32] | None,
    ) -> Steps[TiledPrediction]:
        embedding = yield from encode(window)
        self.answered = window
        yield Progress(0, 1, "Predicting masks")
        prediction = ask(embedding, **prompt.arguments_in(window, logits))
        masks = tuple(
            WindowMask.cropped(enlarged(np.asarray(one), window.factor), window.origin, self.image_shape)
            for one in prediction.masks
        )
        cut = _is_cut(np.asarray(prediction.masks[0]), self.plan.inner_edges(window))
        scores = prediction.predicted_iou, prediction.stability_score
        return TiledPrediction(masks, *scores, prediction.logits, window, cut, is_refined=logits is not None)


def _nth(number: int, total: int, inner: Progress) -> Progress:
    return Progress(number, total, inner.note)


def image_limits(image: LazyImage) -> tuple[float, float]:
    """Return the intensities that become black and white in all windows: `default_limits` of a sample."""
    if image.dtype in (np.uint8, np.bool_):  # these have limits of their own: nothing needs to be read
        return default_limits(np.zeros((1, 1), image.dtype))
    return default_limits(checked_image(image.sample()))


def _is_cut(mask: NDArray[np.bool_], inner: tuple[bool, bool, bool, bool]) -> bool:
    strips = (mask[:_TOUCHING], mask[:, :_TOUCHING], mask[-_TOUCHING:], mask[:, -_TOUCHING:])
    return any(edge and bool(strip.any()) for edge, strip in zip(inner, strips, strict=True))
