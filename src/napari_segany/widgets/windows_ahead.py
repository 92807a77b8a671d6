"""The windows of a large plane that answer at once: encoded ahead where the user is and looks, and outlined. No Qt.

A click encodes the window that it needs. Whenever nothing else is to do and the view is still, the windows around the
last answer follow, then those in view. Those in view that are kept on the disk are loaded first, even where nothing
is to be encoded ahead. A new prompt has the processor for itself at once; what was begun is gone on with, for it or
afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from napari.components import ViewerModel
from psygnal import Signal

from napari_segany.engine.tiled_embedding import RememberingPredictor, TiledEmbedding
from napari_segany.engine.tiling import Window
from napari_segany.engine.windows_ahead import windows_ahead, windows_in_view
from napari_segany.widgets.conversation import Conversation
from napari_segany.widgets.embedder import Embedder
from napari_segany.widgets.everything_region import view_corners
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.prompt_layers import PromptLayers
from napari_segany.widgets.rest import Rest
from napari_segany.widgets.viewer_events import EventLinks
from napari_segany.widgets.windows_layer import WindowsLayer
from napari_segany.widgets.work_ahead import Piece, WorkAhead

_STILL_MS = 500
"""How long the view must rest: who moves on does not wait for what is passed, and a first click comes first."""


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
        self._is_still = True
        self._work = WorkAhead(runner, self._may_work, self._next, self._show, conversation.begun)
        self._rest = Rest(runner, self._rests, _STILL_MS)
        self._links: list[tuple[Any, Callable[..., None]]] = [
            (conversation.turned, self._turned),
            (conversation.settled, self._look_again),
            (embedder.state_changed, self._turned),
            (prompt_layers.changed, self._work.make_way),
        ]
        self._view_links = EventLinks()
        camera = viewer.scene.camera.events
        for emitter in (camera.center, camera.zoom, viewer.canvas.events.size):
            self._view_links.add(emitter, self._moved)
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
        """Whether a window is being made ready ahead right now."""
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
    def unprepared(self) -> str:
        """Why no prepared embedding fits the shown plane, in words for the user; empty where one does."""
        embedding, key = self._embedding, self._conversation.key
        if embedding is None:
            return "" if key is None else self._embedder.unprepared(key)
        return "" if embedding.prepared is None else embedding.prepared.reason

    @property
    def rounding_error(self) -> float:
        """What keeping the embeddings of the shown plane in half precision took from them, relative."""
        key = self._conversation.key
        found = None if key is None else self._embedder.get(key)
        return float(getattr(found, "rounding_error", 0.0))

    @property
    def answering(self) -> tuple[tuple[int, int, int, int], ...]:
        """The boxes (row_min, col_min, row_max, col_max) of the shown plane in which a click is answered at once."""
        embedding = self._embedding
        return () if embedding is None else tuple(embedding.plan.answering_part(window) for window in embedding.ready)

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
        self._view_links.clear()
        self._rest.forget()
        self._enabled = False
        self._work.close()
        self.layer.close(keep=keep_layers)

    # -------------------------------------------------------------------- internal

    @property
    def _embedding(self) -> TiledEmbedding | None:
        key = self._conversation.key
        found = None if key is None else self._embedder.get(key)
        return found if isinstance(found, TiledEmbedding) else None  # that of a small plane has no windows

    def _look_again(self, event: Any = None) -> None:
        self._work.look_again()

    def _turned(self, event: Any = None) -> None:
        self._is_still = False
        self._look_again()
        self._rest.stir()

    def _moved(self, event: Any = None) -> None:
        """Rest while the view moves; this is called many times a second."""
        if self.of_large_plane:
            self._is_still = False
            self._work.pause()
            self._rest.stir()

    def _rests(self) -> None:
        self._is_still = True
        self._look_again()

    def _may_work(self) -> bool:
        asked, answered = self._conversation.prompts, self._conversation.answered
        idle = self._embedder.state.phase == "ready" and asked == answered
        is_wanted = (self._enabled or self._outlined) and not self.failure
        return self._is_still and is_wanted and idle and self._embedder.predictor is not None

    def _next(self) -> Piece | None:
        """Return the next work: to load what is kept of what is in view, or to encode a window."""
        embedding, predictor, view = self._embedding, self._embedder.predictor, self._view()
        if embedding is None or predictor is None:
            return None
        if isinstance(predictor, RememberingPredictor) and predictor.cache is not None and view is not None:
            unknown = [window for window in windows_in_view(embedding, view) if embedding.may_be_kept(window)]
            if unknown:
                steps = embedding.known_steps(predictor, unknown)
                return Piece("Looking for windows that are kept", steps, failed=self._failed)
        window = next(iter(windows_ahead(embedding, view)), None) if self._enabled else None
        if window is None:
            return None
        begin = partial(embedding.embedding_steps, predictor, window)
        work = self._work.half_done((embedding, window), begin, lambda found: None)  # which keeps itself
        return Piece("Encoding windows ahead", work.steps(), failed=self._failed)

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
