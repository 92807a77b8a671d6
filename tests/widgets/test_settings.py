"""Preferences are kept where napari keeps its own, and read again by the next dock."""

from __future__ import annotations

from pathlib import Path

import napari.settings
import pytest
from napari.components import ViewerModel

import napari_segany
from napari_segany.widgets.batch_widget import BatchWidget
from napari_segany.widgets.candidate_layers import CANDIDATE_COLOURS
from napari_segany.widgets.edges_widget import EdgesWidget
from napari_segany.widgets.engine_widget import EngineWidget
from napari_segany.widgets.everything_widget import EverythingWidget
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.prompt_widget import PromptWidget
from napari_segany.widgets.section import Section
from napari_segany.widgets.view_row import SIMPLE

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


def test_the_simple_view_overlaps_and_colours_are_remembered_too(dock):
    first = dock()
    parts = {section.text(): section for section in first.findChildren(Section)}
    assert {"Stack", "Find similar", "Folder of images", "Keys"} <= set(parts)
    assert not any(part.isHidden() for part in parts.values())
    first.view_row.all_tools.click()
    overlaps = first.objects_row.overlap
    overlaps.setCurrentIndex(overlaps.findData("smaller"))
    overlaps.activated.emit(overlaps.currentIndex())
    values = napari.settings.get_plugin_settings("napari-segany").segany
    values.mask_colours, values.preview_colour = "#ff0000, nonsense", "#00FF00"
    second = dock()
    shown = {section.text() for section in second.findChildren(Section) if not section.isHidden()}
    assert shown == set(SIMPLE)
    assert (second.session.overlap, second.objects_row.overlap.currentData()) == ("smaller", "smaller")
    assert second.session._conversation.layers.colours == ("#ff0000", *CANDIDATE_COLOURS[1:]), (
        "bad ones are the usual"
    )
    assert second.session.preview.layer.colour == "#00ff00"
    second.view_row.all_tools.click()
    assert not any(section.isHidden() for section in second.findChildren(Section))


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


def test_the_precision_of_the_preferences_is_that_of_the_next_dock(dock, qtbot, monkeypatch):
    asked = []

    def loader(folder, places=None, precision="not given"):
        asked.append(precision)
        return lambda model, device: None

    def batch_model(folder, precision="not given"):
        asked.append(precision)
        return lambda model, device: None

    names = ("prompt", "everything", "edges", "engine")
    for name in names:
        monkeypatch.setattr(f"napari_segany.widgets.{name}_widget.predictor_loader", loader)
    monkeypatch.setattr("napari_segany.widgets.batch_widget.named_model", batch_model)
    dock()  # registers the preferences
    for precision in ("auto", "bfloat16"):
        napari.settings.get_plugin_settings("napari-segany").segany.precision = precision
        asked.clear()
        for made in (PromptWidget, EverythingWidget, EdgesWidget, EngineWidget, BatchWidget):
            qtbot.addWidget(made(ViewerModel(), runner=SynchronousRunner()))
        assert asked == [precision] * 5
