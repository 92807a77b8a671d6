"""The windows of a large plane that answer at once: encoded ahead around the last answer, and outlined. No Qt.

A click encodes the window that it needs. Whenever nothing else is to do, the windows around it follow, those in view
first; a new prompt has the processor for itself at once, and what was begun is gone on with, for it or afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components import ViewerModel
from psygnal import Signal

from napari_segany.engine.tiling import Window
from napari_segany.widgets.conversation import Conversation
from napari_segany.widgets.embedder import Embedder
from napari_segany.widgets.everything_region import view_corners
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.prompt_layers import PromptLayers
from napari_segany.widgets.windows_layer import WindowsLayer
from napari_segany.widgets.work_ahead import Piece, WorkAhead

if TYPE_CHECKING:
    from napari_segany.engine.tiled_embedding import TiledEmbedding

_SHARE = 0.8
"""Part of the memory for windows that those encoded ahead may fill."""


class WindowsAhead:
    """Encodes windows ahead and outlines those that are ready.

    Parameters
    ----------
    viewer : ViewerModel
        Shows the outlines.
    runner : Runner
        Runs the work.
    embedder, conversation, prompt_layers
        The model, the plane and its questions, and where prompts are given.

    Attributes
    ----------
    layer : WindowsLayer
        The outlines.
    failure : str
        Why it has stopped, in words for the user; empty while it works.
    """

    changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        runner: Runner,
        embedder: Embedder,
        conversation: Conversation,
        prompt_layers: PromptLayers,
    ) -> None:
        self.layer = WindowsLayer(viewer)
        self.failure = ""
        self._viewer = viewer
        self._embedder, self._conversation = embedder, conversation
        self._enabled, self._outlined = False, True
        self._work = WorkAhead(runner, self._may_work, self._next, self._show, conversation.begun)
        self._links: list[tuple[Any, Callable[..., None]]] = [
            (conversation.turned, self._look_again),
            (conversation.settled, self._look_again),
            (embedder.state_changed, self._look_again),
            (prompt_layers.changed, self._work.make_way),
        ]
        for signal, callback in self._links:
            signal.connect(callback)

    # ------------------------------------------------------------------- for users

    @property
    def enabled(self) -> bool:
        """Whether windows are encoded ahead."""
        return self._enabled

    @enabled.setter
    def enabled(self, on: bool) -> None:
        self._enabled = bool(on)
        self.failure = ""
        self._look_again()

    @property
    def outlined(self) -> bool:
        """Whether ready windows are outlined."""
        return self._outlined

    @outlined.setter
    def outlined(self, on: bool) -> None:
        self._outlined = bool(on)
        self._look_again()

    @property
    def is_working(self) -> bool:
        """Whether a window is being encoded ahead right now."""
        return self._work.is_working

    @property
    def of_large_plane(self) -> bool:
        """Whether the shown plane is one that is worked on window by window."""
        return self._embedding is not None

    @property
    def ready(self) -> tuple[Window, ...]:
        """The windows of the shown plane that answer at once."""
        embedding = self._embedding
        return () if embedding is None else embedding.ready

    @property
    def answering(self) -> tuple[tuple[int, int, int, int], ...]:
        """The boxes (row_min, col_min, row_max, col_max) of the shown plane in which a click is answered at once."""
        embedding = self._embedding
        return () if embedding is None else tuple(embedding.answering_part(window) for window in embedding.ready)

    def forget(self, layer: object) -> None:
        """Take note that a layer is gone from the viewer: outlines that the user removed do not come again."""
        if self.layer.forget(layer):
            self._outlined = False
            self.changed.emit()

    def close(self, *, keep_layers: bool = False) -> None:
        """Stop for good and, unless the layers are to be left alone, remove the outlines."""
        for signal, callback in self._links:
            signal.disconnect(callback)
        self._links = []
        self._enabled = False
        self._work.close()
        self.layer.close(keep=keep_layers)

    # -------------------------------------------------------------------- internal

    @property
    def _embedding(self) -> TiledEmbedding | None:
        key = self._conversation.key
        found: Any = None if key is None else self._embedder.get(key)
        return found if hasattr(found, "answered") else None  # that of a small plane has no windows

    def _look_again(self, event: Any = None) -> None:
        self._work.look_again()

    def _may_work(self) -> bool:
        asked, answered = self._conversation.prompts, self._conversation.answered
        idle = self._embedder.state.phase == "ready" and asked == answered
        return self._enabled and not self.failure and idle and self._embedder.predictor is not None

    def _next(self) -> Piece | None:
        """Return the work on the next window around the last answer, as far as there is room."""
        embedding, predictor = self._embedding, self._embedder.predictor
        if embedding is None or embedding.answered is None or predictor is None:
            return None
        if self._work.nbytes * (len(embedding.ready) + 1) > _SHARE * embedding.nbytes:
            return None
        for window in embedding.neighbours(embedding.answered, self._view()):
            begin = partial(embedding.embedding_steps, predictor, window)
            work = self._work.half_done((embedding, window), begin, lambda found: None)  # which keeps itself
            return Piece("Encoding windows ahead", work.steps(), failed=self._failed)
        return None

    def _view(self) -> tuple[float, float, float, float] | None:
        image, plane = self._conversation.image, self._conversation.plane
        if image is None or plane is None:
            return None
        corners = plane.to_plane(view_corners(self._viewer, image))
        (top, left), (bottom, right) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        return top, left, bottom, right

    def _failed(self, error: Exception) -> None:
        self.failure = str(error) or type(error).__name__

    def _show(self) -> None:
        image, plane = self._conversation.image, self._conversation.plane
        boxes = np.array(self.answering, float).reshape(-1, 4)
        if image is not None and plane is not None and len(boxes) and self._outlined:
            self.layer.show(image, plane, boxes)
        else:
            self.layer.hide()
        self.changed.emit()
