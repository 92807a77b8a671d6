"""How long work will still take, told from how it went so far; and durations in words. No Qt."""

from __future__ import annotations

import time
from collections.abc import Callable


class Countdown:
    """Watches work go on.

    Parameters
    ----------
    clock : callable
        Returns the time in seconds.

    Attributes
    ----------
    pace_s : float or None
        Seconds that a unit took; None while that cannot be told.
    units : int
        How many units that was told from.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun: tuple[float, int] | None = None
        self.pace_s: float | None = None
        self.units = 0

    def seconds_left(self, done: int, total: int) -> float | None:
        """Return the seconds that the rest will take at the pace so far; None while that cannot be told.

        The pace counts from the first time that a total was known, so that loading a model does not spoil it.
        """
        if total <= 0:
            return None
        now = self._clock()
        if self._begun is None:
            self._begun = (now, done)
        begin, before = self._begun
        if done <= before:
            return None
        self.units = done - before
        self.pace_s = (now - begin) / self.units
        return self.pace_s * (total - done)


def duration(seconds: float) -> str:
    """Return a duration in words that do not pretend to be exact."""
    if seconds < 1:
        return "less than a second"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def about(seconds: float) -> str:
    """Return a duration that was estimated: "about 5 s", "less than a second"."""
    return duration(seconds) if seconds < 1 else f"about {duration(seconds)}"
