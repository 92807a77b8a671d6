"""Real clicks on the buttons for many prompts at once, for sessions, and for a folder of images."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from tests.canvas.conftest import DiscPredictor
from tests.widgets.test_one_each import SIDE, Batches

from napari_segany.formats.session_file import read_session
from napari_segany.widgets.section import Section
from napari_segany.widgets.series_panel import SeriesPanel
from napari_segany.widgets.session_row import SessionRow


class ManyDiscs(Batches):
    """Answers many prompts in logits, and a click with discs."""

    def encode_steps(self, image, *, contrast_limits=None):
        embedding = yield from super().encode_steps(image, contrast_limits=contrast_limits)
        embedding.mean = 0.0
        return embedding

    def predict(self, embedding, **prompts):
        return DiscPredictor().predict(embedding, **prompts)


@pytest.fixture
def person(drive):
    person = drive(np.zeros((SIDE, SIDE), np.uint8), predictor=ManyDiscs(), contrast_limits=(0, 1))
    person.wait_ready()
    return person


def press(button):
    assert button.isEnabled()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def unfold(person, title):
    (section,) = [one for one in person.widget.findChildren(Section) if one.text() == title]
    button = section.toggleButton()
    press(button)
    person.qtbot.waitUntil(lambda: section.content().height() > 20)


def test_one_object_per_point_then_undo_script_and_session_file(person, tmp_path):
    session, panel = person.session, person.widget.one_each_panel
    seeds = person.viewer.add_points([(20, 20), (60, 60), (100, 30)], name="seeds")
    unfold(person, "One object per point or box")
    panel.layers.choose(seeds)
    assert panel.make.text() == "One object per point (3)"
    press(panel.make)
    person.qtbot.waitUntil(lambda: session.objects.labels == (1, 2, 3), timeout=20_000)
    person.widget.tool_row.points.click()
    person.press(Qt.Key_Z, Qt.ControlModifier)
    assert session.objects.labels == ()
    person.press(Qt.Key_Z, Qt.ControlModifier | Qt.ShiftModifier)
    assert session.objects.labels == (1, 2, 3)

    unfold(person, "Session")
    row = person.widget.findChild(SessionRow)
    press(row.copy)
    person.qtbot.waitUntil(lambda: "segany.one_each" in QApplication.clipboard().text(), timeout=20_000)
    press(row.save)
    assert not row.dialog.isModal()
    row.dialog.fileSelected.emit(str(tmp_path / "one.session.json"))
    row.dialog.close()
    person.qtbot.waitUntil((tmp_path / "one.session.json").exists, timeout=20_000)
    (step,) = read_session(tmp_path / "one.session.json").log.steps
    assert step.points == ((20, 20), (60, 60), (100, 30))
    assert step.labels == (1, 2, 3)


def test_a_folder_is_worked_through_with_buttons(person, tmp_path):
    for name in ("a", "b"):
        Image.fromarray(np.full((SIDE, SIDE), 7, np.uint8)).save(tmp_path / f"{name}.png")
    series, panel = person.session.series, person.widget.findChild(SeriesPanel)
    unfold(person, "Folder of images")
    press(panel.open)
    assert not panel.dialog.isModal()
    panel.dialog.fileSelected.emit(str(tmp_path))
    panel.dialog.close()
    person.qtbot.waitUntil(lambda: person.session.image is not None and person.session.image.name == "a")
    person.wait_ready()
    person.click(person.session.image, (40, 40))
    person.wait_answer(3)
    person.press(Qt.Key_N)
    press(panel.done)
    person.qtbot.waitUntil(lambda: person.session.image is not None and person.session.image.name == "b")
    assert series.statuses[0] == "done"
    assert (tmp_path / "segany" / "a.png.labels.tif").exists()
    press(panel.previous)
    person.qtbot.waitUntil(lambda: person.session.image is not None and person.session.image.name == "a")
    person.qtbot.waitUntil(lambda: person.session.objects.labels == (1,))
