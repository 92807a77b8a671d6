"""What makes the docks comfortable: every control says what it does, and no key of napari's is taken."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
from napari._app_model import get_app_model
from napari._qt._qapp_model.qactions import init_qactions
from napari.components import ViewerModel
from napari.settings import get_settings
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QLineEdit,
    QScrollBar,
)

import napari_segany
from napari_segany.widgets.keys import KEYS
from napari_segany.widgets.object_table_view import ObjectTableView
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.prompt_widget import PromptWidget
from napari_segany.widgets.settings import Settings

THE_USUAL = {"Control-Z", "Control-Shift-Z"}  # undo and redo mean what they mean everywhere
CONTROLS = (QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit, QAbstractSlider, QAbstractItemView)
MANIFEST = PluginManifest.from_file(Path(napari_segany.__file__).with_name("napari.yaml"))
COMMANDS = {command.id: str(command.python_name) for command in MANIFEST.contributions.commands}
DOCKS = {widget.display_name: COMMANDS[widget.command] for widget in MANIFEST.contributions.widgets}
TABLE = "Table of objects"


@pytest.fixture
def prompt_widget(qtbot, predictor):
    def make(viewer=None):
        return PromptWidget(
            viewer or ViewerModel(),
            runner=SynchronousRunner(),
            load_predictor=lambda model, device: predictor,
            settings=Settings(),
        )

    return make


def explained(control, dock):
    """Whether it or what it is part of has a tooltip: Qt shows that of the nearest."""
    while control is not dock:
        if control.toolTip():
            return True
        control = control.parent()
    return False


@pytest.fixture
def open_dock(qtbot, prompt_widget):
    """Return what makes a dock of the manifest, by its command, or the table that opens in a dock of its own."""

    def open_one(name):
        if name == TABLE:
            session = prompt_widget().session
            dock = ObjectTableView(session.table, session.editor, lambda: None)
        else:
            make = import_python_name(DOCKS[name])
            known = {"runner": SynchronousRunner(), "settings": Settings()}
            wanted = inspect.signature(make).parameters
            dock = make(ViewerModel(), **{key: value for key, value in known.items() if key in wanted})
        qtbot.addWidget(dock)
        return dock

    return open_one


@pytest.mark.parametrize("name", [*DOCKS, TABLE])
def test_every_control_has_a_tooltip(open_dock, name):
    dock = open_dock(name)
    found = {control for kind in CONTROLS for control in dock.findChildren(kind)}
    controls = [control for control in found if not isinstance(control, QScrollBar)]
    silent = [
        f"{type(one).__name__} {one.objectName()!r} {getattr(one, 'text', str)()!r}"
        for one in controls
        if not explained(one, dock)
    ]
    assert len(controls) > 3
    assert silent == []


def parts(key):
    """The keys that are pressed together: napari writes them in different orders."""
    return frozenset(key.split("+"))


def test_no_key_is_one_that_napari_uses(qtbot):
    init_qactions()  # as when a window is opened
    in_layers = {parts(str(key)) for keys in get_settings().shortcuts.shortcuts.values() for key in keys}
    in_menus = {parts(str(key.keybinding)) for key in get_app_model().keybindings}
    assert {parts("B"), parts("Space")} <= in_layers, "napari's keys were not found"
    assert {parts("Ctrl+0"), parts("Ctrl+S")} <= in_menus, "the keys of napari's menus were not found"
    ours = {
        parts(key.key.replace("Control", "Ctrl").replace("-", "+")): key.key
        for key in KEYS
        if key.key not in THE_USUAL
    }
    assert [key for pressed, key in ours.items() if pressed in in_layers | in_menus] == []
    assert len({key.key for key in KEYS}) == len(KEYS)


def test_every_key_is_in_the_list_of_the_dock(qtbot, prompt_widget):
    widget = prompt_widget()
    qtbot.addWidget(widget)
    texts = " ".join(
        child.text() for child in widget.findChildren(object) if hasattr(child, "text") and callable(child.text)
    )
    assert [key.key for key in KEYS if not key.arguments and f"<b>{key.key}</b>" not in texts] == []
    assert {key.key for key in KEYS if key.arguments} <= {f"Control-{number}" for number in range(1, 10)}
    assert "<b>Ctrl-1 ... Ctrl-9</b>" in texts
    assert widget.classes_panel.list.item(0).text().startswith("no class  Shift-U")


def test_an_image_in_no_file_is_saved_on_request_and_the_script_says_where(qtbot, prompt_widget, tmp_path):
    viewer = ViewerModel()
    widget = prompt_widget(viewer)
    qtbot.addWidget(widget)
    row = next(child for child in widget.findChildren(object) if type(child).__name__ == "SessionRow")
    assert row.save_image.isHidden(), "there is no image"
    widget.session.choose_image(viewer.add_image(np.zeros((30, 40), np.uint8), name="mine"))
    assert not row.save_image.isHidden()
    widget.session.add_point((5, 6))
    widget.session.accept()
    row.copy.click()
    assert "The image is in no file yet: Save image" in widget.status_label.text()
    row.save_image.click()
    assert not row.dialog.isModal()
    row.dialog.fileSelected.emit(str(tmp_path / "mine.tif"))
    row.dialog.close()
    assert row.save_image.isHidden()
    assert f"segany.read_array({str(tmp_path / 'mine.tif')!r})" in QApplication.clipboard().text()
    assert "no file" not in widget.status_label.text()


def test_the_script_is_on_the_clipboard_and_dialogs_let_the_viewer_work(qtbot, prompt_widget):
    viewer = ViewerModel()
    widget = prompt_widget(viewer)
    qtbot.addWidget(widget)
    row = next(child for child in widget.findChildren(object) if type(child).__name__ == "SessionRow")
    row.copy.click()
    row.save.click()
    assert "no image yet" in widget.status_label.text()
    assert row.dialog is None
    widget.session.choose_image(viewer.add_image(np.zeros((30, 40), np.uint8)))
    widget.session.add_point((5, 6))
    widget.session.accept()
    row.copy.click()
    text = QApplication.clipboard().text()
    compile(text, "script", "exec")
    assert "segany.put_object(labels, prediction.masks[0], 1" in text
    for ask in (row.save, row.open):
        ask.click()
        assert not row.dialog.isModal()
        row.dialog.close()
    assert not any(dialog.isModal() for dialog in widget.findChildren(QDialog))


def test_two_widgets_in_two_viewers_share_nothing(qtbot, prompt_widget):
    viewers = ViewerModel(), ViewerModel()
    widgets = [prompt_widget(viewer) for viewer in viewers]
    for number, (viewer, widget) in enumerate(zip(viewers, widgets, strict=True)):
        qtbot.addWidget(widget)
        widget.session.choose_image(viewer.add_image(np.full((30, 40), number, np.uint8)))
    first, second = (widget.session for widget in widgets)
    first.add_point((5, 6))
    first.overlap = "overwrite"
    first.accept()
    assert second.prompts.points == ()
    assert second.candidates == ()
    assert second.overlap == "keep"
    assert second.objects.layer is None
    assert not second.history.can_undo
    assert "objects" not in viewers[1].layers
