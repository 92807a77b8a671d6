"""Where the window stands still: gaps of the event loop during scripted use with `light`, by what was done.

A timer of the GUI thread ticks every few milliseconds; where it ticks late, the window stood still. Beside the time
of the clock stands the GUI thread's own processor time within the gap: where other programs run at the same time, or
a processor draws the window in a graphics card's place, the two differ. Both are also given without the rasteriser:
the GL calls in which pixels are made or copied, and bringing the picture to the screen, see `gui_drawing.py`. Another
column leaves out all that went into drawing the canvas: compiling shaders too, and what Python does for it.

The last column says what went into calls of the package. Every few milliseconds the GUI thread's stack is looked at;
where a call of the package is anywhere on it, the time since the last look is the package's, with all that napari,
Qt and numpy do for it in that call: layers added, shown and moved, events sent, files written. The rest is that of
others: what napari does at an event of the mouse before and after it calls the package, drawing the canvas, laying
out and painting the window, timers of napari. That the package's layers make those take longer is not seen there;
`--bare` has layers like them. What nobody looked at, because the looking thread did not get its turn, counts as the
package's. The last lines count the gaps above the limit by what the package took of them.

With `--where` the thread's stack is taken every two milliseconds, and the calls are printed that gaps above the limit
without drawing are made of (`--canvas`: with it). It takes a processor, and makes everything slower.

With `--bare` the same is done in napari without the package: points, a rectangle, layers shown, hidden and added.
What stands still there stands still with every plugin that uses these layers.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/gui_probe.py [--seconds 300] [--threads 1] [--bare]
        [--where [--canvas]]
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from gui_drawing import Drawing
from gui_share import Share
from gui_thread import Probe, Where
from napari import Viewer
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from skimage import data

import napari_segany

LEFT, NO_KEY = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
PLACES = ((285, 335), (361, 344), (300, 370), (255, 330), (240, 306), (271, 335), (291, 356), (322, 379))


class Hands:
    """Real events on the canvas of a viewer."""

    def __init__(self, viewer: Viewer, probe: Probe) -> None:
        self.viewer, self.probe = viewer, probe
        self.canvas = viewer.window._qt_viewer.canvas

    @property
    def native(self):
        """The canvas as Qt knows it."""
        return self.canvas.native

    def at(self, place: tuple[float, float]) -> QPoint:
        """Return where a pixel of the image is drawn."""
        transform = self.canvas.view.transform * self.canvas.view.scene.transform
        point = transform.map([place[1], place[0], 0, 1])
        return QPoint(*(round(value) for value in point[:2] / point[3]))

    def key(self, key) -> None:
        """Press a key over the canvas."""
        self.native.setFocus()
        QTest.keyClick(self.native, key)

    def click(self, place: tuple[int, int]) -> None:
        """Click on a place."""
        QTest.mouseClick(self.native, LEFT, NO_KEY, self.at(place))

    def hover(self, place: tuple[int, int]) -> None:
        """Move the mouse to a place without pressing it."""
        for step in range(20):
            here = QPointF(self.at((place[0] - 20 + step, place[1] - 20 + step)))
            above = QPointF(self.native.mapToGlobal(here.toPoint()))
            nothing = Qt.MouseButton.NoButton
            moved = QMouseEvent(QEvent.Type.MouseMove, here, above, nothing, nothing, NO_KEY)
            QApplication.sendEvent(self.native, moved)
            self.wait_for(0.025, self.probe.doing)

    def drag(self, place: tuple[int, int]) -> None:
        """Draw a box around a place."""
        first, last = self.at((place[0] - 12, place[1] - 12)), self.at((place[0] + 12, place[1] + 12))
        QTest.mousePress(self.native, LEFT, NO_KEY, first)
        for part in np.linspace(0.1, 1, 10):
            QTest.mouseMove(self.native, first + (last - first) * float(part))
            self.wait_for(0.025, self.probe.doing)
        QTest.mouseRelease(self.native, LEFT, NO_KEY, last)

    def do(self, name: str, action: Callable[[], object]) -> None:
        """Do something under a name."""
        self.probe.doing = name
        action()
        self.wait_for(0.1, name)

    def wait_for(self, seconds: float, name: str) -> None:
        """Let the window live for a while."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end, name)

    def wait(self, ready: Callable[[], bool], name: str, timeout_s: float = 60.0) -> None:
        """Let the window live until something is so."""
        self.probe.doing = name
        end = time.monotonic() + timeout_s
        while not ready() and time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.0005)


class Person(Hands):
    """Somebody who clicks, draws, chooses and accepts, with real events."""

    def __init__(self, viewer: Viewer, widget, probe: Probe, folder: Path) -> None:
        super().__init__(viewer, probe)
        self.widget, self.session, self.folder = widget, widget.session, folder

    def rounds(self) -> Iterator[None]:
        """Do everything again and again; yields between two things."""
        while True:
            for number, place in enumerate(PLACES):
                yield from self.one_object(place, number)
            yield from self.tidy_up()

    def one_object(self, place: tuple[int, int], number: int) -> Iterator[None]:
        """Point at an object, click or draw a box, choose a mask, accept it."""
        self.do("hovering", lambda: self.hover(place))
        yield
        if number % 3 == 2:
            self.do("choosing the box tool", self.widget.tool_row.boxes.click)
            self.do("drawing a box", lambda: self.drag(place))
        else:
            self.do("choosing the click tool", self.widget.tool_row.points.click)
            self.do("clicking", lambda: self.click(place))
        self.wait(lambda: bool(self.session.candidates), "waiting for masks")
        yield
        self.do("next mask", lambda: self.key(Qt.Key.Key_W))
        yield
        self.do("accepting", lambda: self.key(Qt.Key.Key_N))
        self.wait_for(0.3, "after accepting")
        yield

    def tidy_up(self) -> Iterator[None]:
        """Undo, redo, merge, many boxes, save, table, delete, another image."""
        session = self.session
        for _ in range(3):
            self.do("undo", session.undo)
            yield
        for _ in range(3):
            self.do("redo", session.redo)
            yield
        labels = session.editor.labels[-4:]
        self.do("selecting", lambda: session.editor.select(labels[:2]))
        yield
        self.do("merging", lambda: session.attempt("editor.merge"))
        yield
        boxes = [(row - 9, col - 9, row + 9, col + 9) for row, col in np.mgrid[30:480:90, 30:480:90].reshape(2, -1).T]
        self.do("25 boxes at once", lambda: session.one_each.from_boxes(boxes))
        self.wait(lambda: session.one_each.progress is None, "25 boxes at once")
        yield
        self.do("undo of 25", session.undo)
        yield
        self.do("saving the session", lambda: session.files.save(self.folder / "probe.session.json"))
        self.wait_for(0.5, "saving the session")
        yield
        self.do("opening the table", self.widget.table_dock.open)
        self.wait_for(0.5, "opening the table")
        yield
        self.do("deleting", lambda: session.editor.delete(session.editor.labels[-2:]))
        yield
        other = next(
            layer for layer in self.viewer.layers if layer.name != session.image.name and "image" in layer.name
        )
        self.do("another image", lambda: self.widget.image_combo.choose(other))
        self.wait(lambda: session.embedding_state.phase == "ready", "another image")
        self.wait(lambda: self.widget.layers_ahead.is_over, "another image, layers ahead")
        session.choose_tool("points")
        yield


class Bare(Hands):
    """The same hands in napari alone, with layers like those of the package."""

    def __init__(self, viewer: Viewer, probe: Probe) -> None:
        super().__init__(viewer, probe)
        shape = viewer.layers[-1].data.shape[:2]
        self.masks = [viewer.add_labels(np.zeros(shape, np.uint8), name=f"mask {number}") for number in (1, 2, 3)]
        self.boxes = viewer.add_shapes(name="boxes", ndim=2)
        self.points = viewer.add_points(name="points", ndim=2)

    def rounds(self) -> Iterator[None]:
        """Do everything again and again; yields between two things."""
        while True:
            for number, place in enumerate(PLACES):
                yield from self.one_object(place, number)
            self.do("a new labels layer", self.add)
            self.do("a layer removed", lambda: self.viewer.layers.remove("objects"))
            yield

    def one_object(self, place: tuple[int, int], number: int) -> Iterator[None]:
        """Add a point or a rectangle, show another mask, write one."""
        selection = self.viewer.layers.selection
        self.do("hovering", lambda: self.hover(place))
        if number % 3 == 2:
            selection.active, self.boxes.mode = self.boxes, "add_rectangle"
            self.do("drawing a box", lambda: self.drag(place))
        else:
            selection.active, self.points.mode = self.points, "add"
            self.do("clicking", lambda: self.click(place))
        yield
        mask, other = self.masks[number % 3], self.masks[(number + 1) % 3]
        self.do("next mask", lambda: self.swap(mask, other))
        self.do("a mask is written", lambda: self.write(other, place))
        yield

    def add(self) -> None:
        """Add a layer like that of the objects."""
        self.viewer.add_labels(np.zeros(self.masks[0].data.shape, np.uint16), name="objects")

    def swap(self, hidden, shown) -> None:
        """Show another layer."""
        hidden.visible, shown.visible = False, True

    def write(self, layer, place: tuple[int, int]) -> None:
        """Write a square into a layer."""
        layer.data[place[0] - 9 : place[0] + 9, place[1] - 9 : place[1] + 9] = 1
        layer.refresh(extent=False, highlight=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bare", action="store_true", help="napari alone, for comparison")
    parser.add_argument("--where", action="store_true", help="print the calls that long gaps are made of")
    parser.add_argument("--canvas", action="store_true", help="with --where: count drawing the canvas too")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    viewer = Viewer(show=True, show_welcome_screen=False)
    viewer.window.resize(1280, 800)
    with TemporaryDirectory() as folder:
        viewer.add_image(data.immunohistochemistry()[::-1, ::-1], rgb=True, name="image 2")
        viewer.add_image(data.immunohistochemistry(), rgb=True, name="image 1")
        where = Where(canvas_too=arguments.canvas) if arguments.where else None
        share = Share(Path(napari_segany.__file__).parent)
        probe = Probe(Drawing(viewer.window._qt_viewer.canvas.native), share, where)
        person = Bare(viewer, probe) if arguments.bare else opened(viewer, probe, Path(folder))
        person.wait_for(1.0, "opening")
        probe.gaps.clear()
        end, things = time.monotonic() + arguments.seconds, 0
        for _ in person.rounds():
            things += 1
            if time.monotonic() > end:
                break
        print(f"{'napari alone' if arguments.bare else 'light'}, {arguments.seconds:.0f} s, {things} things done")
        probe.report()
        if where is not None:
            where.report()
        if hasattr(os, "getloadavg"):
            print(f"\nload of the computer: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        viewer.close()


def opened(viewer: Viewer, probe: Probe, folder: Path) -> Person:
    """Return somebody who works with the package, once the image embedding is there."""
    _, widget = viewer.window.add_plugin_dock_widget("napari-segany", "Prompt segmentation")
    person = Person(viewer, widget, probe, folder)
    person.wait(lambda: widget.session.embedding_state.phase == "ready", "opening", 300)
    person.wait(lambda: widget.layers_ahead.is_over, "opening")
    return person


if __name__ == "__main__":
    main()
