from __future__ import annotations

import os
import subprocess
import sys

from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtWidgets import QWidget

from napari_segany.widgets.farewell import Farewell


def delete_now() -> None:
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


class Mourned(QWidget):
    """In a reference cycle with its farewell and with itself, as real widgets are."""

    def __init__(self, called, parent=None):
        super().__init__(parent)
        self.me = self
        self.farewell = Farewell(self, lambda: called.append("gone"))


def test_it_is_called_once_when_qt_destroys_the_widget(qapp):
    called, parent = [], QWidget()
    child = Mourned(called, parent)
    assert called == []
    parent.deleteLater()
    delete_now()
    assert called == ["gone"]
    del child


COLLECTED_FIRST = """
import gc
from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtWidgets import QApplication, QWidget
from napari_segany.widgets.farewell import Farewell

class Mourned(QWidget):
    def __init__(self):
        super().__init__()
        self.me = self
        self.farewell = Farewell(self, lambda: None)

application = QApplication([])
for _ in range(20):
    widget = Mourned()
    widget.deleteLater()
    del widget
    gc.collect()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
"""


def test_the_garbage_collector_may_come_first():
    """In a process of its own, because what went wrong here once was a crash."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    finished = subprocess.run([sys.executable, "-c", COLLECTED_FIRST], env=environment, check=False)
    assert finished.returncode == 0
