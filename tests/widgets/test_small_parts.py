"""Dialogs stay beside the viewer, also when a file is to be replaced; a bar does not draw the window at once."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QMessageBox, QProgressBar, QWidget

from napari_segany.engine.progress import Progress
from napari_segany.widgets.small_parts import fill_bar, open_save_dialog


@pytest.fixture
def parent(qtbot):
    parent = QWidget()
    qtbot.addWidget(parent)
    return parent


@pytest.fixture
def save(qtbot, parent, tmp_path):
    """Return what saves under a name as people do, by the dialog's button; the files that were chosen are listed."""
    chosen, modal = [], []

    def save(name):
        def look():
            if (window := QApplication.activeModalWidget()) is not None:
                modal.append(window)
                window.close()

        dialog = open_save_dialog(parent, "Save", str(tmp_path / name), "Tables (*.csv)", chosen.append)
        QTimer.singleShot(300, look)
        dialog.accept()
        qtbot.wait(400)
        assert not modal, "a window that blocks the viewer"
        assert not dialog.isVisible()
        return chosen

    return save


def question_of(parent):
    return next((one for one in parent.findChildren(QMessageBox) if one.isVisible()), None)


def test_a_new_file_is_written_without_a_question(save, parent, tmp_path):
    assert save("new") == [str(tmp_path / "new.csv")]
    assert question_of(parent) is None


@pytest.mark.parametrize("agreed", [True, False])
def test_a_file_is_replaced_after_a_question_beside_the_viewer(save, parent, tmp_path, agreed):
    (tmp_path / "old.csv").write_text("")
    chosen = save("old")
    question = question_of(parent)
    assert chosen == []
    assert question.text() == "old.csv exists already. Replace it?"
    assert not question.isModal()
    answer = QMessageBox.StandardButton.Yes if agreed else QMessageBox.StandardButton.No
    question.button(answer).click()
    assert chosen == ([str(tmp_path / "old.csv")] if agreed else [])


def test_a_bar_is_drawn_when_the_event_is_over(qtbot):
    drawn = []

    class Bar(QProgressBar):
        def paintEvent(self, event):
            drawn.append(self.value())
            super().paintEvent(event)

    bar = Bar()
    qtbot.addWidget(bar)
    with qtbot.waitExposed(bar):
        bar.show()
    qtbot.waitUntil(lambda: bool(drawn))
    drawn.clear()
    fill_bar(bar, Progress(0, 0))
    fill_bar(bar, Progress(1, 2))
    assert drawn == []
    qtbot.waitUntil(lambda: drawn == [500])
