"""Computes the embeddings of a stack's slices ahead of the user, the nearest first, whenever nothing else is to do.

It makes way at once for the shown slice and for propagation: what it has begun waits, half done, and is gone on with
afterwards. Knows neither napari nor Qt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike
from psygnal import Signal

from napari_segany.engine.progress import Steps
from napari_segany.widgets.embedder import AnyPredictor, Embedder, EmbeddingState
from napari_segany.widgets.embedding_cache import EmbeddingKey
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.stack_line import StackLine
from napari_segany.widgets.work_ahead import Piece, WorkAhead

if TYPE_CHECKING:  # which brings torch
    from napari_segany.engine.embedding import ImageEmbedding

_SHARE = 0.8
"""Part of the embedding cache that slices may fill ahead: what was just looked at must not be driven out."""


@dataclass(frozen=True)
class Slices:
    """The slices that are to be made ready.

    Attributes
    ----------
    line : StackLine
        The stack.
    here : int
        The shown slice.
    image : str
        Unique id of the image layer.
    contrast_limits : tuple of float, optional
        How its intensities are seen.
    read : callable
        Returns the image of a slice; called in the background.
    """

    line: StackLine
    here: int
    image: str
    contrast_limits: tuple[float, float] | None
    read: Callable[[int], ArrayLike]


class SlicesAhead:
    """Fills the embedding cache from the shown slice outwards.

    Parameters
    ----------
    runner : Runner
        Runs the work.
    embedder : Embedder
        Has the model and keeps the embeddings.

    Attributes
    ----------
    failure : str
        Why it has stopped, in words for the user; empty while it works.
    """

    changed = Signal()

    def __init__(self, runner: Runner, embedder: Embedder) -> None:
        self.failure = ""
        self._embedder = embedder
        self._enabled = self._is_held = False
        self._slices: Slices | None = None
        self._work = WorkAhead(runner, self._may_work, self._next, self.changed.emit)
        embedder.state_changed.connect(self._embedder_moved)

    # ------------------------------------------------------------------- for users

    @property
    def enabled(self) -> bool:
        """Whether slices are computed ahead at all."""
        return self._enabled

    @enabled.setter
    def enabled(self, on: bool) -> None:
        self._enabled = bool(on)
        self.failure = ""
        self._work.look_again()

    @property
    def is_working(self) -> bool:
        """Whether a slice is being computed right now."""
        return self._work.is_working

    @property
    def ready(self) -> tuple[bool, ...]:
        """Of each slice, whether its embedding is there: a click on it is answered at once."""
        slices = self._slices
        if slices is None:
            return ()
        return tuple(self._key(slices, place) in self._embedder.cache for place in range(slices.line.length))

    @property
    def room(self) -> int:
        """How many slices fit into the cache; 0 while that is not known."""
        return int(_SHARE * self._embedder.cache.limit) // self._work.nbytes if self._work.nbytes else 0

    # ------------------------------------------------------------- for the session

    def turn_to(self, slices: Slices | None) -> None:
        """Go on around another slice, or in another stack."""
        self._slices = slices
        if slices is None:
            self._work.drop()  # what was begun may be of data that are replaced
        self._work.look_again()

    def hold(self, held: bool) -> None:
        """Rest while propagation computes slices itself."""
        self._is_held = held
        self._work.look_again()

    def make_way(self) -> None:
        """Rest a moment, for a question is asked."""
        self._work.make_way()

    def close(self) -> None:
        """Stop for good."""
        self._embedder.state_changed.disconnect(self._embedder_moved)
        self._enabled = False
        self._work.close()

    # -------------------------------------------------------------------- internal

    def _embedder_moved(self, state: EmbeddingState) -> None:
        if state.phase in ("working", "ready"):
            self._work.look_again()

    def _may_work(self) -> bool:
        free = self._embedder.state.phase == "ready" and not self._is_held
        return self._enabled and not self.failure and free and self._embedder.predictor is not None

    def _next(self) -> Piece | None:
        """Return the nearest slice that is not there, as far as there is room."""
        slices, embedder = self._slices, self._embedder
        if slices is None or embedder.predictor is None:
            return None
        predictor = embedder.predictor
        nearest = slices.line.nearest_first(slices.here)
        for place in nearest[: self.room or None]:
            key = self._key(slices, place)
            if key in embedder.cache:
                continue
            begin = partial(_encoding_steps, predictor, slices, place)
            work = self._work.half_done(key, begin, partial(embedder.cache.keeper(slices.image), key))
            return Piece("Computing slices ahead", work.steps(), failed=self._failed)
        return None

    def _failed(self, error: Exception) -> None:
        self.failure = str(error) or type(error).__name__

    def _key(self, slices: Slices, place: int) -> EmbeddingKey:
        return self._embedder.key(slices.image, slices.line.plane(place), slices.contrast_limits)


def _encoding_steps(predictor: AnyPredictor, slices: Slices, place: int) -> Steps[ImageEmbedding]:
    return (yield from predictor.encode_steps(slices.read(place), contrast_limits=slices.contrast_limits))
