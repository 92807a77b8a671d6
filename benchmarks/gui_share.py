"""Whose time it was: how much of a thread's processor time went into calls of a package.

Knows no Qt, no napari and no package: only stacks of calls, and the folder that a package lies in.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from types import FrameType

EVERY_S = 0.002
SWITCH_S = 0.001
"""Python hands its lock on after five milliseconds by default; one that waits for it should see what runs now."""


class Share:
    """Looks at a thread's stack every few milliseconds, and adds up the time in which a package was on it.

    The processor time (and the time of the clock) since the last look is the package's where any of the calls on the
    stack lies in its folder, however deep it called into napari, Qt or numpy from there; else it is not. The thread
    is the one that makes this object.

    Parameters
    ----------
    package : Path
        The folder of the package.

    Attributes
    ----------
    own_ms, clock_ms : float
        What the package took since the beginning: of the thread's processor time, and by the clock.
    """

    def __init__(self, package: Path) -> None:
        self.own_ms = self.clock_ms = 0.0
        self._folder = f"{package.resolve()}/"
        self._thread = threading.get_ident()
        self._thread_clock = time.pthread_getcpuclockid(self._thread)
        self._lock = threading.Lock()
        self._last, self._was_package = self._now(), True
        sys.setswitchinterval(SWITCH_S)
        threading.Thread(target=self._sample, daemon=True).start()

    def sums(self) -> tuple[float, float]:
        """Return both sums up to now; what came after the last look counts as what was seen then.

        What nobody looked at since the last call counts as the package's.
        """
        with self._lock:
            self._add(was_package=self._was_package)
            self._was_package = True
            return self.own_ms, self.clock_ms

    def _look(self) -> None:
        frame = sys._current_frames().get(self._thread)
        with self._lock:
            self._was_package = self._is_of_package(frame)
            self._add(was_package=self._was_package)

    def _add(self, *, was_package: bool) -> None:
        now = self._now()
        if was_package:
            self.own_ms += now[0] - self._last[0]
            self.clock_ms += now[1] - self._last[1]
        self._last = now

    def _now(self) -> tuple[float, float]:
        return 1e3 * time.clock_gettime(self._thread_clock), 1e3 * time.perf_counter()

    def _is_of_package(self, frame: FrameType | None) -> bool:
        while frame is not None:
            if frame.f_code.co_filename.startswith(self._folder):
                return True
            frame = frame.f_back
        return False

    def _sample(self) -> None:
        while True:
            time.sleep(EVERY_S)
            self._look()
