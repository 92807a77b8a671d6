"""Sessions from the dock: saved, opened in another viewer, gone on with, and run as a script from the clipboard."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication
from skimage.data import coins
from tests.canvas.hands import answer, press, unfold

from napari_segany.engine.predictor import Predictor
from napari_segany.widgets.session_row import SessionRow


@pytest.fixture(scope="module")
def light():
    return Predictor("light", device="cpu")


@pytest.fixture
def image_file(tmp_path):
    tifffile.imwrite(tmp_path / "coins.tif", coins()[:140, :160])
    return tmp_path / "coins.tif"


def row_of(person):
    unfold(person.widget, "Session")
    return person.widget.findChild(SessionRow)


def says(person, words):
    person.qtbot.waitUntil(lambda: words in person.widget.status_label.text(), timeout=30_000)


def test_a_session_is_opened_in_another_viewer_gone_on_with_and_run_as_a_script(drive, light, image_file, tmp_path):
    person = drive(predictor=light, before=lambda viewer: viewer.open(str(image_file), plugin="napari"))
    person.wait_ready()
    image = person.session.image
    person.click(image, (40, 45))
    person.wait_answer(3)
    person.press(Qt.Key_W)
    person.click(image, (70, 75), Qt.RightButton)
    person.wait_answer(1)
    person.press(Qt.Key_N)
    press(person.widget.tool_row.boxes)
    person.drag(image, (20, 80), (70, 130))
    person.wait_answer(1)
    person.press(Qt.Key_N)
    press(person.widget.tool_row.points)
    person.click(image, (110, 100))
    person.wait_answer(3)
    person.press(Qt.Key_W)
    row = row_of(person)
    press(row.save)
    answer(row.dialog, tmp_path / "one")
    says(person, "Saved 2 objects and the prompts to one.session.json")
    labels, mask = person.viewer.layers["objects"].data.copy(), person.viewer.layers["mask 2"].data > 0

    again = drive(predictor=light)
    row = row_of(again)
    (tmp_path / "cut.session.json").write_text('{"image": ')
    press(row.open)
    answer(row.dialog, tmp_path / "cut.session.json")
    says(again, "cut.session.json cannot be opened")
    assert len(again.viewer.layers) == 0
    press(row.open)
    answer(row.dialog, tmp_path / "one.session.json")
    says(again, "Restored 2 objects")
    assert again.session.image.name == "coins"
    objects = again.viewer.layers["objects"]
    np.testing.assert_array_equal(objects.data, labels)
    again.qtbot.waitUntil(lambda: again.widget.candidate_list.count() == 3, timeout=30_000)
    assert again.widget.candidate_list.currentRow() == 1
    np.testing.assert_array_equal(again.viewer.layers["mask 2"].data > 0, mask)
    press(again.widget.accept_button)
    assert objects.data.max() == 3
    again.click(again.session.image, (110, 30))
    again.wait_answer(3)
    again.press(Qt.Key_N)
    assert objects.data.max() == 4
    again.press(Qt.Key_Z, Qt.ControlModifier)
    again.press(Qt.Key_Z, Qt.ControlModifier)
    assert objects.data.max() == 3

    QApplication.clipboard().setText("nothing")
    press(row.copy)
    says(again, "The script is on the clipboard")
    script = tmp_path / "script.py"
    script.write_text(QApplication.clipboard().text(), encoding="utf-8")
    command = [sys.executable, script, tmp_path / "out.tif"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), objects.data)
