"""Makes the layers of a session before they are needed, while the mouse is at rest. Knows no Qt.

Napari takes about a tenth of a second to add a layer, and its shaders are compiled when it is drawn first: under a
click or a moving mouse the window would stand still for that, at the first preview, at the first three masks, at the
first object. So they are there, empty, by the time the image embedding is. Python's collector, too, looks through all
that was imported at a time of its own choosing, unless it just has.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

from napari.components import ViewerModel

from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.rest import Rest
from napari_segany.widgets.session import PromptSession

_PAUSE_MS = 60
"""Between two layers: what waits meanwhile, a key or a click, is done first."""


class LayersAhead:
    """Goes on from one layer to the next whenever the mouse has been still for a moment.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer that is worked in.
    session : PromptSession
        Makes the layers.
    runner : Runner
        Calls back when the pause is over.
    others : callable
        Makes, step by step too, what else is to be ready from the beginning.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: PromptSession,
        runner: Runner,
        others: Callable[[], Iterator[None]] = lambda: iter(()),
    ) -> None:
        self._viewer, self._session, self._others = viewer, session, others
        self._has_begun = False
        self._steps: Iterator[None] | None = None
        self._is_pressed = self._is_closed = False
        self._rest = Rest(runner, self._go_on, _PAUSE_MS)
        session.image_changed.connect(self.begin)
        viewer.mouse_move_callbacks.append(self._moved)
        viewer.mouse_drag_callbacks.append(self._pressed)

    @property
    def is_over(self) -> bool:
        """Whether all layers are there."""
        return self._has_begun and self._steps is None

    def begin(self, image: object = None) -> None:
        """Make what the present image needs."""
        if not self._is_closed:
            self._steps = self._session.ready_steps() if self._has_begun else self._first_steps()
            self._has_begun = True
            self._rest.stir()

    def _first_steps(self) -> Iterator[None]:
        yield from self._session.ready_steps()
        yield from self._others()
        gc.collect()

    def close(self) -> None:
        """Make no more, and let go of the viewer."""
        self._steps, self._is_closed = None, True
        self._session.image_changed.disconnect(self.begin)
        for callbacks, ours in (
            (self._viewer.mouse_move_callbacks, self._moved),
            (self._viewer.mouse_drag_callbacks, self._pressed),
        ):
            if ours in callbacks:
                callbacks.remove(ours)

    def _go_on(self) -> None:
        if self._steps is None or self._is_pressed:
            return
        try:
            next(self._steps)
        except StopIteration:
            self._steps = None
        else:
            self._rest.stir()

    def _moved(self, viewer: ViewerModel, event: Any) -> None:
        if self._steps is not None:
            self._rest.stir()

    def _pressed(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        self._is_pressed = True
        yield
        while event.type == "mouse_move":
            yield
        self._is_pressed = False
        if self._steps is not None:
            self._rest.stir()
