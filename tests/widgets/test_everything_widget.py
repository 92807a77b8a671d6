"""The dock of segmenting everything without a canvas: what it shows, and that its parts call the session."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_segany.engine.automatic_presets import PRESETS
from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.progress import Progress
from napari_segany.widgets import everything_widget
from napari_segany.widgets.catalogue import Catalogue, ModelChoice
from napari_segany.widgets.everything_asker import WorkState
from napari_segany.widgets.everything_parameters import ASKING, CHOICE_TITLES, PARAMETERS
from napari_segany.widgets.everything_run_row import RunRow
from napari_segany.widgets.everything_widget import EverythingWidget
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.settings import Settings

SHAPE = (64, 64)
DISCS = ((20, 20, 12, 200), (45, 45, 10, 240))
CATALOGUE = Catalogue((ModelChoice("light", present=True), ModelChoice("vit_b", present=True)), ("auto", "cpu"))


@pytest.fixture
def finder(discs):
    return discs.DiscFinder()


@pytest.fixture
def open_widget(viewer, finder, qtbot, monkeypatch):
    def catalogue_steps(folder):
        yield Progress(0, 0)
        return CATALOGUE

    monkeypatch.setattr(everything_widget, "catalogue_steps", catalogue_steps)

    def begin(runner=None):
        widget = EverythingWidget(
            viewer,
            runner=runner or SynchronousRunner(),
            load_predictor=lambda model, device: finder,
            settings=Settings(),
        )
        qtbot.addWidget(widget)
        widget.session.change(points_per_side=4, pred_iou_thresh=0.5, stability_score_thresh=0.5)
        return widget

    return begin


@pytest.fixture
def widget(open_widget, viewer, discs):
    viewer.add_image(discs.disc_image(SHAPE, DISCS), name="discs")
    return open_widget()


def press(qtbot, button) -> None:
    qtbot.mouseClick(button, Qt.LeftButton)


def test_every_setting_has_a_field_with_a_tip(widget):
    names = {field.name for field in fields(AutomaticSettings)} - {"point_grids"}
    assert {parameter.name for parameter in PARAMETERS} == names == set(widget.form.fields)
    for parameter in PARAMETERS:
        tip = widget.form.fields[parameter.name].toolTip()
        assert parameter.tip in tip
        assert parameter.name in tip
        told = {True: "Shows at once", False: "asked again", None: "does not change the result"}
        assert [live for live, words in told.items() if words in tip] == [parameter.live]
    assert {choice for parameter in PARAMETERS for choice in parameter.choices} <= set(CHOICE_TITLES)


def test_only_what_the_model_is_asked_needs_it_again():
    default = AutomaticSettings()
    other = {"crop_overlap_ratio": 0.1, "stability_score_offset": 2.0}
    for parameter in PARAMETERS:
        value = getattr(default, parameter.name)
        changed = other.get(parameter.name, value)
        if parameter.kind == "count":
            changed = value + 1
        elif parameter.kind == "choice":
            changed = parameter.choices[-1]
        elif changed == value:
            changed = 0.5
        asks_as_before = default.asks_as(default.replaced(**{parameter.name: changed}))
        assert asks_as_before == (parameter.live is not False), parameter.name
    assert any(parameter.live is False for parameter in ASKING)


def test_run_and_what_it_shows(widget, viewer, qtbot):
    assert widget.run_row.estimate.text().startswith("16 points: ")
    press(qtbot, widget.run_row.button)
    assert viewer.layers["everything"].data.max() == 2
    assert widget.status_label.text().startswith("2 objects.")
    assert widget.run_row.button.text() == "Run"


def test_fields_change_the_settings_and_show_them(widget):
    session, form = widget.session, widget.form
    slider = form.fields["pred_iou_thresh"]
    slider.setValue(0.9)
    assert session.settings.pred_iou_thresh == 0.9
    form.fields["min_mask_region_area"].setValue(20)
    form.fields["max_mask_area_fraction"].setValue(0)
    form.fields["ranking"].setCurrentIndex(2)
    form.fields["ranking"].activated.emit(2)
    assert session.settings.min_mask_region_area == 20
    assert session.settings.max_mask_area_fraction is None
    assert form.fields["max_mask_area_fraction"].text() == "no limit"
    assert session.settings.ranking == "mean"
    session.change(box_nms_thresh=0.25, crop_n_layers=2)
    assert form.fields["box_nms_thresh"].value() == pytest.approx(0.25)
    assert form.fields["crop_n_layers"].value() == 2


def test_presets_are_chosen_explained_and_left(widget):
    for index, preset in enumerate(PRESETS):
        widget.preset_combo.setCurrentIndex(index)
        widget.preset_combo.activated.emit(index)
        assert widget.session.settings == preset.settings
        assert widget.preset_note.text() == preset.note
    widget.session.change(pred_iou_thresh=0.33)
    assert widget.preset_combo.currentIndex() == -1
    assert widget.preset_note.text() == "Own settings."


def test_buttons_follow_the_selection(widget, viewer, qtbot):
    buttons = (widget.pick_button, widget.merge_button, widget.delete_button, widget.undo_button)
    press(qtbot, widget.run_row.button)
    assert [button.isEnabled() for button in buttons] == [False] * 4
    widget.session.editor.select((1,))
    assert [button.isEnabled() for button in buttons] == [True, False, True, False]
    press(qtbot, widget.pick_button)
    assert viewer.layers["objects"].data.max() == 1
    widget.session.editor.select((1, 2))
    press(qtbot, widget.merge_button)
    assert list(widget.session.objects) == [1]
    press(qtbot, widget.undo_button)
    assert len(widget.session.objects) == 2
    widget.session.editor.select((2,))
    press(qtbot, widget.delete_button)
    assert list(widget.session.objects) == [1]


def test_overlaps_are_painted_by_the_chosen_rule(widget):
    index = widget.painting_combo.findData("larger")
    widget.painting_combo.setCurrentIndex(index)
    widget.painting_combo.activated.emit(index)
    assert widget.session.painting == "larger"


def test_a_region_from_a_layer(widget, viewer, qtbot):
    widget.region_combo.setCurrentIndex(widget.region_combo.findData("layer"))
    widget.region_combo.activated.emit(2)
    assert not widget.region_layer.isHidden()
    assert "Draw a polygon" in widget.status_label.text()
    press(qtbot, widget.run_row.button)
    assert "No layer is chosen" in widget.status_label.text()
    shapes = viewer.add_shapes(np.array([[0, 0], [0, 32], [32, 32], [32, 0]]), shape_type="polygon")
    assert widget.session.where.region.layer is shapes
    press(qtbot, widget.run_row.button)
    assert len(widget.session.objects) == 1
    widget.region_combo.setCurrentIndex(0)
    widget.region_combo.activated.emit(0)
    assert widget.region_layer.isHidden()
    assert widget.session.where.region.kind == "image"


def test_points_from_a_layer(widget, viewer, qtbot):
    widget.points_combo.setCurrentIndex(1)
    widget.points_combo.activated.emit(1)
    assert "Add a Points layer" in widget.status_label.text()
    press(qtbot, widget.run_row.button)
    assert "No layer is chosen for the points" in widget.status_label.text()
    points = viewer.add_points([[20, 20]])
    assert widget.session.where.points is points
    assert widget.run_row.estimate.text().startswith("1 point: ")
    press(qtbot, widget.run_row.button)
    assert len(widget.session.objects) == 1
    widget.points_combo.setCurrentIndex(0)
    widget.points_combo.activated.emit(0)
    assert widget.points_layer.isHidden()
    assert widget.session.where.points is None


def test_slices_of_a_stack(open_widget, viewer, discs, qtbot):
    viewer.add_image(np.stack([discs.disc_image(SHAPE, DISCS)] * 2), contrast_limits=(0, 255))
    widget = open_widget()
    row = widget.run_row
    assert row.slices.itemText(1) == "All 2 slices"
    row.slices.setCurrentIndex(1)
    row.slices.activated.emit(1)
    assert "32 points on 2 slices" in row.estimate.text()
    press(qtbot, row.button)
    assert len(widget.session.objects) == 4


def test_a_single_image_offers_no_slices(widget):
    assert not widget.run_row.slices.isEnabled()
    assert not widget.run_row.all_slices


def test_another_model_is_measured_anew(widget, finder):
    widget.model_picker.chosen.emit("vit_b")
    assert widget.session.model == "vit_b"
    assert len(finder.encoded) == 2
    assert "about" in widget.run_row.estimate.text() or "less than" in widget.run_row.estimate.text()


def test_without_an_image_it_waits_for_one(open_widget, viewer, discs):
    widget = open_widget()
    assert widget.status_label.text() == "Open an image to begin."
    assert not widget.run_row.button.isEnabled()
    viewer.add_image(discs.disc_image(SHAPE, DISCS))
    assert widget.run_row.button.isEnabled()


def test_progress_and_what_is_left(qtbot):
    row = RunRow()
    qtbot.addWidget(row)
    row.show_state(WorkState("working", Progress(250, 1000, "Asking the points"), 75.0), possible=True)
    assert row.bar.value() == 250
    assert row.note.text() == "Asking the points. About 1 min left."
    with qtbot.waitSignal(row.cancelled):
        QTest.mouseClick(row.button, Qt.LeftButton)
    row.show_state(WorkState("working", Progress(0, 0, "Loading the model")), possible=True)
    assert row.bar.maximum() == 0
    row.show_state(WorkState(), possible=True)
    assert row.bar.isHidden()
    with qtbot.waitSignal(row.run_wanted):
        QTest.mouseClick(row.button, Qt.LeftButton)
