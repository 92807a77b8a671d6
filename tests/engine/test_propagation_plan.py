"""Which slices are gone to from which prompt, by hand and for any prompts."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from napari_segany.engine.prompts import Prompt
from napari_segany.engine.propagation_plan import Leg, first_plan
from napari_segany.engine.propagation_settings import PropagationSettings
from napari_segany.engine.propagation_values import SlicePrompt

SHAPE = (20, 8, 8)


def plan(*said, object_id=1, **changes):
    prompts = [
        SlicePrompt(object_id, index, Prompt.checked([(1, 1)], [int(positive)], image_shape=SHAPE[1:]))
        for index, positive in said
    ]
    return first_plan(prompts, SHAPE, PropagationSettings(**changes))


def slices(leg: Leg) -> list[int]:
    return list(range(leg.origin + leg.step, leg.last + leg.step, leg.step)) if leg.length else []


def test_by_hand():
    found = plan((9, True), (4, True))
    assert [prompt.slice_index for prompt in found.asked] == [4, 9]
    assert [(leg.origin, slices(leg)) for leg in found.legs] == [
        (4, [3, 2, 1, 0]),
        (4, [5, 6]),
        (9, [8, 7]),
        (9, list(range(10, 20))),
    ]
    assert [leg.meets for leg in found.legs] == [None, 9, 4, None]
    best = plan((9, True), (4, True), between="best")
    assert [slices(leg) for leg in best.legs][1:3] == [[5, 6, 7, 8], [8, 7, 6, 5]]
    forwards = plan((9, True), (4, True), direction="forwards")
    assert [slices(leg) for leg in forwards.legs] == [[5, 6, 7, 8], list(range(10, 20))]
    stopped = plan((9, False), (4, True))
    assert [slices(leg) for leg in stopped.legs] == [[3, 2, 1, 0], [5, 6, 7, 8]]
    assert [prompt.slice_index for prompt in stopped.asked] == [4]
    assert plan((4, False)).legs == ()


SAID = st.dictionaries(st.integers(0, 19), st.booleans(), min_size=1).map(lambda said: tuple(said.items()))


@given(SAID)
def test_every_slice_that_a_prompt_can_reach_is_filled_once(said):
    counts = Counter(index for leg in plan(*said).legs for index in slices(leg))
    known = dict(said)
    for index in range(20):
        left = max((at for at in known if at < index), default=None)
        right = min((at for at in known if at > index), default=None)
        reached = index not in known and bool(known.get(left) or known.get(right))
        assert counts[index] == reached


@given(SAID)
def test_both_ways_fill_what_lies_between_twice(said):
    counts = Counter(index for leg in plan(*said, between="best").legs for index in slices(leg))
    known = dict(said)
    for index in set(range(20)) - set(known):
        left = max((at for at in known if at < index), default=None)
        right = min((at for at in known if at > index), default=None)
        assert counts[index] == bool(known.get(left)) + bool(known.get(right))
