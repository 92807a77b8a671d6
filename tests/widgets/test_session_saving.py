"""Work that is saved by itself, and brought back on request."""

from __future__ import annotations

import json

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_segany.engine.mask_cleaning import CleanUp
from napari_segany.formats.session_file import read_session
from napari_segany.widgets.class_list import CLASSES_KEY
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession
from napari_segany.widgets.session_choices import present_choices
from napari_segany.widgets.session_saving import saved_sessions_folder

STACK = np.stack([np.full((24, 30), index, np.uint8) for index in range(3)])


@pytest.fixture
def open_session(tmp_path, new_predictor):
    def begin(image=STACK, viewer=None, runner=None, folder=tmp_path / "sessions"):
        viewer = viewer or ViewerModel()
        session = PromptSession(
            viewer, runner or SynchronousRunner(), lambda model, device: new_predictor(), autosave=folder
        )
        session.choose_image(viewer.add_image(image, name="my cells", contrast_limits=(0, 2)))
        return session

    return begin


def some_work(session):
    session.add_point((5, 6))
    session.accept()
    session.viewer.dims.set_current_step(0, 2)
    session.add_point((10, 12))
    session.next_candidate()
    session.accept()
    session.add_point((3, 20))
    session.add_box((2, 18, 12, 28))
    session.use_object(session.objects.layer, 2)


def files(tmp_path):
    return sorted(path.name for path in (tmp_path / "sessions").glob("*"))


def test_nothing_is_written_before_something_is_done(open_session, tmp_path):
    session = open_session()
    session.close()
    assert not (tmp_path / "sessions").exists()


def test_prompts_and_objects_come_back_in_another_viewer_and_undo_takes_them_away(open_session):
    session = open_session()
    some_work(session)
    data, features = session.objects.layer.data.copy(), session.objects.layer.features.copy()
    marks = session.prompt_layers.marks
    again = open_session()
    assert again.earlier_work is not None
    assert again.restore()
    assert "Restored 2 objects" in again.status
    layer = again.objects.layer
    np.testing.assert_array_equal(layer.data, data)
    assert layer.features["prompts"].tolist() == features["prompts"].tolist()
    assert layer.features["predicted_iou"][1:].tolist() == pytest.approx(features["predicted_iou"][1:].tolist())
    assert again.prompt_layers.marks == marks
    again.viewer.dims.set_current_step(0, 2)
    assert again.prompts.mask.label == 2
    assert again.undo()
    assert not layer.data.any()
    assert not again.prompt_layers.marks


def test_earlier_work_is_told_until_something_is_done(open_session):
    some_work(open_session())
    session = open_session()
    assert "earlier work on this image, with 2 objects, of 20" in session.status
    assert "Restore brings it back" in session.status
    session.viewer.dims.set_current_step(0, 2)
    assert "earlier work" in session.status, "looking around is no work"
    session.add_point((20, 20))
    assert "earlier work" not in session.status
    again = open_session()
    assert "earlier work on this image, with prompts, of 20" in again.status
    again.restore()
    again.undo()
    again.viewer.dims.set_current_step(0, 2)
    assert "earlier work" not in again.status, "it was seen"
    again.add_point((9, 9))
    again.undo()
    empty = open_session()
    assert empty.earlier_work is not None
    assert "earlier work" not in empty.status, "there is nothing in it"
    other = open_session(STACK[:, ::-1] + 1)
    assert "earlier work" not in other.status


def test_earlier_work_is_read_in_the_background_and_told_of_its_image_only(open_session, by_hand):
    open_session().add_point((5, 6))
    session = open_session(runner=by_hand)
    assert "earlier work" not in session.status
    (task,) = (task for task in by_hand.running if task.title == "Looking at earlier work")
    image = session.image
    session.choose_image(session.viewer.add_image(STACK + 1, name="another"))
    task.finish()
    by_hand.finish_all()
    assert "earlier work" not in session.status
    session.choose_image(image)
    by_hand.finish_all()
    assert "earlier work on this image, with prompts, of 20" in session.status


def test_a_failure_is_not_talked_over_by_earlier_work(open_session, by_hand, new_predictor, monkeypatch):
    open_session().add_point((5, 6))

    def failing(predictor, image, *, contrast_limits=None):
        raise RuntimeError("no memory")
        yield

    monkeypatch.setattr(new_predictor, "encode_steps", failing)
    session = open_session(runner=by_hand)
    (look,) = (task for task in by_hand.running if task.title == "Looking at earlier work")
    session.compute_embedding()
    while others := [task for task in by_hand.running if task is not look]:
        others[0].finish()
    assert "no memory" in session.status
    look.finish()
    assert "no memory" in session.status


def test_the_file_tells_the_state_after_each_action(open_session, tmp_path):
    session = open_session()
    some_work(session)
    (name,) = files(tmp_path)
    assert name.startswith("my_cells-")
    saved = read_session(tmp_path / "sessions" / name)
    assert saved.objects == (1, 2)
    assert saved.planes[1,][1].area == 9
    assert saved.image["shape"] == [3, 24, 30]
    assert saved.mask_prompts[0].label == 2
    session.undo()
    session.undo()
    session.undo()
    session.undo()
    saved = read_session(tmp_path / "sessions" / name)
    assert (saved.objects, saved.boxes, saved.mask_prompts) == ((1,), (), ())
    assert len(saved.points) == 1, "that of the second object is back"


def test_work_of_an_earlier_session_is_put_aside_and_not_overwritten(open_session, tmp_path):
    some_work(open_session())
    session = open_session()
    session.add_point((20, 20))
    assert len(files(tmp_path)) == 2
    assert session.restore()
    assert session.editor.labels == (1, 2)
    session.undo()
    assert session.prompts.points == ((20.0, 20.0),)


def test_restoring_takes_away_an_object_that_is_used_as_prompt(open_session):
    session = open_session()
    some_work(session)
    again = open_session()
    again.add_point((12, 15))
    again.accept()
    again.use_object(again.objects.layer, 1)
    assert again.restore()
    assert again.plane.index == (2,), "where the earlier session was"
    again.viewer.dims.set_current_step(0, 1)
    assert again.prompts.mask is None, "it would be overwritten by the next that is accepted"
    assert again.undo()
    assert again.prompts.mask.label == 1


def test_rows_come_back_of_objects_whose_pixels_are_the_same(open_session):
    session = open_session()
    some_work(session)
    session.classes.add("nucleus")
    session.classes.assign("nucleus", [1])
    row = session.objects.row(1)
    again = open_session()
    assert again.restore()
    again.classes.add("debris")
    again.classes.assign("debris", [1])
    assert again.restore()
    assert again.objects.row(1) == row
    assert again.objects.row(1)["category"] == "nucleus"
    again.undo()
    assert again.objects.row(1)["category"] == "debris"


def test_classes_come_back_with_their_numbers_and_colours_and_undo_takes_them_away(open_session):
    session = open_session()
    define_classes(session)
    again = open_session()
    again.classes.add("vesicle")
    before = again.classes.classes
    assert again.restore()
    assert again.classes.classes == session.classes.classes
    assert again.classes.current == "debris"
    assert again.objects.layer.metadata[CLASSES_KEY] == session.classes.classes, "which files are written by"
    assert again.undo()
    assert (again.classes.classes, again.classes.current) == (before, "")
    assert again.redo()
    assert (again.classes.classes, again.classes.current) == (session.classes.classes, "debris")


def define_classes(session):
    """Three classes, in no order of the alphabet, with an object of the first two; the third is not in use."""
    session.classes.add("nucleus", "#112233")
    session.classes.add("debris")
    session.classes.add("a rare one", "#445566")
    for position, name in (((5, 6), "nucleus"), ((15, 6), "debris")):
        session.classes.use(name)
        session.add_point(position)
        session.accept()
    session.add_point((20, 20))  # a class in use is no work by itself: it is saved with what is done next


def test_a_file_of_an_earlier_version_has_no_list_and_its_classes_are_taken_up(open_session, tmp_path):
    define_classes(open_session())
    path = tmp_path / "sessions" / files(tmp_path)[0]
    values = json.loads(path.read_text())
    del values["choices"]["classes"], values["choices"]["class"]
    path.write_text(json.dumps(values))
    again = open_session()
    again.classes.add("nucleus", "#112233")
    assert again.restore()
    assert [(one.number, one.name) for one in again.classes.classes] == [(1, "nucleus"), (2, "debris")]
    assert again.classes.classes[0].colour == "#112233"


def test_a_damaged_list_of_classes_is_a_sentence_and_nothing_is_touched(open_session, tmp_path):
    define_classes(open_session())
    path = tmp_path / "sessions" / files(tmp_path)[0]
    values = json.loads(path.read_text())
    values["choices"]["classes"][0]["number"] = 2
    path.write_text(json.dumps(values))
    again = open_session()
    assert not again.restore()
    assert "two classes have the same number" in again.status
    assert again.classes.classes == ()
    assert not again.history.can_undo
    again.files.open(path)
    assert "two classes have the same number" in again.status
    assert not again.history.can_undo


def test_going_to_another_image_and_back_keeps_the_work_of_an_earlier_session(open_session):
    some_work(open_session())
    session = open_session()
    image = session.image
    session.add_point((20, 20))
    session.choose_image(session.viewer.add_image(STACK + 1, name="another"))
    session.choose_image(image)
    session.add_point((9, 9))
    assert session.restore()
    assert session.editor.labels == (1, 2)


def test_an_image_that_was_removed_and_opened_again_offers_what_was_done_before(open_session):
    session = open_session()
    some_work(session)
    viewer = session.viewer
    viewer.layers.clear()
    session.choose_image(viewer.add_image(STACK, name="my cells", contrast_limits=(0, 2)))
    session.add_point((20, 20))
    assert session.restore()
    assert session.editor.labels == (1, 2)


def test_other_images_have_other_files(open_session, tmp_path):
    open_session().add_point((5, 5))
    other = open_session(STACK[:, ::-1] + 1)
    assert other.earlier_work is None
    assert not other.restore()
    assert "Nothing of this image" in other.status
    other.add_point((5, 5))
    assert len(files(tmp_path)) == 2


def test_a_damaged_file_is_a_sentence(open_session, tmp_path):
    open_session().add_point((5, 5))
    path = tmp_path / "sessions" / files(tmp_path)[0]
    for text in ("{", json.dumps({"format": "other"}), path.read_text()[:-40]):
        path.write_text(text)
        session = open_session()
        assert not session.restore()
        assert "cannot be read" in session.status


def test_a_damaged_choice_is_a_sentence_and_nothing_is_touched(open_session, tmp_path):
    session = open_session()
    session.overlap = "smaller"
    session.add_point((5, 5))
    path = tmp_path / "sessions" / files(tmp_path)[0]
    sound = path.read_text()
    for name, damage in (
        ("clean-up", lambda choices: choices.update(cleaning={"x": 1})),
        ("limits of the stack", lambda choices: choices["stack"].update(settings={"x": 1})),
        ("mask under work", lambda choices: choices["questions"][0].pop("points")),
    ):
        values = json.loads(sound)
        damage(values["choices"])
        path.write_text(json.dumps(values))
        again = open_session()
        assert not again.restore()
        assert name in again.status
        again.files.open(path)
        assert name in again.status
        assert (again.overlap, again.history.can_undo) == ("keep", False)


def test_what_was_chosen_comes_back_as_from_a_session_file(open_session, tmp_path):
    """All that a session file brings back, but for objects and classes, which have tests of their own."""
    session = open_session()
    session.overlap = "smaller"
    session.editor.cleaning, session.editor.clean_accepted = CleanUp(fill_holes=True, smooth=2), True
    session.toggle_polarity()
    session.preview.policy = "largest"
    session.choose_model("another")
    session.stack.choices.direction = "backwards"
    session.similar.threshold = 0.625
    session.viewer.dims.set_current_step(0, 2)
    session.add_point((10, 12), 1)
    session.add_point((3, 20), 1)
    session.files.save(tmp_path / "one.json")
    by_itself, by_hand = open_session(), open_session(folder=tmp_path / "elsewhere")
    assert by_itself.restore()
    by_hand.files.open(tmp_path / "one.json")
    for again in (by_itself, by_hand):
        assert (again.overlap, again.polarity, again.model) == ("smaller", "background", "another")
        assert again.editor.cleaning == CleanUp(fill_holes=True, smooth=2)
        assert again.editor.clean_accepted
        assert again.preview.policy == "largest"
        assert (again.stack.choices.direction, again.similar.threshold) == ("backwards", 0.625)
        assert again.plane.index == (2,)
        assert len(again.candidates) == 1
    assert present_choices(by_itself, by_itself._conversation) == present_choices(by_hand, by_hand._conversation)


def test_what_was_chosen_last_is_saved_too(open_session):
    """A mask, with the answer that came after the click; and a rule, chosen when all else was saved."""
    session = open_session()
    session.add_point((10, 12))
    session.select_candidate(2)
    again = open_session()
    assert again.restore()
    assert (again.selected, len(again.candidates)) == (2, 3)
    assert np.array_equal(again.candidates[2].mask, session.candidates[2].mask)
    again.overlap = "overwrite"
    again.close()
    last = open_session()
    assert last.restore()
    assert last.overlap == "overwrite"


def test_a_folder_that_cannot_be_written_is_said_once(open_session, tmp_path):
    (tmp_path / "file").write_text("")
    session = open_session(folder=tmp_path / "file" / "sessions")
    said = []
    session.status_changed.connect(said.append)
    session.add_point((5, 5))
    session.add_point((9, 9))
    assert sum("not saved by itself" in text for text in said) == 1


def test_a_state_that_cannot_be_saved_does_not_keep_the_session_from_closing(open_session, by_hand, monkeypatch):
    def unwritable(place, saved, number):
        raise ValueError("not a number that JSON knows")

    session = open_session(runner=by_hand)
    by_hand.finish_all()
    session.add_point((5, 5))
    monkeypatch.setattr("napari_segany.widgets.session_place.SessionPlace.write", unwritable)
    said = []
    session.status_changed.connect(said.append)
    session.close()
    assert session.image is None
    assert any("not a number that JSON knows" in text for text in said)


def test_saving_waits_and_happens_once_for_several_actions(open_session, tmp_path, by_hand):
    session = open_session(runner=by_hand)
    by_hand.finish_all()
    session.add_point((5, 5))
    session.add_point((9, 9))
    assert not (tmp_path / "sessions").exists()
    assert len(by_hand.waiting) == 1
    by_hand.finish_all()
    assert len(read_session(tmp_path / "sessions" / files(tmp_path)[0]).points) == 2


def test_what_is_due_is_saved_when_the_session_closes(open_session, tmp_path, by_hand):
    session = open_session(runner=by_hand)
    by_hand.finish_all()
    session.add_point((5, 5))
    session.close()
    assert len(read_session(tmp_path / "sessions" / files(tmp_path)[0]).points) == 1


def begun_saving(by_hand, steps):
    """Let the saving that is due do some steps, and no more."""
    by_hand.run_waiting()
    (task,) = (task for task in by_hand.running if task.title == "Saving the session")
    for _ in range(steps):
        task.step()
    return task


@pytest.mark.parametrize("steps", [0, 2, None])
def test_work_on_an_image_that_is_left_for_another_is_saved_in_the_background(open_session, tmp_path, by_hand, steps):
    some_work(open_session())
    session = open_session(runner=by_hand)
    by_hand.finish_all()
    session.add_point((5, 5))
    other = session.viewer.add_image(np.zeros((20, 20), np.uint8), name="other cells")
    session.choose_image(other)
    (task,) = (task for task in by_hand.running if task.title == "Saving the session")
    assert len(files(tmp_path)) == 1, "nobody waits for it"
    if steps is None:
        task.finish()
    else:  # the session closes while it is under way
        for _ in range(steps):
            task.step()
        session.close()
    own, _ = sorted(files(tmp_path), key=len)
    assert len(read_session(tmp_path / "sessions" / own).points) == 1


@pytest.mark.parametrize("steps", [0, 1, 3, None])
def test_what_is_half_saved_when_the_session_closes_is_saved(open_session, tmp_path, by_hand, steps):
    some_work(open_session())
    session = open_session(runner=by_hand)
    by_hand.finish_all()
    session.add_point((5, 5))
    by_hand.run_waiting()
    for task in by_hand.running:
        if task.title != "Saving the session":
            task.finish()
    first = begun_saving(by_hand, 0)
    session.accept()
    if steps is None:
        first.finish()
        begun_saving(by_hand, 2)
    else:
        begun_saving(by_hand, steps)
    layer = session.objects.layer
    session.close()
    own, aside = sorted(files(tmp_path), key=len)
    saved = read_session(tmp_path / "sessions" / own)
    assert saved.objects == (1,)
    (masks,) = saved.planes.values()
    assert masks[1].area == (layer.data == 1).sum()
    assert read_session(tmp_path / "sessions" / aside).objects == (1, 2), "an earlier session's is put aside, once"


@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize("image_first", [False, True])
def test_what_is_saved_stays_when_all_layers_are_removed(open_session, tmp_path, by_hand, close, image_first):
    session = open_session(runner=by_hand)
    by_hand.finish_all()
    session.add_point((5, 5))
    by_hand.finish_all()
    session.accept()
    session.add_point((9, 9))
    by_hand.finish_all()
    (name,) = files(tmp_path)
    before = read_session(tmp_path / "sessions" / name)
    assert before.points
    assert before.rows[1]["predicted_iou"] == pytest.approx(0.9)
    layers = sorted(session.viewer.layers, key=lambda layer: (layer is not session.image) == image_first)
    for layer in layers:
        session.viewer.layers.remove(layer)
    if close:
        session.close(keep_layers=True)
    else:
        by_hand.finish_all()
        assert session.image is None
    after = read_session(tmp_path / "sessions" / name)
    assert (after.points, after.rows, after.planes) == (before.points, before.rows, before.planes)


def test_rows_of_a_removed_layer_are_saved_with_its_pixels(open_session, tmp_path):
    session = open_session()
    some_work(session)
    session.viewer.layers.remove(session.objects.layer)
    session.add_point((15, 6))
    saved = read_session(tmp_path / "sessions" / files(tmp_path)[0])
    assert saved.objects == (1, 2)
    assert set(saved.rows) == {1, 2}


def test_an_older_state_does_not_replace_a_newer_one(open_session, tmp_path, by_hand):
    session = open_session(runner=by_hand)
    by_hand.finish_all()
    session.add_point((5, 5))
    slow = begun_saving(by_hand, 0)
    session.add_point((9, 9))
    session.choose_image(session.viewer.add_image(STACK + 1, name="another"))
    (later,) = (task for task in by_hand.running if task.title == "Saving the session" and task is not slow)
    later.finish()
    slow.finish()
    (name,) = (name for name in files(tmp_path) if name.startswith("my_cells"))
    assert len(read_session(tmp_path / "sessions" / name).points) == 2


def test_a_session_without_a_folder_saves_nothing(session, viewer):
    session.choose_image(viewer.add_image(STACK))
    assert session.earlier_work is None
    assert not session.restore()


def test_the_folder_is_the_users_unless_the_environment_names_one(monkeypatch, tmp_path):
    monkeypatch.setenv("SEGANY_DATA", str(tmp_path))
    assert saved_sessions_folder() == tmp_path / "sessions"
    monkeypatch.delenv("SEGANY_DATA")
    assert saved_sessions_folder().parent.name == "napari-segany"
