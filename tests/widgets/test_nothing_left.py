"""A dock that was closed leaves layers in the viewer, and nothing of itself in memory."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.settings import get_plugin_settings
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QWidget

import napari_segany
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.prompt_widget import PromptWidget


def close(dock):
    """Do as napari does with a dock: take the widget out of it."""
    holder = QWidget()
    dock.setParent(holder)
    dock.setParent(None)


def left(watched):
    """Return what of this is still there."""
    for _ in range(3):  # PyQt lets go of slots in an event of its own
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        QApplication.processEvents()
        gc.collect()
    return [reference() for reference in watched if reference() is not None]


@pytest.mark.usefixtures("qapp")
def test_a_closed_dock_is_forgotten(predictor):
    viewer = ViewerModel()
    dock = PromptWidget(viewer, runner=SynchronousRunner(), load_predictor=lambda model, device: predictor)
    session = dock.session
    session.choose_image(viewer.add_image(np.zeros((30, 40), np.uint8), name="cells"))
    session.add_point((5, 6))
    session.accept()
    session.add_point((20, 20))
    watched = [weakref.ref(session), weakref.ref(dock), weakref.ref(session.objects), weakref.ref(session.editor)]
    dock._tear_down()  # what napari's closing of the dock leads to
    dock.deleteLater()
    del session, dock
    assert left(watched) == []
    assert {"cells", "objects"} <= {layer.name for layer in viewer.layers}


@pytest.mark.usefixtures("qapp")
def test_two_viewers_know_nothing_of_each_other(predictor):
    viewers = [ViewerModel(), ViewerModel()]
    docks = [
        PromptWidget(viewer, runner=SynchronousRunner(), load_predictor=lambda model, device: predictor)
        for viewer in viewers
    ]
    for viewer, dock in zip(viewers, docks, strict=True):
        dock.session.choose_image(viewer.add_image(np.zeros((30, 40), np.uint8), name="cells"))
    docks[0].session.add_point((5, 6))
    docks[0].session.accept()
    docks[0].session.add_point((20, 20))
    assert len(docks[0].session.candidates) == 3
    assert docks[1].session.candidates == ()
    assert not docks[1].session.prompts
    assert not docks[1].session.history.can_undo
    assert "objects" not in {layer.name for layer in viewers[1].layers}
    watched = [[weakref.ref(dock), weakref.ref(dock.session)] for dock in docks]
    first, second = docks
    del dock, docks
    close(first)
    del first
    assert left(watched[0]) == []
    second.session.add_point((7, 8))
    assert len(second.session.candidates) == 3
    close(second)
    gone = [weakref.ref(one) for one in viewers]
    del second, viewer, viewers
    assert left([*watched[1], *gone]) == []


def test_preferences_do_not_hold_a_closed_dock(plugin_settings, npe2pm, qapp, predictor):
    with npe2pm.tmp_plugin(manifest=Path(napari_segany.__file__).with_name("napari.yaml")):
        viewer = ViewerModel()
        dock = PromptWidget(viewer, runner=SynchronousRunner(), load_predictor=lambda model, device: predictor)
        get_plugin_settings("napari-segany").segany.overlap_rule = "smaller"
        assert dock.session.overlap == "smaller"
        watched = [weakref.ref(dock), weakref.ref(dock.session), weakref.ref(dock._watch)]
        close(dock)
        del dock
        assert left(watched) == []
        get_plugin_settings("napari-segany").segany.overlap_rule = "keep"
