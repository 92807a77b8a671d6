"""What drawing a canvas takes of the GUI thread, and what of that is the rasteriser's.

Knows Qt and vispy's canvas, but nothing of napari and of the package.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from vispy.gloo import gl

RASTERISER = ("glClear", "glDraw", "glFinish", "glFlush", "glReadPixels", "glTexImage", "glTexSubImage")
"""What the GL calls begin with in which pixels are made or copied: a graphics card does that by itself.

Compiling shaders is none of them, nor what Python does to come to these calls: both take a processor everywhere.
"""


class Drawing:
    """Adds up what drawing a canvas takes: the GUI thread's own processor time, and for the rasteriser the clock too.

    Drawing is what vispy does in `paintGL` (uploading textures and compiling shaders too), and what Qt does to bring
    the drawn canvas to the screen. Of the rasteriser are the latter, and the GL calls named above; each of these is
    timed, for a thread that looks at the stack gets its turn in a GL call most often, where Python's lock is free.

    Parameters
    ----------
    canvas : QOpenGLWidget
        The canvas as Qt knows it.

    Attributes
    ----------
    own_ms : float
        Of the thread's processor time, what went into drawing.
    rasteriser_ms, rasteriser_clock_ms : float
        What of it went into the rasteriser, and the same by the clock, with the time that it is waited for.
    """

    def __init__(self, canvas: Any) -> None:
        self.own_ms = self.rasteriser_ms = self.rasteriser_clock_ms = 0.0
        self._began: tuple[float, float] | None = None
        self._paint = canvas.paintGL
        canvas.paintGL = self._painting
        canvas.aboutToCompose.connect(self._composing)
        canvas.frameSwapped.connect(self._swapped)
        for name in dir(gl):
            if name.startswith(RASTERISER):
                setattr(gl, name, self._timed(getattr(gl, name)))

    def sums(self) -> tuple[float, float, float]:
        """Return all three sums up to now."""
        return self.own_ms, self.rasteriser_ms, self.rasteriser_clock_ms

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            began = _now()
            try:
                return call(*arguments)
            finally:
                self._add(began)

        return timed

    def _add(self, began: tuple[float, float]) -> float:
        own, clock = (after - before for after, before in zip(_now(), began, strict=True))
        self.rasteriser_ms += own
        self.rasteriser_clock_ms += clock
        return own

    def _painting(self) -> None:
        began = time.thread_time()
        try:
            self._paint()
        finally:
            self.own_ms += 1e3 * (time.thread_time() - began)

    def _composing(self) -> None:
        self._began = _now()

    def _swapped(self) -> None:
        if self._began is not None:
            self.own_ms += self._add(self._began)
        self._began = None


def _now() -> tuple[float, float]:
    return 1e3 * time.thread_time(), 1e3 * time.perf_counter()
