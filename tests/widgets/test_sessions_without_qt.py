"""What the docks are made of works in scripts and on servers: no session needs Qt, and none loads torch to begin."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import numpy as np
from napari.components import ViewerModel
import napari_segany.widgets.batch_session
import napari_segany.widgets.everything_session
import napari_segany.widgets.session
from napari_segany.widgets.progress_runner import SynchronousRunner
unwanted = {"PyQt6", "PySide6", "qtpy.QtWidgets", "torch"}
loaded = [name for name in sys.modules if name in unwanted or name.split(".")[0] in unwanted]
sys.exit(f"imported {loaded[:3]}" if loaded else 0)
"""


def test_sessions_know_no_qt_and_load_no_torch_before_they_work():
    finished = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-500:]
