"""The main job with real mouse and key events: open, click, choose, accept; boxes, background, slices."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_segany.engine.predictor import Predictor

IMAGE = np.random.default_rng(0).integers(0, 255, (120, 160), dtype=np.uint8)


@pytest.fixture
def person(drive):
    person = drive(IMAGE)
    person.wait_ready()
    return person


def near(found, wanted, tolerance: float = 0.75) -> bool:
    return bool(np.abs(np.subtract(found, wanted)).max() <= tolerance)


def test_click_choose_the_second_mask_and_accept_it(person):
    session, viewer = person.session, person.viewer
    image = viewer.layers[0]
    assert session.image is image
    assert viewer.layers.selection.active is session.prompt_layers.points
    assert session.prompt_layers.points.mode == "add"

    person.click(image, (40, 70))
    person.wait_answer(3)

    assert near(session.prompts.points[0], (40, 70))
    masks = [layer for layer in viewer.layers if layer.name.startswith("mask ")]
    assert [layer.visible for layer in masks] == [True, False, False]
    assert [layer.features["predicted_iou"][1] for layer in masks] == pytest.approx([0.9, 0.8, 0.7])
    assert person.widget.candidate_list.count() == 3
    assert "0.90" in person.widget.candidate_list.item(0).text()

    person.press(Qt.Key_W)
    assert [layer.visible for layer in masks] == [False, True, False]
    assert person.widget.candidate_list.currentRow() == 1
    second = session.candidates[1].mask

    person.press(Qt.Key_N)
    objects = viewer.layers["objects"]
    np.testing.assert_array_equal(objects.data == 1, second)
    assert list(objects.features["index"]) == [0, 1]
    assert objects.features["predicted_iou"][1] == pytest.approx(0.8)
    assert session.prompts.points == ()
    assert session.candidates == ()
    assert len(session.prompt_layers.points.data) == 0

    person.click(image, (90, 30))
    person.wait_answer(3)
    assert person.predictor.asked[-1]["mask"] is None, "logits of the first object leaked into the second"
    person.press(Qt.Key_N)
    assert set(np.unique(objects.data)) == {0, 1, 2}


def test_shift_w_goes_back_and_u_drops_the_prompts(person):
    person.click(person.viewer.layers[0], (60, 60))
    person.wait_answer(3)
    person.press(Qt.Key_W, Qt.ShiftModifier)
    assert person.session.selected == 2
    person.press(Qt.Key_U)
    assert not person.session.prompts
    assert not any(layer.data.any() for layer in person.viewer.layers if layer.name.startswith("mask "))


@pytest.mark.parametrize(
    ("button", "modifier"), [(Qt.RightButton, Qt.NoModifier), (Qt.LeftButton, Qt.ControlModifier)]
)
def test_background_clicks_refine_with_the_logits_of_the_same_object(person, button, modifier):
    image = person.viewer.layers[0]
    person.click(image, (40, 70))
    person.wait_answer(3)
    chosen = person.session.candidates[0].logits
    person.click(image, (80, 110), button, modifier)
    person.wait_answer(1)

    assert person.session.prompts.labels == (1, 0)
    np.testing.assert_array_equal(person.predictor.asked[-1]["mask"], chosen)
    points = person.session.prompt_layers.points
    assert [str(symbol) for symbol in points.symbol] == ["disc", "cross"]
    np.testing.assert_allclose(points.face_color[:, :3], [[0, 1, 0], [1, 0, 0]], atol=0.01)


def test_q_swaps_what_a_click_means(person):
    image = person.viewer.layers[0]
    person.press(Qt.Key_Q)
    person.click(image, (30, 30))
    person.qtbot.waitUntil(lambda: len(person.session.prompts.points) == 1)
    person.click(image, (80, 90), Qt.RightButton)
    person.qtbot.waitUntil(lambda: len(person.session.prompts.points) == 2)
    assert person.session.prompts.labels == (0, 1)
    assert "Background" in person.widget.tool_row.polarity.text()


def test_drag_a_box_and_then_another_in_its_place(person):
    image = person.viewer.layers[0]
    person.widget.tool_row.boxes.click()
    assert person.viewer.layers.selection.active is person.session.prompt_layers.boxes
    person.drag(image, (20, 30), (60, 90))
    person.wait_answer(1)
    assert near(person.session.prompts.box, (20, 30, 60, 90), 1.5)

    person.drag(image, (100, 140), (70, 110))
    person.qtbot.waitUntil(lambda: person.session.prompts.box is not None and person.session.prompts.box[0] > 65)
    person.wait_answer(1)
    assert near(person.session.prompts.box, (70, 110, 100, 140), 1.5)
    assert person.session.prompt_layers.boxes.nshapes == 1
    assert person.predictor.asked[-1]["mask"] is None, "another box is another question"


def test_a_plain_click_with_the_box_tool_makes_no_box(person):
    person.widget.tool_row.boxes.click()
    person.click(person.viewer.layers[0], (50, 50))
    person.qtbot.waitUntil(lambda: person.session.prompt_layers.boxes.nshapes == 0)
    assert person.session.prompts.box is None
    assert person.predictor.asked == []


def test_points_box_and_object_mix_for_one_object(person):
    image = person.viewer.layers[0]
    labels = np.zeros(IMAGE.shape, np.uint8)
    labels[30:50, 40:70] = 7
    layer = person.viewer.add_labels(labels, name="drawn")
    layer.selected_label = 7
    person.widget.object_picker.combo.choose(layer)
    person.widget.object_picker.button.click()
    person.wait_answer(1)
    np.testing.assert_array_equal(person.predictor.asked[-1]["mask"], labels == 7)
    person.widget.tool_row.points.click()
    person.click(image, (40, 55))
    person.wait_answer(1)
    person.widget.tool_row.boxes.click()
    person.drag(image, (25, 35), (55, 75))
    person.qtbot.waitUntil(lambda: person.session.prompts.box is not None)
    person.wait_answer(1)
    prompts = person.session.prompts
    assert (len(prompts.points), prompts.box is not None, prompts.mask.label) == (1, True, 7)
    assert person.predictor.asked[-1]["mask"].shape == (8, 8)


def test_deleting_a_point_asks_anew_without_the_old_logits(person):
    image = person.viewer.layers[0]
    person.click(image, (40, 70))
    person.wait_answer(3)
    person.click(image, (60, 70))
    person.wait_answer(1)
    person.press(Qt.Key_Delete)  # the point added last is selected
    person.wait_answer(3)
    assert len(person.session.prompts.points) == 1
    assert person.predictor.asked[-1]["mask"] is None


def test_another_slice_has_a_draft_of_its_own(drive):
    stack = np.stack([np.full((100, 120), 10 * index, np.uint8) for index in range(4)])
    person = drive(stack)
    person.viewer.dims.set_current_step(0, 1)
    person.wait_ready()
    image = person.viewer.layers[0]
    person.click(image, (1, 40, 50))
    person.wait_answer(3)
    assert person.predictor.asked[-1]["of"] == 10

    person.viewer.dims.set_current_step(0, 3)
    assert person.session.candidates == ()
    person.wait_ready()
    person.click(image, (3, 60, 20))
    person.wait_answer(3)
    assert person.predictor.asked[-1]["of"] == 30
    assert person.predictor.asked[-1]["mask"] is None
    person.press(Qt.Key_N)
    assert set(np.flatnonzero(person.viewer.layers["objects"].data.any(axis=(1, 2)))) == {3}

    person.viewer.dims.set_current_step(0, 1)
    assert near(person.session.prompts.points[0], (40, 50))
    assert len(person.session.candidates) == 3
    assert person.session.embedding_state.phase == "ready", "the embedding of a slice seen before is kept"
    assert person.viewer.layers["mask 1"].visible


def test_three_dimensional_view_takes_no_prompts(drive):
    person = drive(np.zeros((5, 60, 60), np.uint8) + 7)
    person.wait_ready()
    person.viewer.dims.ndisplay = 3
    assert person.session.plane is None
    assert "2-D view" in person.widget.status_label.text()
    assert person.session.prompt_layers.points.mode == "pan_zoom"
    person.viewer.dims.ndisplay = 2
    assert person.session.plane is not None
    assert person.session.prompt_layers.points.mode == "add"


def test_candidates_can_be_picked_in_the_list(person):
    person.click(person.viewer.layers[0], (60, 80))
    person.wait_answer(3)
    person.widget.candidate_list.setCurrentRow(2)
    assert person.session.selected == 2
    assert person.viewer.layers["mask 3"].visible


def test_the_mask_under_the_mouse_is_outlined_before_the_click_and_h_switches_it(drive):
    image = np.zeros((120, 160), np.uint8)
    image[30:70, 50:110] = 220
    person = drive(image, predictor=Predictor("light", device="cpu"))
    person.wait_ready()
    session, viewer = person.session, person.viewer
    person.point_at(viewer.layers[0], (50, 80))
    person.qtbot.waitUntil(lambda: session.preview.shown is not None, timeout=20_000)
    assert viewer.layers["preview"].data.any()
    person.qtbot.waitUntil(lambda: "under the mouse: predicted IoU 0." in viewer.canvas.overlays.text.text)
    assert session.prompts.points == (), "a preview is no click"
    person.press(Qt.Key_H)
    assert not viewer.layers["preview"].data.any()
    assert not session.preview.enabled
    person.point_at(viewer.layers[0], (52, 82))
    person.qtbot.wait(200)
    assert session.preview.shown is None
    person.press(Qt.Key_H)

    person.widget.tool_row.boxes.click()
    seen = []
    session.preview.changed.connect(lambda preview: seen.append(preview) if preview is not None else None)
    # the mask of a box is outlined while it is drawn
    person.drag(viewer.layers[0], (25, 45), (75, 115), until=lambda: bool(seen))
    person.wait_answer(1)
    assert not viewer.layers["preview"].data.any()
    person.qtbot.waitUntil(lambda: "stability" in viewer.canvas.overlays.text.text)
