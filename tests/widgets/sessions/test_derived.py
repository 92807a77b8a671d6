"""Objects carried through a stack and similar ones in session files: where they came from, and made again."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from tests.discs import DiscFinder, disc_image, disc_mask
from tests.widgets.stack_oracle import StackOracle, squares
from tests.widgets.stack_runs import TWO, begun, click, labels_of
from tests.widgets.test_find_similar import ALIKE, OTHER, SHAPE, paint

from napari_segany.engine.progress import Progress, drain
from napari_segany.engine.propagation_settings import PropagationSettings
from napari_segany.engine.replay import replay_steps
from napari_segany.formats.session_derived import SavedCarried, SavedSimilar
from napari_segany.formats.session_file import read_session
from napari_segany.formats.session_steps import SavedPixels
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession

MOVIE = squares(6, (1, 8, 8, 30, range(3)), (2, 8, 8, 13, range(3, 6)), (3, 25, 25, 13, range(3, 6)))


class Oracle(StackOracle):
    """An oracle that a session can be replayed with."""

    def digest_steps(self):
        yield Progress(1, 1)
        return "0" * 32


class Discs(DiscFinder):
    def digest_steps(self):
        yield Progress(1, 1)
        return "0" * 32


@pytest.fixture
def opened(viewer):
    def opened(data, oracle=None, runner=None, **where):
        image = viewer.add_image(data, contrast_limits=(0, 255), **where)
        oracle = oracle or Oracle()
        session = PromptSession(viewer, runner or SynchronousRunner(), lambda model, device: oracle)
        session.choose_image(image)
        return session

    return opened


def saved_of(session, tmp_path):
    session.files.save(tmp_path / "one.json")
    return read_session(tmp_path / "one.json")


def replayed(saved, image, oracle=None):
    replay = drain(replay_steps(saved, image, lambda step: oracle or Oracle()))
    assert not replay.notes
    assert replay.differing == 0
    return replay


def a_click(session):
    click(session, 3, (12, 12))
    session.stack.propagate()


def between_two(session):
    session.stack.choices.direction = "between"
    click(session, 2, (12, 12))
    click(session, 6, (12, 12))
    session.stack.propagate()


def until_a_stop(session):
    session.stack.choices.direction = "forwards"
    click(session, 3, (12, 12))
    click(session, 6, (12, 12), label=0)
    session.stack.propagate()


def chosen_ones_over_others(session):
    layer = session.objects.ready()
    layer.data[4, 8:20, 8:14] = 7
    layer.data = layer.data
    session.overlap = "overwrite"
    for position in ((12, 12), (45, 45)):
        click(session, 3, position)
        session.accept()
    session.editor.select([8, 9])
    session.stack.choices.settings = PropagationSettings(between="best", min_overlap=0.25)
    session.stack.propagate()


def undone_and_done_again(session):
    a_click(session)
    session.undo()
    session.redo()


WAYS = (a_click, between_two, until_a_stop, chosen_ones_over_others, undone_and_done_again)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_objects_carried_through_a_stack_are_carried_again(opened, tmp_path, way):
    session = opened(TWO)
    way(session)
    saved = saved_of(session, tmp_path)
    carried = [step for step in saved.log.steps if isinstance(step, SavedCarried)]
    (step,) = carried
    assert step.asks
    assert step.direction == session.stack.choices.direction
    assert step.settings["min_overlap"] == session.stack.choices.settings.min_overlap
    assert not [one for one in saved.log.steps if isinstance(one, SavedPixels)]
    replay = replayed(saved, TWO)
    np.testing.assert_array_equal(replay.labels, labels_of(session))
    assert replay.answers == len(saved.log.steps)


def test_what_was_said_on_each_slice_is_in_the_file(opened, tmp_path):
    session = opened(TWO)
    click(session, 3, (12, 12))
    click(session, 3, (15, 12))
    click(session, 5, (12, 12), label=0)
    session.stack.propagate()
    (step,) = saved_of(session, tmp_path).log.steps
    first, stop = step.prompts
    assert (first.place, stop.place) == (3, 5)
    assert first.said.points == ((12.0, 12.0), (15.0, 12.0))
    assert [one.refines for one in first.questions] == [None, 0], "the mask that was chosen is asked for again"
    assert (stop.said.points, stop.said.labels) == (((12.0, 12.0),), (0,))
    assert (step.axis, step.first, step.last) == (0, 0, 5)
    assert step.labels == {10_000_000: 1}


def test_objects_that_divide_get_the_same_numbers_again(opened, tmp_path):
    parents = {2: 1, 3: 1}
    session = opened(MOVIE, Oracle(parents=parents), axis_labels=("t", "y", "x"))
    click(session, 0, (20, 20))
    session.stack.propagate()
    saved = saved_of(session, tmp_path)
    assert sorted(saved.log.steps[0].labels.values()) == [1, 2, 3]
    np.testing.assert_array_equal(replayed(saved, MOVIE, Oracle(parents=parents)).labels, labels_of(session))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_stack_along_any_axis_is_carried_again(opened, viewer, tmp_path, axis):
    data = np.moveaxis(TWO, 0, axis)
    session = opened(data)
    viewer.dims.order = (axis, *(other for other in range(3) if other != axis))
    click(session, 3, (45, 45))
    session.stack.propagate()
    np.testing.assert_array_equal(replayed(saved_of(session, tmp_path), data).labels, labels_of(session))


def test_a_correction_is_kept_as_pixels_and_says_of_what(opened, tmp_path):
    session = opened(TWO)
    a_click(session)
    click(session, 5, (12, 12), label=0)
    session.stack.correct()
    saved = saved_of(session, tmp_path)
    first, correction = saved.log.steps
    assert first.asks
    assert (correction.asks, correction.corrects) == (False, 1)
    assert "corrects" in correction.why_pixels
    assert [one.place for one in correction.prompts if one.said is not None] == [5]
    replay = replayed(saved, TWO)
    assert replay.answers == 1
    np.testing.assert_array_equal(replay.labels, labels_of(session))


def test_a_run_that_was_stopped_is_kept_as_pixels(opened, by_hand, tmp_path):
    session = opened(TWO, runner=by_hand)
    begun(session, by_hand, slices=3)
    session.stack.cancel()
    session.files.save(tmp_path / "one.json")
    by_hand.finish_all()
    saved = read_session(tmp_path / "one.json")
    (step,) = saved.log.steps
    assert "stopped" in step.why_pixels
    assert step.prompts[0].said.points == ((12.0, 12.0),)
    np.testing.assert_array_equal(replayed(saved, TWO).labels, labels_of(session))


def test_what_was_done_in_between_is_not_lost(opened, by_hand, tmp_path):
    """A click tears the run into two steps of the history; its pixels are kept in their parts, all of them."""
    session = opened(TWO, runner=by_hand)
    task = begun(session, by_hand, slices=2)
    click(session, 3, (45, 45))
    task.finish()
    by_hand.finish_all()
    session.files.save(tmp_path / "one.json")
    by_hand.finish_all()
    np.testing.assert_array_equal(replayed(read_session(tmp_path / "one.json"), TWO).labels, labels_of(session))


@pytest.fixture
def looking(opened):
    """A session on four bright discs and two others, of which the first bright one is accepted."""
    discs = disc_image(SHAPE, [*ALIKE, *OTHER])
    session = opened(discs, Discs())
    session.compute_embedding()
    paint(session.objects.ready(), disc_mask(SHAPE, *ALIKE[0][:3]), 1)
    session.editor.select([1])
    session.similar.find()
    return SimpleNamespace(session=session, image=discs)


def test_similar_objects_are_looked_for_again(looking, tmp_path):
    session = looking.session
    session.similar.threshold = 0.9
    assert session.similar.accept() == (2, 3, 4)
    saved = saved_of(session, tmp_path)
    step = saved.log.steps[-1]
    assert isinstance(step, SavedSimilar)
    assert (step.similar_to, step.labels, step.threshold, step.source) == ((1,), (2, 3, 4), 0.9, "model")
    assert step.settings["pred_iou_thresh"] == 0.3
    assert step.chosen[0].area == (labels_of(session) == 1).sum()
    replay = replayed(saved, looking.image, Discs())
    assert replay.answers == 1
    np.testing.assert_array_equal(replay.labels, labels_of(session))


def test_what_was_painted_since_they_were_found_makes_similar_objects_pixels(looking, tmp_path):
    session = looking.session
    session.similar.threshold = 0.9
    paint(session.objects.layer, disc_mask(SHAPE, 24, 64, 3), 5)
    assert session.similar.accept()
    saved = saved_of(session, tmp_path)
    assert "between looking and accepting" in saved.log.steps[-1].why_pixels
    assert replayed(saved, looking.image, Discs()).answers == 0


def test_other_masks_than_then_are_told(looking, tmp_path):
    session = looking.session
    session.similar.threshold = 0.9
    session.similar.accept()
    saved = saved_of(session, tmp_path)
    image = looking.image.copy()
    image[disc_mask(SHAPE, 64, 100, 9)] = 0  # that the image is another one is found out before, as a rule
    replay = drain(replay_steps(saved, image, lambda step: Discs()))
    assert replay.differing == (labels_of(session) == labels_of(session)[64, 100]).sum()
    assert replay.notes[0].startswith("similar objects (2, 3, 4) have")
