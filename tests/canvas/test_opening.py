"""The widget as napari itself opens it, and how it ends with its dock or window."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QApplication, QListWidget

IMAGE = np.random.default_rng(0).integers(0, 255, (60, 80), dtype=np.uint8)


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    """Return a viewer as plugins get it."""
    viewer = make_napari_viewer_proxy(show=True)
    viewer.add_image(IMAGE, name="image")
    return viewer


def open_by_name(viewer):
    return viewer.window.add_plugin_dock_widget("napari-segany", "Prompt segmentation")


def test_it_opens_by_its_plugin_name_and_is_complete(viewer, qtbot):
    dock, widget = open_by_name(viewer)
    qtbot.waitUntil(lambda: bool(dock.isVisible()))
    assert type(widget).__name__ == "PromptWidget"
    assert widget.session.image.name == "image"
    assert widget.model_picker.currentData() == "light"
    qtbot.waitUntil(lambda: widget.model_picker.count() > 5, timeout=30_000)
    assert widget.device_combo.findText("cpu") >= 0
    qtbot.waitUntil(lambda: widget.session.embedding_state.phase in ("ready", "failed"), timeout=60_000)


def test_menu_and_name_open_the_same_dock(viewer):
    _, widget = open_by_name(viewer)
    bar = viewer.window._qt_window.menuBar()
    (layers,) = [action.menu() for action in bar.actions() if action.text().replace("&", "") == "Layers"]
    layers.aboutToShow.emit()
    (segment,) = [action.menu() for action in layers.actions() if action.text().replace("&", "") == "Segment"]
    segment.aboutToShow.emit()
    (entry,) = [action for action in segment.actions() if "Prompt segmentation" in action.text()]
    entry.trigger()
    QApplication.processEvents()
    docks = [name for name in viewer.window.dock_widgets if "Prompt segmentation" in name]
    assert len(docks) == 1
    assert viewer.window.dock_widgets[docks[0]] == widget


def test_the_close_button_of_the_dock_ends_the_session(viewer, qtbot):
    dock, widget = open_by_name(viewer)
    assert "prompt points" in [layer.name for layer in viewer.layers]
    dock.title.close_button.click()
    qtbot.waitUntil(lambda: [layer.name for layer in viewer.layers] == ["image"])
    _, again = open_by_name(viewer)
    assert again is not widget
    assert again.session.image is not None


# The dock of prompts comes last: when it goes, a Shapes layer goes, and napari alone does not survive drawing after
# that on Mesa's software OpenGL.
DOCKS = (
    "Segment everything",
    "Segment a folder",
    "Edges of everything",
    "Review masks",
    "Rasters on Earth",
    "Prompt segmentation",
)


def test_a_closed_dock_is_gone_from_memory(viewer, qtbot):
    def open_and_close(name):
        dock, widget = viewer.window.add_plugin_dock_widget("napari-segany", name)
        if name == "Prompt segmentation":
            qtbot.waitUntil(lambda: widget.session.embedding_state.phase in ("ready", "failed"), timeout=60_000)
        watched = [weakref.ref(widget), weakref.ref(widget.session)]
        dock.title.close_button.click()
        return watched

    def left(watched):
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        gc.collect()
        return [type(one()).__name__ for one in watched if one() is not None]

    for name in DOCKS:
        watched = open_and_close(name)
        qtbot.waitUntil(lambda watched=watched: left(watched) == [], timeout=20_000)


def test_settings_open_on_the_page_of_the_plugin(viewer, qtbot):
    _, widget = open_by_name(viewer)
    qtbot.mouseClick(widget.view_row.settings, Qt.LeftButton)
    (pages,) = viewer.window._qt_window.findChildren(QListWidget, "Preferences")
    dialog = pages.window()
    assert dialog.isVisible()
    assert not dialog.isModal()
    assert pages.currentItem().text() == "napari-segany"
    dialog.close()


def test_nothing_is_cut_off_in_a_window_of_1280_by_800(viewer, qtbot):
    viewer.window.resize(1280, 800)
    dock, widget = open_by_name(viewer)
    qtbot.wait(50)
    right = widget.mapToGlobal(widget.rect().topRight()).x()
    for part in (widget.progress_row.button, widget.tool_row.polarity, widget.accept_button, widget.candidate_list):
        assert part.mapToGlobal(part.rect().topRight()).x() <= right
    assert widget.height() <= 800
    assert dock.width() < 1280 * 0.35
