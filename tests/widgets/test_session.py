"""The whole session with a viewer model and without Qt."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession

FLAT = np.arange(40 * 50, dtype=np.uint8).reshape(40, 50)
STACK = np.stack([np.full((40, 50), index, np.uint8) for index in range(6)])


def names(viewer) -> list[str]:
    return [layer.name for layer in viewer.layers]


def visible_masks(viewer) -> list[str]:
    return [layer.name for layer in viewer.layers if layer.name.startswith("mask ") and layer.visible]


@pytest.fixture
def flat(session, viewer):
    session.choose_image(viewer.add_image(FLAT, name="flat"))
    return session


@pytest.fixture
def stack(session, viewer):
    viewer.add_image(STACK, name="stack", contrast_limits=(0, 5))
    viewer.dims.set_current_step(0, 2)
    session.choose_image(viewer.layers[0])
    return session


def test_a_single_point_has_three_answers_best_first(flat, viewer):
    flat.add_point((10, 20))
    assert [round(candidate.predicted_iou, 2) for candidate in flat.candidates] == [0.9, 0.8, 0.7]
    assert [round(candidate.stability_score, 2) for candidate in flat.candidates] == [0.95, 0.85, 0.75]
    assert names(viewer) == ["flat", "mask 1", "mask 2", "mask 3", "prompt boxes", "prompt points"]
    assert visible_masks(viewer) == ["mask 1"]


def test_stepping_goes_round_both_ways(flat, viewer):
    flat.add_point((10, 20))
    flat.next_candidate()
    assert visible_masks(viewer) == ["mask 2"]
    flat.previous_candidate()
    flat.previous_candidate()
    assert (flat.selected, visible_masks(viewer)) == (2, ["mask 3"])
    flat.next_candidate()
    assert flat.selected == 0
    with pytest.raises(ValueError, match="no candidate 3; there are 3"):
        flat.select_candidate(3)


def test_a_further_prompt_is_refined_by_the_chosen_candidate(flat, predictor):
    flat.add_point((10, 20))
    flat.next_candidate()
    chosen = flat.candidates[1].logits
    flat.add_point((30, 40), label=0)
    assert len(flat.candidates) == 1
    np.testing.assert_array_equal(predictor.asked[-1]["mask"], chosen)
    assert predictor.asked[-1]["labels"] == [1, 0]
    second = flat.candidates[0].logits
    flat.add_box((5, 5, 30, 30))
    np.testing.assert_array_equal(predictor.asked[-1]["mask"], second)


def test_a_moved_or_removed_prompt_is_asked_afresh(flat, predictor):
    flat.add_point((10, 20))
    flat.add_point((12, 20))
    points = flat.prompt_layers.points
    moved = points.data.copy()
    moved[0] = (5, 5)
    points.data = moved
    assert predictor.asked[-1]["points"] == [(5, 5), (12, 20)]
    assert predictor.asked[-1]["mask"] is None
    points.selected_data = {1}
    points.remove_selected()
    assert predictor.asked[-1]["points"] == [(5, 5)]
    assert predictor.asked[-1]["mask"] is None


@pytest.mark.parametrize("ending", ["accept", "clear", "image", "slice"])
def test_logits_never_reach_the_next_object(stack, viewer, predictor, ending):
    stack.add_point((10, 20))
    stack.add_point((12, 20))
    assert predictor.asked[-1]["mask"] is not None
    if ending == "accept":
        stack.accept()
    elif ending == "clear":
        stack.clear_prompts()
    elif ending == "image":
        stack.choose_image(viewer.add_image(STACK + 1, name="other", contrast_limits=(0, 6)))
    else:
        viewer.dims.set_current_step(0, 4)
    stack.add_point((10, 20))
    assert predictor.asked[-1]["mask"] is None
    assert len(predictor.asked[-1]["points"]) == 1


def test_accepting_fills_objects_and_its_dense_features(flat, viewer):
    flat.add_point((10, 20))
    flat.next_candidate()
    assert flat.accept() == 1
    flat.add_box((25, 5, 35, 15))
    assert flat.accept() == 2
    objects = viewer.layers["objects"]
    expected = np.zeros((40, 50), int)
    expected[10:15, 20:25] = 1
    expected[25:28, 5:8] = 2
    np.testing.assert_array_equal(objects.data, expected)
    assert list(objects.features["index"]) == [0, 1, 2]
    assert objects.features["predicted_iou"][1:].tolist() == pytest.approx([0.8, 0.9])
    assert objects.features["stability_score"][1:].tolist() == pytest.approx([0.85, 0.95])
    assert np.isnan(objects.features["predicted_iou"][0])
    first, second = (json.loads(text) for text in objects.features["prompts"][1:])
    assert (first["points"], first["labels"], first["model"]) == ([[10, 20]], [1], "light")
    assert second["box"] == [25, 5, 35, 15]
    assert not flat.prompts
    assert visible_masks(viewer) == []


def test_accepting_can_be_undone_in_the_layer(flat, viewer):
    flat.add_point((10, 20))
    flat.accept()
    viewer.layers["objects"].undo()
    assert not viewer.layers["objects"].data.any()


def test_accepting_nothing_says_so(flat, viewer):
    assert flat.accept() is None
    assert "click on an object first" in flat.status
    assert "objects" not in names(viewer)


def test_objects_keep_their_pixels_unless_told_otherwise(flat, viewer):
    flat.add_point((10, 20))
    flat.accept()
    flat.add_point((11, 21))
    flat.accept()
    objects = viewer.layers["objects"].data
    assert (objects[10:13, 20:23] == 1).all()
    assert (objects == 2).sum() == 5
    assert "4 px stay with other objects" in flat.status
    flat.add_point((10, 20))
    assert flat.accept() is None
    assert "cover the whole mask" in flat.status
    assert len(flat.prompts.points) == 1, "what was not accepted is not dropped"
    flat.overlap = "overwrite"
    assert flat.accept() == 3
    assert (viewer.layers["objects"].data[10:13, 20:23] == 3).all()


def test_an_accepted_object_can_be_taken_up_again_and_is_replaced(flat, viewer, predictor):
    flat.add_point((10, 20))
    flat.accept()
    flat.use_object(viewer.layers["objects"], 1)
    np.testing.assert_array_equal(predictor.asked[-1]["mask"], viewer.layers["objects"].data == 1)
    assert predictor.asked[-1]["box"] == (9.5, 19.5, 12.5, 22.5)
    flat.add_point((11, 21))
    assert flat.accept() == 1
    expected = np.zeros((40, 50), int)
    expected[11:14, 21:24] = 1
    np.testing.assert_array_equal(viewer.layers["objects"].data, expected)


def test_an_object_of_another_layer_becomes_a_new_object(flat, viewer):
    labels = np.zeros((40, 50), int)
    labels[20:30, 20:30] = 5
    flat.use_object(viewer.add_labels(labels, name="drawn"), 5)
    assert flat.prompts.mask.label == 5
    assert flat.accept() == 1
    origin = json.loads(viewer.layers["objects"].features["prompts"][1])
    assert origin["mask"] == {"layer": "drawn", "label": 5}


def test_an_object_that_is_not_there_is_refused(flat, viewer):
    layer = viewer.add_labels(np.zeros((40, 50), int), name="empty")
    with pytest.raises(ValueError, match="Object 3 of the layer 'empty' is not on this plane"):
        flat.use_object(layer, 3)
    with pytest.raises(ValueError, match="choose a Labels layer"):
        flat.use_object(viewer.layers["flat"], 1)


def test_existing_objects_are_respected(session, viewer):
    viewer.add_image(FLAT, name="flat")
    before = np.zeros((40, 50), np.uint16)
    before[0:5, 0:5] = 57
    viewer.add_labels(before, name="objects")
    session.choose_image(viewer.layers["flat"])
    session.add_point((10, 20))
    assert session.accept() == 58
    features = viewer.layers["objects"].features
    assert len(features) == 59
    assert features["index"].tolist() == list(range(59))
    assert names(viewer).count("objects") == 1


def test_a_label_painted_by_hand_is_not_given_again(flat, viewer):
    flat.add_point((10, 20))
    flat.accept()
    objects = viewer.layers["objects"]
    objects.data_setitem((np.array([30]), np.array([30])), 9)
    flat.add_point((20, 20))
    assert flat.accept() == 10


def test_more_objects_than_sixteen_bits_hold(flat, viewer):
    flat.add_point((10, 20))
    flat.accept()
    viewer.layers["objects"].data_setitem((np.array([30]), np.array([30])), 65535)
    flat.add_point((20, 20))
    assert flat.accept() == 65536
    assert viewer.layers["objects"].data[20, 20] == 65536


def test_slices_have_drafts_of_their_own_and_going_back_costs_nothing(stack, viewer, predictor):
    assert stack.plane.index == (2,)
    stack.add_point((10, 20))
    viewer.dims.set_current_step(0, 4)
    assert stack.candidates == ()
    assert visible_masks(viewer) == []
    assert not stack.prompts
    stack.add_point((5, 5))
    assert predictor.asked[-1]["of"] == 2
    assert [int(image.mean()) for image in predictor.encoded] == [2, 4]
    viewer.dims.set_current_step(0, 2)
    assert stack.prompts.points == ((10.0, 20.0),)
    assert len(stack.candidates) == 3
    assert visible_masks(viewer) == ["mask 1"]
    assert len(predictor.encoded) == 2
    stack.accept()
    viewer.dims.set_current_step(0, 4)
    assert len(stack.candidates) == 3
    stack.accept()
    objects = viewer.layers["objects"].data
    assert [np.unique(objects[index]).tolist() for index in (2, 3, 4)] == [[0, 1], [0], [0, 2]]


def test_the_preview_lies_on_its_slice_in_the_world(stack, viewer):
    viewer.layers["stack"].scale = (3.0, 2.0, 0.5)
    viewer.layers["stack"].rotate = (0, 0, 20)
    stack.add_point((10, 20))
    preview, image = viewer.layers["mask 1"], viewer.layers["stack"]
    (index,) = stack.plane.index
    assert preview.data.shape == (1, 40, 50)
    np.testing.assert_allclose(preview.data_to_world((0, 10, 20)), image.data_to_world((index, 10, 20)))
    image.translate = (0.0, 8.0, 9.0)
    np.testing.assert_allclose(preview.data_to_world((0, 10, 20)), image.data_to_world((index, 10, 20)))
    stack.accept()
    np.testing.assert_allclose(viewer.layers["objects"].data_to_world((2, 1, 1)), image.data_to_world((2, 1, 1)))


def test_contrast_is_part_of_the_embedding_and_recomputed_with_the_next_prompt(stack, viewer, predictor):
    assert predictor.limits == [(0.0, 5.0)]
    for high in (6, 7, 8):
        viewer.layers["stack"].contrast_limits = (0, high)
    assert stack.embedding_is_stale
    assert "contrast has changed" in stack.status
    assert len(predictor.encoded) == 1
    stack.add_point((10, 20))
    assert predictor.limits == [(0.0, 5.0), (0.0, 8.0)]
    assert not stack.embedding_is_stale
    assert len(stack.candidates) == 3


def test_rgb_has_no_limits_and_keeps_its_channels(session, viewer, predictor):
    session.choose_image(viewer.add_image(np.zeros((40, 50, 3), np.uint8), rgb=True))
    session.add_point((10, 20))
    assert predictor.limits == [None]
    assert predictor.encoded[0].shape == (40, 50, 3)
    session.accept()
    assert session.objects.layer.data.shape == (40, 50)


def test_multiscale_is_asked_at_full_resolution(session, viewer, predictor):
    pyramid = [FLAT, FLAT[::2, ::2]]
    session.choose_image(viewer.add_image(pyramid, multiscale=True))
    session.add_point((30, 40))
    assert predictor.encoded[0].shape == FLAT.shape
    session.accept()
    assert session.objects.layer.data[30, 40] == 1


def test_points_outside_of_the_image_are_not_asked(flat, predictor):
    flat.add_point((10, 20))
    flat.add_point((100, 20))
    assert predictor.asked[-1]["points"] == [(10.0, 20.0)]
    flat.add_box((-20, -20, 10, 10))
    assert flat.prompts.box == (-0.5, -0.5, 10, 10)


def test_wrong_values_are_refused(session, viewer):
    with pytest.raises(ValueError, match="no image is chosen"):
        session.add_point((1, 1))
    session.choose_image(viewer.add_image(FLAT))
    with pytest.raises(ValueError, match="label is 2"):
        session.add_point((1, 1), label=2)
    with pytest.raises(ValueError, match="min below max"):
        session.add_box((5, 5, 1, 9))
    with pytest.raises(ValueError, match="no tool 'lasso'"):
        session.choose_tool("lasso")
    with pytest.raises(ValueError, match="got a Labels layer"):
        session.choose_image(viewer.add_labels(np.zeros((4, 4), int)))


def test_three_dimensional_view_disables_prompting(stack, viewer):
    stack.choose_tool("points")
    viewer.dims.ndisplay = 3
    assert stack.plane is None
    assert "2-D view" in stack.status
    assert stack.prompt_layers.points.mode == "pan_zoom"
    with pytest.raises(ValueError, match="2-D view"):
        stack.add_point((1, 1))
    viewer.dims.ndisplay = 2
    stack.add_point((1, 1))
    assert len(stack.candidates) == 3


def test_polarity_is_the_label_of_a_point_without_one(flat):
    flat.toggle_polarity()
    flat.add_point((1, 1))
    flat.add_point((2, 2), label=1)
    assert flat.prompts.labels == (0, 1)
    flat.toggle_polarity()
    assert flat.polarity == "foreground"


def test_another_model_answers_the_same_prompts(viewer, new_predictor):
    made = {}

    def load(model, device):
        return made.setdefault((model, device), new_predictor(name=model))

    session = PromptSession(viewer, SynchronousRunner(), load)
    session.choose_image(viewer.add_image(FLAT))
    session.add_point((10, 20))
    session.add_point((12, 20))
    session.choose_model("vit_b")
    session.choose_device("cpu")
    assert list(made) == [("light", "auto"), ("vit_b", "auto"), ("vit_b", "cpu")]
    assert made["vit_b", "cpu"].asked == [
        {"points": [(10, 20), (12, 20)], "labels": [1, 1], "box": None, "mask": None, "of": 1}
    ]


def test_missing_weights_are_a_sentence_and_no_exception(viewer, predictor):
    def load(model, device):
        raise FileNotFoundError("The weights of vit_b are not here.")

    session = PromptSession(viewer, SynchronousRunner(), load, model="vit_b")
    session.choose_image(viewer.add_image(FLAT))
    session.add_point((10, 20))
    assert session.embedding_state.phase == "failed"
    assert session.status == "The weights of vit_b are not here."


# ---------------------------------------------------------------- work that takes time


def test_clicks_made_meanwhile_are_kept_and_asked_once(slow_session, viewer, by_hand, predictor):
    slow_session.choose_image(viewer.add_image(FLAT))
    by_hand.run_waiting()
    slow_session.add_point((10, 20))
    slow_session.add_point((12, 20), label=0)
    assert "kept" in slow_session.status
    by_hand.finish_all()
    assert len(predictor.asked) == 1
    assert predictor.asked[0]["labels"] == [1, 0]


def test_the_answer_to_an_old_click_is_dropped_and_only_the_newest_question_follows(
    slow_session, viewer, by_hand, predictor
):
    slow_session.choose_image(viewer.add_image(FLAT))
    by_hand.finish_all()
    shown = []
    slow_session.candidates_changed.connect(lambda candidates: shown.append(len(candidates)))
    slow_session.add_point((10, 20))
    slow_session.add_point((12, 20))
    slow_session.add_point((14, 20))
    assert len(by_hand.running) == 1
    by_hand.finish_all()
    assert [len(question["points"]) for question in predictor.asked] == [1, 3]
    assert [count for count in shown if count] == [1]


def test_an_answer_for_a_slice_that_was_left_is_dropped(slow_session, viewer, by_hand, predictor):
    image = viewer.add_image(STACK)
    slow_session.choose_image(image)
    by_hand.finish_all()
    slow_session.add_point((10, 20))
    viewer.dims.set_current_step(0, 0)
    by_hand.finish_all()
    assert slow_session.candidates == ()
    assert visible_masks(viewer) == []
    viewer.dims.set_current_step(0, STACK.shape[0] // 2 - 1)
    by_hand.finish_all()
    assert len(slow_session.candidates) == 3, "its prompts are still there and answered on coming back"


def test_scrubbing_encodes_only_where_the_slider_rests(slow_session, viewer, by_hand, predictor):
    slow_session.choose_image(viewer.add_image(STACK))
    by_hand.finish_all()
    for index in (0, 1, 4, 5):
        viewer.dims.set_current_step(0, index)
    by_hand.finish_all()
    assert [int(image.mean()) for image in predictor.encoded] == [2, 5]


def test_an_answer_of_a_dropped_object_is_dropped(slow_session, viewer, by_hand):
    slow_session.choose_image(viewer.add_image(FLAT))
    by_hand.finish_all()
    slow_session.add_point((10, 20))
    slow_session.clear_prompts()
    by_hand.finish_all()
    assert slow_session.candidates == ()


def test_cancel_and_a_later_click(slow_session, viewer, by_hand, predictor):
    slow_session.choose_image(viewer.add_image(FLAT))
    by_hand.run_waiting()
    task = by_hand.running[0]
    slow_session.cancel()
    assert task.cancelled
    assert slow_session.embedding_state.phase == "none"
    slow_session.add_point((10, 20))
    by_hand.finish_all()
    assert len(slow_session.candidates) == 3


# ------------------------------------------------------------------- layers that go


def test_the_image_deleted_during_work(slow_session, viewer, by_hand):
    image = viewer.add_image(FLAT)
    slow_session.choose_image(image)
    by_hand.run_waiting()
    task = by_hand.running[0]
    viewer.layers.remove(image)
    assert task.cancelled
    by_hand.finish_all()
    assert slow_session.image is None
    assert names(viewer) == []
    slow_session.choose_image(viewer.add_image(FLAT))
    slow_session.add_point((10, 20))
    by_hand.finish_all()
    assert len(slow_session.candidates) == 3


def test_prompt_layers_deleted_come_back_with_the_next_prompt(flat, viewer):
    flat.add_point((10, 20))
    viewer.layers.remove("prompt points")
    viewer.layers.remove("prompt boxes")
    assert not flat.prompts
    assert flat.candidates == ()
    flat.add_point((5, 6))
    assert flat.prompts.points == ((5.0, 6.0),)
    assert len(flat.candidates) == 3


def test_preview_and_objects_deleted_are_made_again(flat, viewer):
    flat.add_point((10, 20))
    viewer.layers.remove("mask 2")
    flat.accept()
    viewer.layers.remove("objects")
    flat.add_point((20, 20))
    assert sorted(name for name in names(viewer) if name.startswith("mask ")) == ["mask 1", "mask 2", "mask 3"]
    assert flat.accept() == 1
    assert (viewer.layers["objects"].data == 1).sum() == 9


def test_other_data_in_the_image_begin_anew(flat, viewer, predictor):
    flat.add_point((10, 20))
    viewer.layers["flat"].data = np.zeros((30, 30), np.uint8)
    assert not flat.prompts
    flat.add_point((10, 20))
    assert predictor.encoded[-1].shape == (30, 30)


def test_each_image_has_its_own_objects(session, viewer):
    first, second = viewer.add_image(FLAT, name="one"), viewer.add_image(FLAT + 1, name="two")
    for image in (first, second, first):
        session.choose_image(image)
        session.add_point((10 if image is first else 20, 20))
        session.overlap = "overwrite"
        session.accept()
    layers = [layer for layer in viewer.layers if isinstance(layer, Labels) and layer.name.startswith("objects")]
    assert sorted(int(layer.data.max()) for layer in layers) == [1, 2]


def test_closing_leaves_the_image_the_objects_and_unsaved_prompts_alone(flat, viewer):
    flat.add_point((10, 20))
    flat.accept()
    flat.add_point((20, 20))
    callbacks = len(viewer.mouse_drag_callbacks)
    flat.close()
    assert names(viewer) == ["flat", "objects", "prompt points"]
    assert len(viewer.mouse_drag_callbacks) == callbacks - 2
    viewer.layers["flat"].contrast_limits = (0, 9)
    viewer.layers.remove("objects")
    viewer.layers.clear()


def test_the_cache_is_bounded(viewer, predictor):
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: predictor, cache_bytes=2500)
    session.choose_image(viewer.add_image(STACK))
    for index in (0, 1, 2, 0):
        viewer.dims.set_current_step(0, index)
    assert len(predictor.encoded) == 5, "two fit; the slice begun with and slice 0 went"


def test_a_session_needs_no_qt():
    code = """
import sys
import numpy as np
from napari.components import ViewerModel
import napari_segany.widgets.session
from napari_segany.widgets.progress_runner import SynchronousRunner
loaded = [name for name in sys.modules if name.split(".")[0] in ("PyQt6", "PySide6", "torch")]
sys.exit(f"imported {loaded[:3]}" if loaded else 0)
"""
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-500:]


def test_plugin_proxies_are_unwrapped(viewer, predictor):
    from napari.utils._proxies import PublicOnlyProxy

    session = PromptSession(PublicOnlyProxy(viewer), SynchronousRunner(), lambda model, device: predictor)
    image = viewer.add_image(FLAT)
    session.choose_image(PublicOnlyProxy(image))
    assert session.viewer is viewer
    assert type(session.image) is Image
    session.add_point((1, 1))
    assert len(session.candidates) == 3
