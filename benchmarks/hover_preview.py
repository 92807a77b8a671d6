"""How long it takes from a mouse position to its drawn preview, with `light`, and where the time goes.

Two ways: the mouse comes to a place and rests there, and the mouse goes on, a place every sixtieth of a second, where
of the places that wait the newest is asked next. Where other programs run at the same time, the time of all
processors says more than that of the clock.

The window is a real one: run it under X, or `xvfb-run -a -s "-screen 0 1600x1000x24"`. Under Xvfb a processor draws
the window as well, which a graphics card does otherwise; how long that takes for a window that shows no layer is
printed too.

    python benchmarks/hover_preview.py [--threads 2] [--moves 60]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from napari import Viewer
from qtpy.QtCore import QEventLoop, QTimer
from skimage import data

from napari_segany.engine.progress import drain
from napari_segany.widgets.preview_asker import PreviewQuestion, preview_steps

CENTRE, REACH = (255.0, 297.0), 60.0
REST_S = 0.15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--moves", type=int, default=60)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    viewer = Viewer(show=True, show_welcome_screen=False)
    try:
        viewer.window.resize(1280, 800)
        viewer.add_image(data.immunohistochemistry(), rgb=True)
        _, widget = viewer.window.add_plugin_dock_widget("napari-segany", "Prompt segmentation")
        measure(viewer, widget.session, arguments.moves)
    finally:
        viewer.close()


def measure(viewer: Viewer, session, moves: int) -> None:
    wait_until(lambda: session.embedding_state.phase == "ready", 300)
    frames = Frames(viewer, session.preview)
    for _ in range(3):  # the first ones make the layer and load what is loaded late
        frames.preview_at(place_of(0.0))
    print(f"light, {torch.get_num_threads()} threads, {moves} positions on immunohistochemistry (512 x 512), medians")
    resting(frames, moves)
    moving(frames, moves)
    for layer in viewer.layers:
        layer.visible = False
    tell("drawing the same window with no layer in it", [frames.empty() for _ in range(20)])
    if hasattr(os, "getloadavg"):
        print(f"load of the computer: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


class Frames:
    """What the canvas has drawn, and when."""

    def __init__(self, viewer: Viewer, preview) -> None:
        self.preview, self.count, self.at_change = preview, 0, 0
        self.questions: list[PreviewQuestion] = []
        self.drawn: list[float] = []
        self._last = 0.0
        self.canvas = viewer.window._qt_viewer.canvas.native
        self.canvas.frameSwapped.connect(self._swapped)
        preview.changed.connect(self._changed)
        self._ask, preview._asker.ask = preview._asker.ask, self._note

    def _swapped(self) -> None:
        self.count += 1
        if self.is_drawn and self.preview.asked_at != self._last:
            self._last = self.preview.asked_at
            self.drawn.append(time.perf_counter() - self._last)

    def _changed(self, shown: object) -> None:
        self.at_change = self.count

    def _note(self, question: PreviewQuestion) -> None:
        self.questions.append(question)
        self._ask(question)

    @property
    def is_drawn(self) -> bool:
        """Whether what is shown has been drawn."""
        return self.preview.shown is not None and self.count > self.at_change

    def preview_at(self, place: tuple[float, float]) -> tuple[float, float, float, float]:
        """Ask at a place; return the seconds until the question left, its answer came, it was drawn, and all used."""
        start, busy = time.perf_counter(), time.process_time()
        self.preview.at(place)
        asked = time.perf_counter() - start
        wait_until(lambda: self.preview.shown is not None and self.preview.asked_at >= start, 30)
        arrived = time.perf_counter() - start
        wait_until(lambda: self.is_drawn, 30)
        return asked, arrived, time.perf_counter() - start, time.process_time() - busy

    def empty(self) -> float:
        """Draw the window once more; return the seconds."""
        live(REST_S)
        start, count = time.perf_counter(), self.count
        self.canvas.update()
        wait_until(lambda: self.count > count, 30)
        return time.perf_counter() - start


def resting(frames: Frames, moves: int) -> None:
    """Come to each place and stay until its preview is drawn, and a little longer."""
    first, rows = len(frames.questions), []
    for angle in np.linspace(0, 2 * np.pi, moves, endpoint=False):
        live(REST_S)
        rows.append(frames.preview_at(place_of(angle)))
    asked, arrived, drawn, used = np.transpose(rows)
    tell("the mouse comes to rest: position to drawn preview", drawn)
    tell("  before the question leaves", asked)
    tell("  decoder and outline (measured alone)", [seconds(question) for question in frames.questions[first:]])
    tell("  drawing the window", drawn - arrived)
    tell("  time of all processors together", used)


def moving(frames: Frames, moves: int) -> None:
    """Never rest: a new place every sixtieth of a second, whatever is under way."""
    first, angle = len(frames.drawn), 0.0
    while len(frames.drawn) < first + moves:
        angle += 2 * np.pi / moves
        frames.preview.at(place_of(angle))
        live(1 / 60)
    tell("the mouse moves on: position to drawn preview", frames.drawn[first:])


def place_of(angle: float) -> tuple[float, float]:
    """Return a place on a circle."""
    return CENTRE[0] + REACH * np.sin(angle), CENTRE[1] + REACH * np.cos(angle)


def tell(name: str, values: Sequence[float]) -> None:
    """Print the median in milliseconds, and below what nine in ten are."""
    print(f"{name:55s} {1e3 * statistics.median(values):6.1f} ms   (90 %: {1e3 * np.quantile(values, 0.9):.1f})")


def seconds(question: PreviewQuestion) -> float:
    start = time.perf_counter()
    drain(preview_steps(question))
    return time.perf_counter() - start


def live(seconds: float) -> None:
    """Let the window live for a while."""
    loop = QEventLoop()
    QTimer.singleShot(round(1e3 * seconds), loop.quit)
    loop.exec()


def wait_until(ready: Callable[[], bool], timeout_s: float) -> None:
    """Let the window live until something is so, without keeping a processor busy."""
    loop, timer = QEventLoop(), QTimer()
    end = time.monotonic() + timeout_s
    timer.timeout.connect(lambda: loop.quit() if ready() or time.monotonic() > end else None)
    timer.start(1)
    if not ready():
        loop.exec()
    timer.stop()
    if not ready():
        raise SystemExit("it took too long")


if __name__ == "__main__":
    main()
