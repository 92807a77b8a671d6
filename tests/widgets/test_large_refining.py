"""Further prompts on a plane that is asked in windows go on from the chosen mask, in a saved session too."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_segany.engine.progress import drain
from napari_segany.engine.replay import replay_steps
from napari_segany.engine.tiling import Window
from napari_segany.formats.session_file import read_session, write_session
from napari_segany.formats.session_steps import SavedPixels, SavedQuestion
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession
from napari_segany.widgets.stack_line import StackLine
from napari_segany.widgets.stack_prompts import what_was_said

SIDE, WINDOW = 1100, 128
HERE, BESIDE, AWAY = (505, 505), (508, 520), (900, 900)
OBJECT = slice(500, 520), slice(500, 512)

pytestmark = pytest.mark.usefixtures("_small_ones_count_as_large")


@pytest.fixture
def predictor(tiles):
    """Leaves out as many rows of an object as the logits say that it refines; its own logits say more."""

    class Counting(tiles.ComponentPredictor):
        def predict(self, embedding, *, points=None, labels=None, box=None, mask=None):
            found = super().predict(embedding, points=points, labels=labels, box=box, mask=mask)
            before = 0 if mask is None or mask.dtype == bool else float(mask[0, 0])
            is_vague = mask is None and box is None and len(points) == 1
            values = [10 * before + rank + 1 for rank in range(3 if is_vague else 1)]
            masks = np.repeat(found.masks, len(values), axis=0)
            first = int(np.flatnonzero(masks[0].any(axis=1))[0])
            for one, value in zip(masks, values, strict=True):
                one[: first + int(value) % 9] = False
            scores = np.linspace(0.9, 0.7, len(values), dtype=np.float32)
            logits = np.stack([np.full((4, 4), value, np.float32) for value in values])
            return replace(found, masks=masks, predicted_iou=scores, stability_score=scores, logits=logits)

    return Counting(side=WINDOW)


@pytest.fixture
def begin(predictor):
    """Begin a session in a viewer of its own, looking at the whole image from `zoom`."""

    def begin(pixels=None, zoom=4.0, runner=None):
        viewer = ViewerModel()
        if pixels is None:
            pixels = np.zeros((SIDE, SIDE), np.uint8)
            pixels[OBJECT] = 200
        image = viewer.add_image(pixels, contrast_limits=(0, 255), name="large")
        viewer.scene.camera.zoom = zoom
        session = PromptSession(viewer, runner or SynchronousRunner(), lambda model, device: predictor)
        session.choose_image(image)
        return session

    return begin


def rows_left_out(session) -> int:
    return int(np.argwhere(session.candidates[session.selected].mask)[0, 0]) - OBJECT[0].start


def same_mask(one, other):
    assert len(one.candidates) == len(other.candidates)
    assert one.selected == other.selected
    for mine, others in zip(one.candidates, other.candidates, strict=True):
        np.testing.assert_array_equal(mine.mask, others.mask)
        np.testing.assert_array_equal(mine.logits, others.logits)


def test_a_further_prompt_goes_on_from_the_chosen_mask_in_its_window(begin, predictor):
    session = begin()
    session.add_point(HERE)
    session.select_candidate(1)
    (window,) = session.windows.ready
    session.add_point(BESIDE, label=0)
    asked = predictor.asked[-1]
    assert asked["mask"][0, 0] == 2
    assert asked["points"] == [list(window.to_window(*HERE)), list(window.to_window(*BESIDE))]
    assert rows_left_out(session) == 21 % 9
    session.add_box((498, 498, 522, 514))
    assert predictor.asked[-1]["mask"][0, 0] == 21
    assert session.windows.ready == (window,)
    assert rows_left_out(session) == 211 % 9


def test_a_prompt_that_leaves_the_window_is_asked_anew(begin, predictor):
    session = begin()
    session.add_point(HERE)
    session.add_point(AWAY)
    assert predictor.asked[-1]["mask"] is None
    assert [one.refines for one in session._conversation.asked] == [None]
    session.add_point(BESIDE, label=0)
    assert predictor.asked[-1]["mask"][0, 0] == 1
    assert [one.refines for one in session._conversation.asked] == [None, 0]


def test_a_moved_prompt_is_asked_anew(begin, predictor):
    session = begin()
    session.add_point(HERE)
    session.add_point(BESIDE)
    points = session.prompt_layers.points
    points.data = np.array([(506, 506), BESIDE])
    assert predictor.asked[-1]["mask"] is None


def test_who_looks_closer_is_answered_from_a_finer_window(begin, predictor):
    session = begin(zoom=0.3)
    session.add_point(HERE)
    (coarse,) = session.windows.ready
    assert coarse.level > 0
    session.add_point((507, 507))
    assert session.windows.ready == (coarse,)
    assert predictor.asked[-1]["mask"] is not None
    session.viewer.scene.camera.zoom = 4
    session.add_point((508, 508))
    assert predictor.asked[-1]["mask"] is None
    assert session.windows.ready[-1].level == 0


def test_an_undone_prompt_leaves_what_was_chosen_before_it(begin, predictor):
    session = begin()
    session.add_point(HERE)
    session.select_candidate(2)
    session.add_point(BESIDE, label=0)
    count, after = len(predictor.asked), rows_left_out(session)
    session.undo()
    assert (len(session.candidates), session.selected) == (3, 2)
    session.redo()
    assert (len(session.candidates), rows_left_out(session)) == (1, after)
    session.undo()
    assert len(predictor.asked) == count, "nothing is asked again"
    session.add_point((515, 520), label=0)
    assert predictor.asked[-1]["mask"][0, 0] == 3
    assert [one.refines for one in session._conversation.asked] == [None, 2]


def test_an_object_that_is_open_again_is_refined_by_its_answers(begin, predictor):
    session = begin()
    session.add_point(HERE)
    session.accept()
    session.editor.reopen(1)
    session.add_point(BESIDE, label=0)
    assert predictor.asked[-1]["mask"].dtype == bool, "the object, which is no answer"
    session.add_point((515, 520), label=0)
    assert predictor.asked[-1]["mask"][0, 0] == 1


def test_the_mask_under_work_comes_back_in_another_viewer(begin, predictor, tmp_path):
    session = begin()
    session.add_point(HERE)
    session.select_candidate(2)
    session.add_point(BESIDE, label=0)
    session.image.contrast_limits = (0, 100)
    for row in (515, 517):
        session.add_point((row, 520), label=0)
    session.files.save(tmp_path / "one.json")
    again = begin(zoom=0.2)
    again.add_point((600, 600))  # in another window, of a coarser level
    again.files.open(tmp_path / "one.json")
    same_mask(again, session)
    assert predictor.limits[-3:] == [(0, 255), (0, 255), (0, 100)], "a window for each contrast, after that elsewhere"
    assert [one["mask"] is None for one in predictor.asked[-4:]] == [True, False, False, False]
    again.files.save(tmp_path / "two.json")
    one, two = (read_session(tmp_path / name).choices["questions"] for name in ("one.json", "two.json"))
    assert two == one
    for both in (session, again):
        both.add_point((503, 520), label=0)
    same_mask(again, session)
    assert again.undo()
    other = begin()
    other.files.open(tmp_path / "two.json")
    same_mask(again, other)


def test_every_window_of_a_session_that_is_opened_tells_how_far_it_is(begin, predictor, by_hand, tmp_path):
    session = begin()
    session.add_point(HERE)
    session.image.contrast_limits = (0, 100)
    session.add_point(BESIDE, label=0)
    session.files.save(tmp_path / "one.json")
    again, before, told = begin(runner=by_hand), len(predictor.begun), set()

    def tell(state):
        if state.phase == "working" and state.progress.note == "Computing the embedding of a part of the image":
            told.add(len(predictor.begun) - before)

    again.embedding_changed.connect(tell)
    again.files.open(tmp_path / "one.json")
    by_hand.finish_all()
    assert again.embedding_state.phase == "ready"
    assert predictor.limits[-2:] == [(0, 255), (0, 100)]
    assert told == {1, 2}, "those of another contrast too"


def test_an_opened_object_under_work_comes_back_with_its_refined_mask(begin, tmp_path):
    session = begin()
    session.add_point(HERE)
    session.accept()
    session.use_object(session.objects.layer, 1)
    for name in ("object.json", "refined.json"):
        session.files.save(tmp_path / name)
        again = begin()
        again.files.open(tmp_path / name)
        same_mask(again, session)
        session.add_point(BESIDE, label=0)
        session.add_point((515, 520), label=0)


def test_questions_that_are_kept_otherwise_are_asked_at_once(begin, predictor, tmp_path):
    session = begin()
    session.add_point(HERE)
    session.add_point(BESIDE, label=0)
    session.files.save(tmp_path / "one.json")
    saved = read_session(tmp_path / "one.json")
    questions = saved.choices["questions"]
    assert [SavedQuestion.from_dict(one).to_dict() for one in questions] == questions
    whole = [{name: value for name, value in one.items() if name != "window"} for one in questions]
    outside = [{**one, "window": [0, 1000, 0, 1128, 128]} for one in questions]
    for kept in ([], whole, outside):  # the first as by versions that kept none of large planes
        write_session(tmp_path / "other.json", replace(saved, choices={**saved.choices, "questions": kept}))
        again = begin()
        again.files.open(tmp_path / "other.json")
        assert again.prompts == session.prompts
        assert predictor.asked[-1]["mask"] is None
        assert rows_left_out(again) == 1


def test_accepted_objects_replay_to_the_pixel_and_ask_nothing(begin, tmp_path, monkeypatch):
    session = begin()
    for chosen in (2, 1):
        session.add_point(HERE)
        session.select_candidate(chosen)
        session.add_point(BESIDE, label=0)
        session.accept()
        session.overlap = "overwrite"
    session.add_point(HERE)
    session.add_point(BESIDE, label=0)
    session.files.save(tmp_path / "one.json")
    saved = read_session(tmp_path / "one.json")
    assert [type(step) for step in saved.log.steps] == [SavedPixels] * 2
    assert saved.image["planes"] == [], "a large plane is not read as a whole to be saved"
    found = drain(replay_steps(saved, session.image.data, None))
    assert found.differing == 0
    np.testing.assert_array_equal(found.labels, session.objects.layer.data)
    script = session.files.script()
    assert "The mask under work is left out: it was found in a window" in script
    monkeypatch.setattr(sys, "argv", ["script.py"])
    made = {}
    exec(script, made)
    np.testing.assert_array_equal(made["labels"], session.objects.layer.data)


def test_masks_on_large_slices_are_carried_as_pixels(begin, tmp_path):
    pixels = np.zeros((2, SIDE, SIDE), np.uint8)
    pixels[(slice(None), *OBJECT)] = 200
    session = begin(pixels)
    session.add_point(HERE)
    session.add_point(BESIDE, label=0)
    assert session._conversation.asked[-1].window == Window(0, session.windows.ready[0].box)
    line = StackLine.through(session.plane, 0, pixels.shape)
    (said,) = what_was_said(line, session._conversation, session.prompt_layers)
    np.testing.assert_array_equal(said.mask, session.candidates[0].mask)
    assert said.asked == (), "replay would ask about the whole slice"
