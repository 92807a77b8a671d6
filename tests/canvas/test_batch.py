"""Segmenting many images with real mouse and key events: choose, run, cancel, run again, open the results."""

from __future__ import annotations

import inspect
import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image as Picture
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_segany.engine.progress import Progress
from napari_segany.widgets.batch_widget import BatchWidget
from napari_segany.widgets.kept_masks import MASKS_KEY
from napari_segany.widgets.settings import Settings
from napari_segany.widgets.workers import BackgroundRunner

SHAPE = (64, 96)
DISCS = ((24, 24, 16, 150), (24, 24, 8, 240), (45, 70, 10, 200))  # a nucleus in its cell, and a cell apart
TIMEOUT_MS = 60_000


class DiscModel:
    """The model that finds discs."""

    def __init__(self, finder):
        self.finder = finder

    def digest_steps(self):
        yield Progress(0, 1)
        return "discs"

    def load(self):
        return self.finder


class Person:
    """Somebody in front of the viewer."""

    def __init__(self, viewer, widget, finder, qtbot):
        self.viewer, self.widget, self.finder, self.qtbot = viewer, widget, finder, qtbot
        self.session = widget.session

    def press(self, button) -> None:
        self.qtbot.mouseClick(button, Qt.LeftButton)

    def type(self, line, text) -> None:
        QTest.mouseClick(line, Qt.LeftButton)
        QTest.keyClick(line, Qt.Key_A, Qt.ControlModifier)
        QTest.keyClicks(line, str(text))

    def choose(self, combo, name) -> None:
        """Go down the list of a combo box with the keys."""
        combo.setFocus()
        while combo.currentData() != name:
            before = combo.currentIndex()
            QTest.keyClick(combo, Qt.Key_Down)
            assert combo.currentIndex() == before + 1

    def wait_idle(self) -> None:
        self.qtbot.waitUntil(lambda: not self.session.is_busy, timeout=TIMEOUT_MS)

    def says(self, text) -> None:
        def said():
            assert self.widget.status_label.text() == text

        self.qtbot.waitUntil(said, timeout=TIMEOUT_MS)


@pytest.fixture
def begin(make_napari_viewer, qtbot, discs):
    opened = []

    def open_it(images):
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1200, 950)
        for name, image in images.items():
            viewer.add_image(image, name=name)
        finder = discs.DiscFinder()
        widget = BatchWidget(viewer, make_model=lambda model, device: DiscModel(finder), settings=Settings())
        viewer.window.add_dock_widget(widget, name="Segment a folder", area="right")
        widget.session.change(points_per_side=10, pred_iou_thresh=0.5, stability_score_thresh=0.5)
        qtbot.wait(100)
        opened.append(Person(viewer, widget, finder, qtbot))
        return opened[-1]

    yield open_it
    for person in opened:
        person.finder.released.set()  # else a test that fails would wait for its worker forever


@pytest.fixture
def person(begin, discs):
    image = discs.disc_image(SHAPE, DISCS)
    return begin({"first": image, "second": image[::-1], "third": image[:, ::-1]})


def test_the_open_layers_run_cancel_run_again_and_open(person, tmp_path, discs):
    widget = person.widget
    assert widget.inputs_row.words.text() == "3 image layers: first, second, third"
    person.press(widget.run_row.button)
    person.says("Choose a folder to write into.")
    person.type(widget.output_row.line, tmp_path / "out")
    person.press(widget.output_boxes["coco"])
    assert person.session.outputs == ("labels", "csv", "coco")

    second = threading.Event()
    encode = person.finder.encode_steps

    def held_at_the_second(image, **options):
        if len(person.finder.encoded) == 1:
            person.finder.held = True
            person.finder.begun.clear()
            second.set()
        return encode(image, **options)

    person.finder.encode_steps = held_at_the_second
    person.press(widget.run_row.button)
    person.qtbot.waitUntil(lambda: second.is_set() and person.finder.begun.is_set(), timeout=TIMEOUT_MS)
    assert widget.run_row.button.text() == "Cancel"
    person.qtbot.waitUntil(lambda: widget.run_row.images_bar.format() == "1 of 3 images", timeout=TIMEOUT_MS)
    person.press(widget.run_row.button)
    person.says("Stopped: 1 of 3 images are complete. Run again to go on with the rest.")
    assert [path.name for path in (tmp_path / "out/labels").iterdir()] == ["first.tif"]

    # The cancelled run is still within its step and holds the folder; the next one waits for it.
    person.press(widget.run_row.button)
    person.qtbot.waitUntil(lambda: widget.run_row.note.text().startswith("Waiting"), timeout=TIMEOUT_MS)
    person.finder.released.set()
    person.says("3 images, 9 masks, 1 complete before.")
    assert (tmp_path / "out/coco.json").exists()

    person.press(widget.open_button)
    person.says("3 results opened.")
    for name in ("first", "second", "third"):
        layer = person.viewer.layers[f"{name} masks"]
        image = person.viewer.layers[name].data
        assert (layer.data > 0)[image > 0].mean() > 0.85
        assert len(layer.metadata[MASKS_KEY].planes[()]) == 3
    (cell,) = [
        mask for mask in person.viewer.layers["first masks"].metadata[MASKS_KEY].planes[()] if mask.record.area > 400
    ]
    assert cell.record.mask[24, 24], "the nucleus hides a part of the cell, whose mask is whole"


def test_a_folder_with_a_damaged_image(begin, discs, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    Picture.fromarray(discs.disc_image(SHAPE, DISCS)).save(folder / "good.png")
    (folder / "bad.png").write_bytes(b"nothing")
    person = begin({})
    widget = person.widget
    person.choose(widget.inputs_row.source_combo, "folder")
    person.type(widget.inputs_row.folder_row.line, folder)
    person.type(widget.output_row.line, tmp_path / "out")
    person.choose(widget.preset_combo, "sparse")
    person.press(widget.run_row.button)
    person.wait_idle()
    assert ", 1 failed: see report.csv.\n" in widget.status_label.text()
    assert "bad.png" in widget.status_label.text()
    person.press(widget.open_button)
    person.says("1 result opened.")
    assert [layer.name for layer in person.viewer.layers] == ["good", "good masks"]
    np.testing.assert_array_equal(person.viewer.layers["good"].data, discs.disc_image(SHAPE, DISCS))


def test_a_folder_that_cannot_be_written_is_said(person, tmp_path):
    (tmp_path / "file").write_text("")
    person.type(person.widget.output_row.line, tmp_path / "file" / "out")
    person.press(person.widget.run_row.button)
    person.says(f"{tmp_path / 'file' / 'out'}: Not a directory.")
    assert person.widget.run_row.button.text() == "Run"


def test_closed_while_it_runs(person, tmp_path):
    person.finder.held = True
    person.type(person.widget.output_row.line, tmp_path / "out")
    person.press(person.widget.run_row.button)
    person.qtbot.waitUntil(person.finder.begun.is_set, timeout=TIMEOUT_MS)
    person.viewer.window.remove_dock_widget(person.widget)
    person.finder.released.set()
    person.qtbot.waitUntil(lambda: person.widget._runner.running == 0, timeout=TIMEOUT_MS)
    assert [layer.name for layer in person.viewer.layers] == ["first", "second", "third"]
    assert not (tmp_path / "out/report.csv").exists()


@dataclass(frozen=True)
class Found(Progress):
    """A step that brings something, so that it is never left out."""


def test_steps_that_come_faster_than_they_are_drawn_do_not_pile_up(make_napari_viewer, qtbot):
    make_napari_viewer(show=True)  # its activity panel is what handles waiting events
    runner, depths, results = BackgroundRunner(), [], []

    def report(progress):
        depths.append(len(inspect.stack(0)))
        time.sleep(0.005)

    def flood():
        for done in range(60):
            yield Found(done, 60, "flood")
            time.sleep(0.001)
        return "over"

    runner.start("Flood", flood(), done=results.append, failed=results.append, report=report)
    qtbot.waitUntil(lambda: results == ["over"], timeout=TIMEOUT_MS)
    assert len(depths) == 60
    assert max(depths) - min(depths) < 30
    qtbot.waitUntil(lambda: runner.running == 0, timeout=TIMEOUT_MS)


def test_it_opens_by_its_plugin_name_and_fits_the_window(make_napari_viewer_proxy, discs, qtbot):
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(1280, 800)
    viewer.add_image(discs.disc_image(SHAPE, DISCS), name="discs")
    _, widget = viewer.window.add_plugin_dock_widget("napari-segany", "Segment a folder")
    assert type(widget).__name__ == "BatchWidget"
    assert widget.session.layer_names == ["discs"]
    qtbot.wait(50)
    right = widget.mapToGlobal(widget.rect().topRight()).x()
    parts = (widget.run_row.button, widget.output_row.button, widget.output_boxes["coco"], widget.open_button)
    for part in (*parts, widget.form.fields["pred_iou_thresh"]):
        assert part.mapToGlobal(part.rect().topRight()).x() <= right
    assert widget.height() <= 800
    qtbot.waitUntil(lambda: widget._runner.running == 0, timeout=TIMEOUT_MS)
