"""Preferences are kept where napari keeps its own, and read again by the next dock."""

from __future__ import annotations

from pathlib import Path

import napari.settings
import pytest
from napari.components import ViewerModel

import napari_segany
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.prompt_widget import PromptWidget

MANIFEST = Path(napari_segany.__file__).with_name("napari.yaml")


@pytest.fixture
def dock(plugin_settings, npe2pm, qtbot, predictor):
    """Return what opens a dock as the first one after a start of napari: preferences are read from the disk."""

    def open_anew():
        napari.settings._clear_plugin_settings_cache()
        made = PromptWidget(ViewerModel(), runner=SynchronousRunner(), load_predictor=lambda *_: predictor)
        qtbot.addWidget(made)
        return made

    with npe2pm.tmp_plugin(manifest=MANIFEST):
        yield open_anew


def test_policy_and_preview_are_remembered_across_a_restart(dock):
    first = dock()
    assert first.session.preview.policy == "best"
    policies = first.choosing_row.policy
    policies.setCurrentIndex(policies.findData("smallest"))
    policies.activated.emit(policies.currentIndex())
    first.session.preview.toggle()
    second = dock()
    assert second.session.preview.policy == "smallest"
    assert second.choosing_row.policy.currentData() == "smallest"
    assert not second.session.preview.enabled
    assert not second.choosing_row.preview.isChecked()
