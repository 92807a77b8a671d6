"""How long the rest of a batch takes. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable

from napari_segany.engine.progress import Progress
from napari_segany.widgets.batch_work import BatchStep
from napari_segany.widgets.everything_clock import Countdown


class BatchCountdown:
    """Tells what is left; images that were complete before take no time and say nothing about the rest.

    Parameters
    ----------
    clock : callable
        Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.begin()

    def begin(self) -> None:
        """Begin anew, with a batch."""
        self._countdown, self._reused = Countdown(self._clock), 0

    def seconds_left(self, progress: Progress) -> float | None:
        """Return the seconds that are left, None before an image is at work."""
        if not isinstance(progress, BatchStep) or not progress.has_begun:
            return None
        if progress.done == progress.reused != self._reused:
            self._countdown, self._reused = Countdown(self._clock), progress.reused
        return self._countdown.seconds_left(progress.done - progress.reused, progress.total - progress.reused)
