"""Objects through stacks from the session: propagated, corrected, undone, as 3D labels; answered by an oracle."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from tests.widgets.stack_oracle import StackOracle, squares
from tests.widgets.stack_runs import TWO, begun, click, labels_of

from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession


def opened(viewer, data, *, oracle=None, runner=None, **where):
    image = viewer.add_image(data, **where)
    session = PromptSession(viewer, runner or SynchronousRunner(), lambda model, device: oracle or StackOracle())
    session.choose_image(image)
    return session


def test_an_object_prompted_on_one_slice_is_found_on_all(viewer):
    session = opened(viewer, TWO)
    click(session, 3, (45, 45))
    session.stack.propagate()
    np.testing.assert_array_equal(labels_of(session) == 1, TWO == 2)
    assert session.editor.selection == (1,)
    assert not session.prompts
    assert "4 slices from 2 to 5" in session.status


def test_one_undo_takes_a_propagation_back_and_one_redo_brings_it_back(viewer):
    session = opened(viewer, TWO)
    click(session, 3, (45, 45))
    session.stack.propagate()
    session.undo()
    assert not labels_of(session).any()
    assert session.prompts.points == ((45.0, 45.0),)
    assert not session.editor.labels
    session.redo()
    np.testing.assert_array_equal(labels_of(session) == 1, TWO == 2)
    assert session.objects.area(1) == session.objects.row(1)["area"] == 4 * 144


@pytest.mark.parametrize(
    ("direction", "slices"), [("forwards", range(3, 8)), ("backwards", range(4)), ("both", range(8))]
)
def test_directions(viewer, direction, slices):
    session = opened(viewer, TWO)
    session.stack.choices.direction = direction
    click(session, 3, (12, 12))
    session.stack.propagate()
    assert np.flatnonzero(labels_of(session).any(axis=(1, 2))).tolist() == list(slices)


def test_between_two_prompted_slices(viewer):
    session = opened(viewer, TWO)
    session.stack.choices.direction = "between"
    click(session, 2, (12, 12))
    click(session, 6, (12, 12))
    session.stack.propagate()
    assert np.flatnonzero(labels_of(session).any(axis=(1, 2))).tolist() == [2, 3, 4, 5, 6]


def test_a_background_point_alone_ends_an_object(viewer):
    session = opened(viewer, TWO)
    click(session, 3, (12, 12))
    click(session, 5, (12, 12), label=0)
    session.stack.propagate()
    assert np.flatnonzero(labels_of(session).any(axis=(1, 2))).tolist() == [0, 1, 2, 3, 4]
    assert not session.prompt_layers.marks


def test_a_new_prompt_corrects_from_its_slice_on(viewer):
    # what is 1 up to slice 3 goes on as 3, elsewhere; the oracle follows the number that lies there
    stack = squares(8, (1, 8, 8, 12, range(4)), (3, 8, 8, 12, range(4, 8)), (4, 40, 8, 12, range(8)))
    session = opened(viewer, stack)
    click(session, 1, (12, 12))
    session.stack.propagate()
    assert (labels_of(session) == 1).any(axis=(1, 2)).all()
    before = labels_of(session).copy()
    click(session, 4, (45, 12))
    session.stack.correct()
    np.testing.assert_array_equal(labels_of(session)[:4], before[:4])
    np.testing.assert_array_equal(labels_of(session)[4:] == 1, stack[4:] == 4)
    session.undo()
    np.testing.assert_array_equal(labels_of(session), before)


def test_a_correction_knows_the_first_prompt_from_the_table_alone(viewer):
    session = opened(viewer, TWO)
    click(session, 3, (12, 12))
    session.stack.propagate()
    click(session, 5, (12, 12), label=0)
    session.stack.correct()
    assert np.flatnonzero(labels_of(session).any(axis=(1, 2))).tolist() == [0, 1, 2, 3, 4]
    click(session, 1, (12, 12), label=0)
    session.stack.correct()
    assert np.flatnonzero(labels_of(session).any(axis=(1, 2))).tolist() == [2, 3, 4]


def test_accepted_objects_are_carried_together_under_their_numbers(viewer):
    session = opened(viewer, TWO)
    for position in ((12, 12), (45, 45)):
        click(session, 3, position)
        session.accept()
    session.editor.select([1, 2])
    session.stack.propagate()
    np.testing.assert_array_equal(labels_of(session), TWO)
    session.undo()
    assert np.flatnonzero(labels_of(session).any(axis=(1, 2))).tolist() == [3]


def test_other_objects_keep_their_pixels(viewer):
    session = opened(viewer, TWO)
    layer = session.objects.ready()
    layer.data[4, 8:20, 8:14] = 7
    layer.data = layer.data
    click(session, 3, (12, 15))
    session.stack.propagate()
    assert (labels_of(session)[4, 8:20, 8:14] == 7).all()
    assert (labels_of(session)[4, 8:20, 14:20] == 8).all()


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_any_axis_order_and_scale(viewer, order):
    """The stack lies along another axis of the data, and the viewer shows the others."""
    data = np.moveaxis(TWO, 0, order.index(0))
    session = opened(viewer, data, scale=(3, 0.5, 0.2))
    axis = order.index(0)
    viewer.dims.order = (axis, *(other for other in range(3) if other != axis))
    assert session.stack.choices.axis == axis
    click(session, 3, (45, 45))
    session.stack.propagate()
    np.testing.assert_array_equal(labels_of(session) == 1, data == 2)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_4d_stack_goes_through_the_chosen_axis(viewer, axis):
    data = np.stack([TWO, TWO[::-1], TWO])
    session = opened(viewer, data)
    assert session.stack.choices.axis == 1
    session.stack.choices.axis = axis
    viewer.dims.set_point(0, 1)
    viewer.dims.set_point(1, 3)
    session.add_point((12, 12))
    session.stack.propagate()
    found = labels_of(session)
    expected = np.zeros(data.shape, bool)
    line = (1, slice(None)) if axis == 1 else (slice(None), 3)
    expected[line] = data[line] == 1
    np.testing.assert_array_equal(found == 1, expected)


def test_lazy_stacks_are_read_slice_by_slice(viewer):
    read = []

    def block(block_info=None):
        place = block_info[None]["chunk-location"][0]
        read.append(place)
        return TWO[place : place + 1]

    lazy = da.map_blocks(block, chunks=((1,) * 8, (64,), (64,)), dtype=TWO.dtype, meta=np.zeros((0, 0, 0), np.uint8))
    session = opened(viewer, lazy, contrast_limits=(0, 10))
    session.stack.choices.direction = "forwards"
    click(session, 5, (45, 45))
    read.clear()
    session.stack.propagate()
    assert set(read) <= {5, 6}
    assert np.flatnonzero(labels_of(session).any(axis=(1, 2))).tolist() == [5]


def test_an_object_accepted_during_a_run_gets_another_number(viewer, by_hand):
    session = opened(viewer, TWO, runner=by_hand)
    by_hand.finish_all()
    session.objects.ready().data = np.where((TWO == 1) & (np.arange(8) == 3)[:, None, None], 7, 0).astype(np.uint8)
    click(session, 3, (12, 12))
    by_hand.finish_all()
    session.stack.propagate()
    (run,) = (task for task in by_hand.running if task.title == "propagation")
    while session.prompts:
        run.step()
    assert not (labels_of(session)[3] == 8).any(), "its first slice is covered"
    session.add_point((45, 45))
    (asking,) = (task for task in by_hand.running if task is not run)
    asking.finish()
    accepted = session.accept()
    by_hand.finish_all()
    carried = int(labels_of(session)[5, 12, 12])
    assert carried not in (0, accepted)
    np.testing.assert_array_equal(labels_of(session) == accepted, (TWO == 2) & (np.arange(8) == 3)[:, None, None])


def test_through_time_objects_divide_and_tracks_tell(viewer):
    movie = squares(6, (1, 8, 8, 30, range(3)), (2, 8, 8, 13, range(3, 6)), (3, 25, 25, 13, range(3, 6)))
    session = opened(viewer, movie, oracle=StackOracle(parents={2: 1, 3: 1}), axis_labels=("t", "y", "x"))
    assert session.stack.choices.is_time
    click(session, 0, (20, 20))
    session.stack.propagate()
    found = labels_of(session)
    assert sorted(np.unique(found[found > 0]).tolist()) == [1, 2, 3]
    np.testing.assert_array_equal(found == 1, movie == 1)
    assert {int(found[4, 14, 14]), int(found[4, 31, 31])} == {2, 3}
    tracks = session.stack.tracks.layer
    assert tracks.graph == {2: [1], 3: [1]}
    assert sorted(set(tracks.data[:, 0].tolist())) == [1, 2, 3]
    np.testing.assert_allclose(tracks.data[tracks.data[:, 0] == 1][:, 1:], [(t, 22.5, 22.5) for t in range(3)])
    session.undo()
    assert session.stack.tracks.layer is None
    assert tracks not in viewer.layers
    session.redo()
    assert session.stack.tracks.layer.graph == {2: [1], 3: [1]}


def test_correcting_a_parent_takes_its_children_away(viewer):
    movie = squares(6, (1, 8, 8, 30, range(3)), (2, 8, 8, 13, range(3, 6)), (3, 25, 25, 13, range(3, 6)))
    session = opened(viewer, movie, oracle=StackOracle(parents={2: 1, 3: 1}), axis_labels=("t", "y", "x"))
    click(session, 0, (20, 20))
    session.stack.propagate()
    session.editor.select([1])
    click(session, 2, (20, 20), label=0)
    session.stack.correct()
    assert session.editor.labels == (1,)
    assert np.flatnonzero(labels_of(session).any(axis=(1, 2))).tolist() == [0, 1]


@pytest.mark.parametrize("data", [TWO[0], np.dstack([TWO[0]] * 3)])
def test_a_single_image_is_no_stack(viewer, data):
    session = opened(viewer, data)
    session.stack.propagate()
    assert "open a stack" in session.status
    assert session.stack.choices.axis is None


def test_what_is_missing_is_said(viewer):
    session = opened(viewer, TWO)
    session.stack.propagate()
    assert "Click on an object first" in session.status
    session.stack.correct()
    assert "Select the one object" in session.status
    click(session, 3, (12, 12), label=0)
    session.stack.propagate()
    assert "background points alone" in session.status
    with pytest.raises(ValueError, match="axis 2 does not lead"):
        session.stack.choices.axis = 2


def test_cancel_keeps_what_was_found_and_undo_takes_it_back(viewer, by_hand):
    session = opened(viewer, TWO, runner=by_hand)
    task = begun(session, by_hand, slices=3)
    assert session.stack.state.is_working
    session.stack.cancel()
    assert task.cancelled
    assert not session.stack.state.is_working
    assert session.status.startswith("Stopped. Object 1 is on 3 slices")
    session.undo()
    assert not labels_of(session).any()
    assert session.prompts.points


def test_another_object_accepted_meanwhile_is_a_step_of_its_own(viewer, by_hand):
    session = opened(viewer, TWO, runner=by_hand)
    task = begun(session, by_hand, slices=2)
    click(session, 3, (45, 45))
    for other in by_hand.running:
        if other is not task:
            other.finish()
    by_hand.run_waiting()
    session.accept()
    task.finish()
    np.testing.assert_array_equal(labels_of(session) == 1, TWO == 1)
    assert (labels_of(session)[3] == 2).sum() == 144
    titles = []
    while session.history.can_undo:
        titles.append(session.history.next_undo.title)
        session.undo()
    assert titles[:3] == ["propagation", "accepted object", "point"]
    assert not labels_of(session).any()


def test_undo_while_it_runs_stops_it(viewer, by_hand):
    session = opened(viewer, TWO, runner=by_hand)
    task = begun(session, by_hand, slices=2)
    session.undo()
    assert task.cancelled
    assert not labels_of(session).any()


def test_a_failure_is_said_and_keeps_what_was_found(viewer):
    oracle = StackOracle()
    session = opened(viewer, TWO, oracle=oracle)
    click(session, 3, (12, 12))
    oracle.failure = ValueError("the disk is gone")
    session.stack.propagate()
    assert session.status == "the disk is gone"
    assert (labels_of(session)[3] == 1).any()
    assert not session.stack.state.is_working
