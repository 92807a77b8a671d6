"""The keys of a review: taken while masks are rated, and given back as they were. Knows no Qt.

They go before napari's own, V (hide the layer) and Backspace (delete it) among them, so that they are only held while
the dock is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from napari.components import ViewerModel
from napari.layers import Layer

from napari_segany.evaluation.review import HIGHEST
from napari_segany.widgets.review_session import ReviewSession

RATINGS: Mapping[str, int] = {**{str(number): number for number in range(1, HIGHEST)}, "0": HIGHEST}
"""The rating that each key gives."""


class ReviewKeys:
    """Keys of one session, on its viewer and on the layers that it shows.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    session : ReviewSession
        What the keys call.
    """

    def __init__(self, viewer: ViewerModel, session: ReviewSession) -> None:
        self._viewer = viewer
        actions: dict[str, Callable[[], None]] = {
            key: partial(session.rate, rating) for key, rating in RATINGS.items()
        }
        actions |= {"V": session.next_view, "Backspace": session.back}
        self._actions = {key: _of_provider(action) for key, action in actions.items()}
        self._before: dict[str, Any] | None = None
        session.layer_made.connect(self._bind_layer)

    @property
    def are_taken(self) -> bool:
        """Whether the viewer's keys are ours now."""
        return self._before is not None

    def take(self) -> None:
        """Have the keys, and remember whose they were."""
        if self._before is None:
            self._before = {
                key: self._viewer.bind_key(key, action, overwrite=True) for key, action in self._actions.items()
            }

    def give_back(self) -> None:
        """Let everybody have the keys that they had; what somebody took from us since stays theirs."""
        before, self._before = self._before or {}, None
        for key, earlier in before.items():
            now = self._viewer.bind_key(key, None)
            theirs = earlier if now is self._actions[key] else now
            if theirs is not None:
                self._viewer.bind_key(key, theirs, overwrite=True)

    def _bind_layer(self, layer: Layer) -> None:
        # The keys of a layer that is active go before those of the viewer.
        for key, action in self._actions.items():
            layer.bind_key(key, action, overwrite=True)


def _of_provider(action: Callable[[], None]) -> Callable[[Any], None]:
    """Return what napari binds to a key: a function of the viewer or layer, with a name."""

    def run(provider: Any) -> None:
        action()

    return run
