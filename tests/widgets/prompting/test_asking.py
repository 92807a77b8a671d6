"""Questions about the prompts, and their answers; everything a button does, with a viewer model and without Qt."""

from __future__ import annotations

import numpy as np
import pytest
from tests.widgets.prompting.scene import FLAT, STACK, names, visible_masks

from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession


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
