"""The history: steps as values, and every action of a session undone and done again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel

from napari_segany.engine.mask_cleaning import CleanUp
from napari_segany.widgets.history import History, Step
from napari_segany.widgets.object_table import rows_of
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession

# the fixture is a class: nothing of it is kept between examples
SESSIONS = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
STACK = np.stack([np.full((24, 30), index, np.uint8) for index in range(3)])

# ------------------------------------------------------------------ steps of any kind


@dataclass(frozen=True)
class Put:
    """What a counter was."""

    name: str
    value: int
    nbytes: int = 10

    def swap(self, place):
        now = Put(self.name, place[self.name], self.nbytes)
        place[self.name] = self.value
        return now


def add(history, place, name, value):
    history.push(Step(f"{name} = {value}", None, (Put(name, place[name]),)))
    place[name] = value


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), max_size=12), st.data())
def test_undo_and_redo_pass_through_the_same_states(actions, data):
    place, history, states = Counter(), History(), [{"a": 0, "b": 0}]
    for name, value in actions:
        add(history, place, name, value)
        states.append({"a": place["a"], "b": place["b"]})
    at = len(actions)
    for back in data.draw(st.lists(st.booleans(), max_size=20)):
        moved = history.undo(place) if back else history.redo(place)
        assert (moved is None) == (at == 0 if back else at == len(actions))
        at = max(0, at - 1) if back else min(len(actions), at + 1)
        assert {"a": place["a"], "b": place["b"]} == states[at]


def test_a_new_step_ends_what_was_undone():
    place, history = Counter(), History()
    add(history, place, "a", 1)
    history.undo(place)
    add(history, place, "b", 2)
    assert history.redo(place) is None
    assert history.undo(place).title == "b = 2"


def test_the_oldest_steps_go_when_memory_is_short_but_never_the_last():
    place, history = Counter(), History(limit=25)
    for value in range(1, 6):
        add(history, place, "a", value)
    assert [history.undo(place).title, history.undo(place).title] == ["a = 5", "a = 4"]
    assert history.undo(place) is None
    assert place["a"] == 3, "what they did stays"
    history = History(limit=0)
    add(history, place, "a", 9)
    assert history.can_undo


def test_changes_of_one_step_are_put_back_last_first():
    place, history = Counter(a=5), History()
    history.push(Step("twice", None, (Put("a", 1), Put("a", 3))))
    history.undo(place)
    assert place["a"] == 1
    history.redo(place)
    assert place["a"] == 5


# --------------------------------------------------------------------- the session


def new_session(new_predictor):
    viewer = ViewerModel()
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: new_predictor())
    session.choose_image(viewer.add_image(STACK, contrast_limits=(0, 2)))
    return session


def state(session):
    """Everything that must come back."""
    layer = session.objects.layer
    rows = {} if layer is None else rows_of(layer.features, range(1, len(layer.features)))
    pixels = np.zeros(STACK.shape, int) if layer is None else np.asarray(layer.data).copy()
    prompts = {plane: (one.layer, one.label) for plane, one in session._conversation.mask_prompts.items()}
    return {
        "marks": session.prompt_layers.marks,
        "mask prompts": prompts,
        "rows": {label: row for label, row in rows.items() if row},
        "pixels": pixels,
    }


def same(one, other):
    assert one["marks"] == other["marks"]
    assert one["mask prompts"] == other["mask prompts"]
    assert one["rows"] == other["rows"]
    np.testing.assert_array_equal(one["pixels"], other["pixels"])


def stroke(session, row, col, label):
    """Paint as napari's brush does, in the shown plane."""
    layer = session.objects.layer
    if layer is not None:
        layer.brush_size = 5
        with layer.block_history():
            layer.paint((session.plane.index[0], row, col), label)
            layer.paint((session.plane.index[0], row + 2, col + 1), label)


def of_an_object(session, number, action):
    labels = session.editor.labels
    if labels:
        action(labels[number % len(labels)])


def select_two(session, number):
    labels = session.editor.labels
    session.editor.select([labels[number % len(labels)], labels[(number + 1) % len(labels)]] if labels else [])


ROW, COL, NUMBER = st.integers(1, 20), st.integers(1, 25), st.integers(0, 9)
CLEANING = st.sampled_from([CleanUp(True, 0, True, 0), CleanUp(False, 5, False, 1), CleanUp(smooth=2)])
OBJECT = st.tuples(st.just("object"), ROW, COL)
EDITS = [
    st.tuples(st.just("delete"), NUMBER),
    st.tuples(st.just("merge"), NUMBER),
    st.tuples(st.just("split"), NUMBER),
    st.tuples(st.just("clean"), NUMBER, CLEANING),
    st.tuples(st.just("reopen"), NUMBER),
    st.tuples(st.just("brush"), ROW, COL, st.integers(0, 6)),
]
ACTIONS = st.one_of(
    OBJECT,
    *EDITS,
    *EDITS,
    st.tuples(st.just("point"), ROW, COL, st.sampled_from([0, 1])),
    st.tuples(st.just("box"), st.integers(0, 10), st.integers(0, 10)),
    st.tuples(st.just("next")),
    st.tuples(st.just("accept"), st.sampled_from(["keep", "overwrite", "smaller"])),
    st.tuples(st.just("accept"), st.just("keep")),
    st.tuples(st.just("drop")),
    st.tuples(st.just("slice"), st.integers(0, 2)),
    st.tuples(st.just("remove layer")),
)
# Edits need objects: most sequences begin with some.
SEQUENCES = st.tuples(st.lists(OBJECT, max_size=3), st.lists(ACTIONS, min_size=3, max_size=14)).map(
    lambda parts: [*parts[0], *parts[1]]
)


def single(actions):
    """Go through what is done, step by step: an object is a click and its acceptance."""
    for name, *values in actions:
        if name == "object":
            yield "point", *values, 1
            yield "accept", "keep"
        else:
            yield name, *values


def act(session, name, *values):
    if name == "point":
        session.add_point(values[:2], values[2])
    elif name == "box":
        session.add_box((*values, values[0] + 8, values[1] + 6))
    elif name == "next":
        session.next_candidate()
    elif name == "accept":
        session.overlap = values[0]
        session.accept()
    elif name == "drop":
        session.clear_prompts()
    elif name == "slice":
        session.viewer.dims.set_current_step(0, values[0])
    elif name == "brush":
        stroke(session, *values)
    elif name == "merge":
        select_two(session, *values)
        session.editor.merge()
    elif name == "clean":
        of_an_object(session, values[0], lambda label: session.editor.clean_up([label], values[1]))
    elif name == "remove layer":
        session.viewer.layers.remove("prompt points") if "prompt points" in session.viewer.layers else None
    else:
        methods = {"delete": lambda label: session.editor.delete([label])}
        of_an_object(session, values[0], methods.get(name) or getattr(session.editor, name))


@SESSIONS
@given(actions=SEQUENCES)
def test_all_that_people_do_can_be_undone_and_done_again(new_predictor, actions):
    undone_and_done_again(new_session(new_predictor), actions)


def test_every_kind_of_step_is_undone_and_done_again(new_predictor):
    session = new_session(new_predictor)
    titles = undone_and_done_again(session, EVERY_KIND)
    kinds = (
        "point",
        "box",
        "accepted",
        "painting",
        "merging",
        "splitting",
        "clean-up",
        "opening",
        "deletion",
        "dropping",
    )
    assert not [kind for kind in kinds if not any(kind in title.lower() for title in titles)], titles


# An object that is opened from another slice, and one that is accepted again as it was, were not put back once.
EVERY_KIND = [
    ("object", 3, 3), ("object", 3, 20), ("object", 15, 5), ("slice", 2), ("reopen", 0), ("accept", "keep"),
    ("brush", 10, 12, 2), ("merge", 0), ("split", 0), ("merge", 0), ("clean", 0, CleanUp(True, 0, True, 0)),
    ("slice", 0), ("box", 5, 5), ("next",), ("accept", "overwrite"), ("reopen", 1), ("point", 6, 6, 0), ("drop",),
    ("delete", 1),
]  # fmt: skip


def undone_and_done_again(session, actions):
    """Do all, undo all and do all again, comparing states; return the titles of the steps."""
    states, steps = [state(session)], [None]
    for action in single(actions):
        act(session, *action)
        if session.history.next_undo is not steps[-1]:
            steps.append(session.history.next_undo)
            states.append(state(session))
    same(state(session), states[-1])
    for before in states[-2::-1]:
        assert session.undo()
        same(state(session), before)
    assert not session.undo()
    for after in states[1:]:
        assert session.redo()
        same(state(session), after)
    assert not session.redo()
    return [step.title for step in steps[1:]]


@SESSIONS
@given(actions=SEQUENCES)
def test_the_table_tells_what_the_pixels_say(new_predictor, actions):
    session = new_session(new_predictor)
    for action in single(actions):
        act(session, *action)
        session.undo() if len(action) == 3 else None
    layer = session.objects.layer
    assume(layer is not None and layer.data.any())
    labels, areas = np.unique(layer.data, return_counts=True)
    expected = {int(label): float(area) for label, area in zip(labels, areas, strict=True) if label}
    rows = rows_of(layer.features, range(1, len(layer.features)))
    assert {label: row["area"] for label, row in rows.items() if row} == expected
    assert list(layer.features["index"]) == list(range(len(layer.features)))
    assert session.editor.labels == tuple(expected)


@pytest.fixture
def stack(new_predictor):
    return new_session(new_predictor)


def test_undoing_an_accept_brings_prompts_and_the_choice_back_without_asking(stack):
    stack.add_point((5, 6))
    stack.next_candidate()
    stack.accept()
    asked = len(stack._embedder.predictor.asked)
    stack.undo()
    assert (stack.prompts.points, stack.selected, len(stack.candidates)) == (((5.0, 6.0),), 1, 3)
    assert not stack.objects.layer.data.any()
    assert len(stack._embedder.predictor.asked) == asked
    stack.redo()
    assert stack.objects.layer.data.sum() == 25
    assert not stack.prompts


def test_redoing_a_click_refines_the_mask_that_was_chosen_then(stack):
    stack.add_point((5, 6))
    stack.next_candidate()
    stack.add_point((8, 6))
    refined = stack._embedder.predictor.asked[-1]["mask"]
    mask = stack.candidates[0].logits
    stack.undo()
    assert stack.selected == 1
    stack.undo()
    assert stack.candidates == ()
    stack.redo()
    assert (stack.selected, len(stack.candidates)) == (1, 3)
    np.testing.assert_array_equal(stack.candidates[1].logits, refined)
    stack.redo()
    np.testing.assert_array_equal(stack.candidates[0].logits, mask)


def test_undo_goes_to_the_slice_where_it_was_done(stack):
    stack.viewer.dims.set_current_step(0, 2)
    stack.add_point((5, 6))
    stack.viewer.dims.set_current_step(0, 0)
    assert stack.undo()
    assert stack.plane.index == (2,)
    assert not stack.prompts
    assert "Undone: point" in stack.status


def test_undo_leaves_alone_what_somebody_else_wrote_since(stack):
    stack.add_point((5, 6))
    stack.accept()
    layer = stack.objects.layer
    layer.data[1, 5:7, 6:8] = 40  # a program, past napari's own history
    stack.undo()
    assert (layer.data[1, 5:7, 6:8] == 40).all()
    assert (layer.data == 1).sum() == 0


def test_objects_of_a_removed_layer_come_back_with_undo(stack):
    for col in (2, 12):
        stack.add_point((5, col))
        stack.accept()
    before = stack.objects.layer.data.copy()
    stack.viewer.layers.remove("objects")
    assert "Undo brings it back" in stack.status
    stack.undo()
    assert "objects" in stack.viewer.layers
    assert stack.editor.labels == (1,)
    stack.redo()
    np.testing.assert_array_equal(stack.objects.layer.data, before)


def test_each_image_has_a_history_of_its_own(stack):
    first = stack.image
    stack.add_point((5, 6))
    other = stack.viewer.add_image(STACK + 1, name="other")
    stack.choose_image(other)
    assert not stack.undo()
    stack.choose_image(first)
    assert stack.prompts.points == ((5.0, 6.0),)
    assert len(stack.candidates) == 3
    assert stack.undo()
    assert not stack.prompts


def test_other_data_or_a_removed_image_end_the_history(stack):
    stack.add_point((5, 6))
    stack.image.data = STACK[:, ::2]
    assert not stack.undo()
