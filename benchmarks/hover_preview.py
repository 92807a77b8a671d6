"""How long it takes from a mouse position to its drawn preview, with `light`, and where the time goes.

Where other programs run at the same time, the time of all processors says more than that of the clock.

The window is a real one: run it under X, or `xvfb-run -a -s "-screen 0 1600x1000x24"`. Under Xvfb a processor draws
the window as well, which a graphics card does otherwise.

    python benchmarks/hover_preview.py [--threads 2] [--moves 60]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from napari import Viewer
from qtpy.QtWidgets import QApplication
from skimage import data

from napari_segany.engine.progress import drain
from napari_segany.widgets.preview_asker import PreviewQuestion, preview_steps

CENTRE, REACH = (255.0, 297.0), 60.0


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
    canvas = viewer.window._qt_viewer.canvas.native
    preview, questions = session.preview, []
    asked, arrived, drawn, used = [], [], [], []
    frames, frame_at_change = [0], [0]
    canvas.frameSwapped.connect(lambda: frames.__setitem__(0, frames[0] + 1))
    preview.changed.connect(lambda shown: frame_at_change.__setitem__(0, frames[0]))
    preview._asker.ask, ask = (lambda question: (questions.append(question), ask(question))), preview._asker.ask
    angles = np.linspace(0, 2 * np.pi, moves, endpoint=False)
    for angle in [0.0, 0.0, 0.0, *angles]:  # the first ones make the layer and load what is loaded late
        place = CENTRE[0] + REACH * np.sin(angle), CENTRE[1] + REACH * np.cos(angle)
        start, busy = time.perf_counter(), time.process_time()
        preview.at(place)
        asked.append(time.perf_counter() - start)
        wait_until(lambda start=start: preview.shown is not None and preview.asked_at >= start, 30)
        arrived.append(time.perf_counter() - start)
        wait_until(lambda: frames[0] > frame_at_change[0], 30)
        drawn.append(time.perf_counter() - start)
        used.append(time.process_time() - busy)
    models = [seconds(question) for question in questions[-moves:]]
    part = slice(3, None)
    print(f"light, {torch.get_num_threads()} threads, {moves} positions on immunohistochemistry (512 x 512), medians")
    for name, values in (
        ("mouse position to drawn preview", drawn[part]),
        ("  of it in the GUI thread, before the question leaves", asked[part]),
        ("  of it decoder and outline (measured alone)", models),
        ("  of it drawing the window", np.subtract(drawn, arrived)[part]),
        ("time of all processors together", used[part]),
    ):
        print(f"{name:55s} {1e3 * statistics.median(values):6.1f} ms")
    print(f"{'  90 % are below':55s} {1e3 * float(np.quantile(drawn[part], 0.9)):6.1f} ms")
    if hasattr(os, "getloadavg"):
        print(f"load of the computer: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


def seconds(question: PreviewQuestion) -> float:
    start = time.perf_counter()
    drain(preview_steps(question))
    return time.perf_counter() - start


def wait_until(ready: Callable[[], bool], timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while not ready():
        QApplication.processEvents()
        time.sleep(0.0005)
        if time.monotonic() > end:
            raise SystemExit("it took too long")


if __name__ == "__main__":
    main()
