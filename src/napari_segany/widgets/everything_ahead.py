"""What further filterings will want of the candidates, prepared while nothing else is to do. Knows no Qt.

It rests as soon as anything is drawn, filtered or asked, at most a step of work later; nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from weakref import WeakSet

from napari_segany.engine.progress import Steps
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.rest import Rest
from napari_segany.widgets.work_ahead import Piece, WorkAhead

if TYPE_CHECKING:
    from napari_segany.engine.candidates import RawCandidates

_REST_MS = 300


class FilteringAhead:
    """Prepares the candidates of one plane after the other.

    Parameters
    ----------
    runner : Runner
        Runs the work.
    is_busy : callable
        Whether something is drawn.
    candidates : callable
        Returns the candidates by plane, those first that are wanted first.
    room : callable
        Returns how many bytes the candidates of a plane may take.
    prepared : callable
        Called with a plane whose candidates take more memory now.
    """

    def __init__(
        self,
        runner: Runner,
        is_busy: Callable[[], bool],
        candidates: Callable[[], Mapping[Plane, RawCandidates]],
        room: Callable[[Plane], int],
        prepared: Callable[[Plane], None],
    ) -> None:
        self._is_busy, self._candidates, self._room, self._prepared = is_busy, candidates, room, prepared
        self._is_allowed = True
        self._over: WeakSet[RawCandidates] = WeakSet()
        self._work = WorkAhead(runner, self._may_work, self._next_piece)
        self._rest = Rest(runner, self._work.look_again, _REST_MS)

    def allow(self, is_allowed: bool) -> None:
        """Work only as long as the model is not asked."""
        if is_allowed == self._is_allowed:
            return
        self._is_allowed = is_allowed
        if is_allowed:
            self._rest.stir()
        else:
            self._work.pause()

    def make_way(self) -> None:
        """Rest at once."""
        self._rest.forget()
        self._work.pause()

    def go_on(self) -> None:
        """Go on in a moment, unless something else is to do then."""
        self._rest.stir()

    def _may_work(self) -> bool:
        return self._is_allowed and not self._is_busy()

    def _next_piece(self) -> Piece | None:
        for plane, candidates in self._candidates().items():
            if candidates not in self._over:
                return self._piece(plane, candidates)
        return None

    def _piece(self, plane: Plane, candidates: RawCandidates) -> Piece:
        def over(_: object) -> None:
            # What could not be prepared, for want of memory perhaps, is not tried again: filters do without.
            self._over.add(candidates)
            self._prepared(plane)

        return Piece("Preparing to filter again", _prepare(candidates, self._room(plane)), over, over)


def _prepare(candidates: RawCandidates, room: int) -> Steps[None]:
    from napari_segany.engine.filtering import REST_BYTES, prepare_rest_steps

    return (yield from prepare_rest_steps(candidates, min(room, REST_BYTES)))
