"""Preferences are kept where napari keeps its own, and read again by the next dock."""

from __future__ import annotations

from pathlib import Path

import napari.settings
import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers._source import layer_source

import napari_segany
from napari_segany.engine.mask_cleaning import CleanUp
from napari_segany.widgets.batch_widget import BatchWidget
from napari_segany.widgets.candidate_layers import CANDIDATE_COLOURS
from napari_segany.widgets.catalogue import Catalogue, ModelChoice
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


@pytest.fixture
def page(dock):
    """What napari's page of preferences writes into."""
    return lambda: napari.settings.get_plugin_settings("napari-segany").segany


def test_what_is_changed_on_the_page_holds_in_a_dock_that_is_open(dock, page):
    made = dock()
    session = made.session
    session.choose_image(session.viewer.add_image(np.zeros((30, 40), np.uint8)))
    session.add_point((5, 6))
    page().update(
        {
            "candidate_policy": "largest",
            "overlap_rule": "smaller",
            "preview": False,
            "all_tools": False,
            "compute_ahead": False,
            "mask_colours": "#ff0000",
            "preview_colour": "#00ff00",
            "device": "cpu",
        }
    )
    assert session.preview.policy == made.choosing_row.policy.currentData() == "largest"
    assert session.overlap == made.objects_row.overlap.currentData() == "smaller"
    assert not session.preview.enabled
    assert not made.choosing_row.preview.isChecked()
    shown = {section.text() for section in made.findChildren(Section) if not section.isHidden()}
    assert shown == set(SIMPLE)
    assert not session.stack.ahead.enabled
    assert not session.windows.enabled
    np.testing.assert_array_equal(session.viewer.layers["mask 1"].get_color(2), [1, 0, 0, 1])
    assert session.preview.layer.colour == "#00ff00"
    assert session.device == made.device_combo.currentText() == "cpu"
    assert len(session.candidates) == 3
    assert session.candidates[session.selected].mask.sum() == 49, "the largest of the three is shown"


def test_a_model_is_taken_over_once_its_name_is_known(dock, page):
    made = dock()
    page().model = "ligh"
    assert made.session.model == "light"
    made.model_picker.set_catalogue(Catalogue((ModelChoice("vit_x", present=True),), ("auto", "cpu")))
    page().model = "vit_x"
    assert made.session.model == "vit_x"
    assert made.model_picker.currentData() == "vit_x"


def test_model_and_device_chosen_in_the_dock_are_remembered(dock, page, tmp_path):
    first = dock()
    first.model_picker.chosen.emit("some.pth")
    first.device_combo.textActivated.emit("cpu")
    assert (page().model, page().device) == ("some.pth", "cpu")
    first.device_combo.textActivated.emit("cuda:1")
    assert (first.session.device, page().device) == ("cuda:1", "cuda")
    second = dock()
    assert (second.session.model, second.session.device) == ("some.pth", "cuda")


def test_docks_that_are_open_keep_what_was_chosen_in_them(plugin_settings, npe2pm, qtbot, predictor):
    with npe2pm.tmp_plugin(manifest=MANIFEST):
        napari.settings._clear_plugin_settings_cache()
        docks = [
            PromptWidget(ViewerModel(), runner=SynchronousRunner(), load_predictor=lambda *_: predictor)
            for _ in range(2)
        ]
        for dock in docks:
            qtbot.addWidget(dock)
        docks[0].objects_row.overlap_chosen.emit("overwrite")
        docks[0].device_combo.textActivated.emit("cpu")
        assert (docks[1].session.overlap, docks[1].session.device) == ("keep", "auto")
        napari.settings.get_plugin_settings("napari-segany").segany.candidate_policy = "middle"
        assert [dock.session.preview.policy for dock in docks] == ["middle", "middle"]
        assert (docks[1].session.overlap, docks[1].session.device) == ("keep", "auto")


def test_a_closed_dock_listens_no_longer(dock, page):
    made = dock()
    session = made.session
    made._tear_down()
    page().overlap_rule = "overwrite"
    assert session.overlap == "keep"


def test_a_session_that_is_opened_shows_its_choices_in_the_dock(dock, tmp_path):
    tifffile.imwrite(tmp_path / "cells.tif", np.zeros((30, 40), np.uint8))
    first = dock()
    with layer_source(path=str(tmp_path / "cells.tif")):
        first.session.choose_image(first.session.viewer.add_image(np.zeros((30, 40), np.uint8)))
    first.session.overlap, first.session.preview.policy = "smaller", "middle"
    first.session.editor.cleaning, first.session.editor.clean_accepted = CleanUp(fill_holes=True, smooth=3), True
    first.session.files.save(tmp_path / "one.json")
    second = dock()
    second.session.files.open(tmp_path / "one.json")
    row = second.objects_row
    assert (row.overlap.currentData(), second.choosing_row.policy.currentData()) == ("smaller", "middle")
    assert (row.cleaning, row.clean_accepted.isChecked()) == (CleanUp(fill_holes=True, smooth=3), True)
    assert second.session.editor.cleaning == CleanUp(fill_holes=True, smooth=3)
