"""The mask under work and what was chosen, in another viewer that goes on with a saved session."""

from __future__ import annotations

import numpy as np
import pytest
from tests.widgets.sessions.scene import changed

from napari_segany.engine.propagation_settings import PropagationSettings
from napari_segany.formats.session_file import read_session


def under_work(session):
    """The mask under work: prompts that refine each other, one of them only to a chosen mask, and a chosen mask."""
    session.viewer.dims.set_current_step(0, 1)
    session.add_point((70, 70))
    session.select_candidate(2)
    session.add_point((20, 20), label=0)
    session.add_point((75, 72))
    return session


def same_mask(one, other):
    assert len(one.candidates) == len(other.candidates)
    assert one.selected == other.selected
    for mine, others in zip(one.candidates, other.candidates, strict=True):
        np.testing.assert_array_equal(mine.mask, others.mask)
        assert mine.predicted_iou == pytest.approx(others.predicted_iou, abs=1e-5)


def test_another_viewer_has_the_chosen_candidate(begin, tmp_path):
    session = begin()
    session.add_point((70, 70))
    session.select_candidate(2)
    assert session.candidates[2].mask.sum() != session.candidates[0].mask.sum()
    session.files.save(tmp_path / "one.json")
    again = begin(with_image=False)
    again.files.open(tmp_path / "one.json")
    same_mask(again, session)
    assert again.undo()
    assert not again.candidates


def test_another_viewer_asks_again_step_by_step(begin, tmp_path):
    session = under_work(begin())
    session.files.save(tmp_path / "one.json")
    at_once = begin()
    at_once.viewer.dims.set_current_step(0, 1)
    at_once.prompt_layers.put(session.prompt_layers.marks)
    at_once.compute_embedding()
    assert at_once.prompts == session.prompts
    assert (at_once.candidates[0].mask != session.candidates[0].mask).any()  # why the order of the questions counts
    again = begin(with_image=False)
    again.files.open(tmp_path / "one.json")
    same_mask(again, session)
    again.files.save(tmp_path / "two.json")
    one, two = (read_session(tmp_path / name).choices for name in ("one.json", "two.json"))
    assert two == one
    for both in (session, again):
        both.add_point((60, 75))  # refines the same mask
    same_mask(again, session)


def test_an_object_as_prompt_is_asked_again_too(begin, tmp_path):
    session = begin()
    session.add_point((100, 100))
    session.accept()
    layer = session.objects.layer
    session.use_object(layer, 1)
    session.add_point((104, 104))
    session.files.save(tmp_path / "one.json")
    again = begin(with_image=False)
    again.files.open(tmp_path / "one.json")
    same_mask(again, session)
    session.undo()  # the object alone
    session.files.save(tmp_path / "two.json")
    again = begin(with_image=False)
    again.files.open(tmp_path / "two.json")
    same_mask(again, session)


def test_prompts_that_were_not_answered_yet_refine_the_mask(begin, tmp_path):
    session = under_work(begin())
    session.files.save(tmp_path / "one.json")

    def more(values):
        values["prompts"]["points"].append([1, 60, 75])
        values["prompts"]["labels"].append("foreground")

    changed(tmp_path / "one.json", more)
    again = begin(with_image=False)
    again.files.open(tmp_path / "one.json")
    session.add_point((60, 75))
    same_mask(again, session)


def test_contrast_of_the_time_of_the_question_counts(begin, tmp_path):
    session = begin()
    session.image.contrast_limits = (40, 120)
    under_work(session)
    session.files.save(tmp_path / "one.json")
    again = begin(with_image=False)
    again.files.open(tmp_path / "one.json")
    assert tuple(again.image.contrast_limits) != (40, 120)
    same_mask(again, session)


def test_choices_of_the_dock_come_back(begin, tmp_path):
    session = begin()
    session.choose_device("auto")
    session.preview.policy = "largest"
    session.stack.choices.direction = "backwards"
    session.stack.choices.is_time = True
    session.stack.choices.settings = PropagationSettings(min_overlap=0.25, min_predicted_iou=0.75)
    session.similar.threshold, session.similar.least_iou = 0.625, 0.5
    session.files.save(tmp_path / "one.json")
    again = begin(with_image=False)
    again.files.open(tmp_path / "one.json")
    assert again.device == "auto"
    assert again.preview.policy == "largest"
    stack = again.stack.choices
    assert (stack.direction, stack.is_time, stack.settings) == ("backwards", True, session.stack.choices.settings)
    assert (again.similar.threshold, again.similar.least_iou) == (0.625, 0.5)


def test_a_device_that_is_not_here_changes_nothing(begin, tmp_path):
    session = begin()
    session.add_point((70, 70))
    session.files.save(tmp_path / "one.json")
    changed(tmp_path / "one.json", lambda values: values["choices"].update(device="cuda:7"))
    again = begin(with_image=False)
    again.files.open(tmp_path / "one.json")
    assert again.device == "cpu"
    same_mask(again, session)


def test_a_model_that_answers_otherwise_is_asked_at_once(begin, tmp_path):
    session = under_work(begin())
    session.files.save(tmp_path / "one.json")
    changed(tmp_path / "one.json", lambda values: values["choices"]["questions"][1].update(refines=7))
    again = begin(with_image=False)
    again.files.open(tmp_path / "one.json")
    assert again.prompts == session.prompts
    assert len(again.candidates) == 1
    again.add_point((60, 75))
    assert len(again.candidates) == 1


def test_a_damaged_mask_under_work_is_told(begin, tmp_path):
    session = under_work(begin())
    session.files.save(tmp_path / "one.json")
    changed(tmp_path / "one.json", lambda values: values["choices"]["questions"][0].pop("points"))
    again = begin(with_image=False)
    again.files.open(tmp_path / "one.json")
    assert "the mask under work is damaged" in again.status
    assert not again.viewer.layers
    assert again.overlap == "keep"
