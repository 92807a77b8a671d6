"""How long a person takes for an object, and when to hint that it is too long. Knows no user interface."""

from __future__ import annotations

import time
from collections.abc import Callable

HINT_SECONDS = 30.0
"""After so long the paper's annotators were asked to go on to the next object."""

HINT = "This object takes over 30 seconds: leave it, and go on with the next one."


class ObjectClock:
    """Measures the time of one object after the other.

    Parameters
    ----------
    now : callable
        Seconds of any clock that does not go back.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._begun: float | None = None
        self.clicks = 0

    @property
    def seconds(self) -> float:
        """Time since the first click of the object; 0 before it."""
        return 0.0 if self._begun is None else self._now() - self._begun

    @property
    def hint(self) -> str:
        """What to tell the person now; "" for nothing."""
        return HINT if self.seconds > HINT_SECONDS else ""

    def click(self) -> None:
        """Count a click or a stroke; the first one begins the object."""
        if self._begun is None:
            self._begun = self._now()
        self.clicks += 1

    def finish(self) -> tuple[float, int]:
        """Return seconds and clicks of the object, and be ready for the next one."""
        found = self.seconds, self.clicks
        self.reset()
        return found

    def reset(self) -> None:
        """Forget the object."""
        self._begun, self.clicks = None, 0


class StrokeClock:
    """Measures the time of objects that are painted: strokes in a row on one object, with the pauses between them.

    Parameters
    ----------
    now : callable
        Seconds of any clock that does not go back.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._pressed: float | None = None
        self._row: tuple[int, float, float] | None = None  # the object, its first stroke, its last

    @property
    def hint(self) -> str:
        """What to tell the person now; "" for nothing, also when the last stroke was a while ago."""
        if self._row is None:
            return ""
        _, begun, ended = self._row
        return HINT if ended - begun > HINT_SECONDS and self._now() - ended < HINT_SECONDS else ""

    def press(self) -> None:
        """Take note that a stroke begins."""
        self._pressed = self._now()

    def stroke(self, label: int) -> float:
        """Take note that a stroke on an object has ended; return by how many seconds its time has grown."""
        now = self._now()
        begun = now if self._pressed is None else self._pressed
        self._pressed = None
        if self._row is not None and self._row[0] == label:
            since = self._row[2]
            self._row = (label, self._row[1], now)
        else:
            since = begun
            self._row = (label, begun, now)
        return now - since

    def reset(self) -> None:
        """Something else is done: the next stroke begins anew."""
        self._pressed = self._row = None
