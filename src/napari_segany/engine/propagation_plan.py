"""Which slices an object goes to from which prompt, and what a new prompt makes void. Slices and ids only, no masks.

A *leg* is the way of one object from a prompted slice in one direction, up to its last slice. Two legs that meet know
each other: where one stops early, the other one may go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from napari_segany.engine.propagation_settings import PropagationSettings
from napari_segany.engine.propagation_values import Division, Propagation, SlicePrompt


@dataclass(frozen=True)
class Leg:
    """The way of an object from one prompted slice.

    Attributes
    ----------
    object_id : int
        Whose.
    origin : int
        The prompted slice.
    step : int
        1 forwards, -1 backwards.
    last : int
        The last slice it may fill; `origin` where there is none.
    meets : int or None
        The origin of the leg that comes to meet it.
    """

    object_id: int
    origin: int
    step: int
    last: int
    meets: int | None = None

    @property
    def length(self) -> int:
        """Number of slices it may fill."""
        return max(0, (self.last - self.origin) * self.step)


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes
    ----------
    asked : tuple of SlicePrompt
        Prompts to answer first, by slice.
    legs : tuple of Leg
        Where to go from them.
    kept : Propagation
        What is there already and stays; it has the prompts of the whole.
    """

    asked: tuple[SlicePrompt, ...]
    legs: tuple[Leg, ...]
    kept: Propagation


def first_plan(prompts: Sequence[SlicePrompt], shape: tuple[int, int, int], settings: PropagationSettings) -> Plan:
    """Plan a propagation from nothing.

    Raises
    ------
    ValueError
        For no prompt at all, two for the same object and slice, or one that does not fit the stack.
    """
    kept = Propagation(shape, _checked(prompts, shape))
    legs = tuple(
        leg
        for object_id in sorted({prompt.object_id for prompt in kept.prompts})
        for leg in _legs_of(_of(kept.prompts, object_id), shape[0], settings)
    )
    asked = tuple(sorted((prompt for prompt in kept.prompts if not prompt.is_stop), key=_slice_of))
    return Plan(asked, legs, kept)


def correction_plan(before: Propagation, prompt: SlicePrompt, settings: PropagationSettings) -> Plan:
    """Plan what a new prompt changes.

    A side of the prompted slice (up to the next prompted slice of the object) is done again if any of its masks came
    past this slice; otherwise only its slices without a mask are filled, as far as the first that has one. Everything
    else stays: other objects, and the slices on the side that the object came from. Objects that this one divided
    into on a side that is done again are void.

    Raises
    ------
    ValueError
        For a prompt that does not fit the stack.
    """
    others = [other for other in before.prompts if other.key != prompt.key]
    _checked([prompt], before.shape)
    own = _of(others, prompt.object_id)
    left = max((other for other in own if other.slice_index < prompt.slice_index), key=_slice_of, default=None)
    right = min((other for other in own if other.slice_index > prompt.slice_index), key=_slice_of, default=None)
    low = _birth(before.divisions, prompt) - 1 if left is None else left.slice_index
    high = before.shape[0] if right is None else right.slice_index
    origins = {mask.slice_index: mask.origin for mask in before.masks_of(prompt.object_id)}
    divided = [
        division.slice_index
        for division in before.divisions
        if division.parent == prompt.object_id and prompt.slice_index <= division.slice_index < high
    ]
    again = {
        -1: any(origins.get(index, -1) >= prompt.slice_index for index in range(low + 1, prompt.slice_index)),
        1: bool(divided)
        or any(origins.get(index, high) <= prompt.slice_index for index in range(prompt.slice_index + 1, high)),
    }
    legs = [
        *_side(low, left, prompt, again[-1], origins, settings, step=-1),
        *_side(high, right, prompt, again[1], origins, settings, step=1),
    ]
    first = low + 1 if again[-1] else prompt.slice_index
    last = high - 1 if again[1] else prompt.slice_index
    void = _descendants(before.divisions, prompt.object_id, divided)
    prompts = tuple(other for other in (*others, prompt) if other.object_id not in void)
    starts = {(leg.object_id, leg.origin) for leg in legs} | {prompt.key}
    asked = tuple(sorted((one for one in prompts if one.key in starts and not one.is_stop), key=_slice_of))
    return Plan(asked, tuple(legs), _kept(before, prompts, prompt.object_id, range(first, last + 1), void))


def _checked(prompts: Sequence[SlicePrompt], shape: tuple[int, int, int]) -> tuple[SlicePrompt, ...]:
    if not prompts:
        raise ValueError("there is no prompt; give at least one point, box or mask on one slice")
    seen: set[tuple[int, int]] = set()
    for prompt in prompts:
        if prompt.slice_index >= shape[0]:
            raise ValueError(
                f"there is a prompt on slice {prompt.slice_index}; the stack has {shape[0]}, from 0 to {shape[0] - 1}"
            )
        if prompt.image_shape != tuple(shape[1:]):
            raise ValueError(
                f"the prompt on slice {prompt.slice_index} is for an image of {prompt.image_shape} pixels; the "
                f"slices have {tuple(shape[1:])}"
            )
        if prompt.key in seen:
            raise ValueError(
                f"object {prompt.object_id} has two prompts on slice {prompt.slice_index}; give one with "
                "all its points"
            )
        seen.add(prompt.key)
    return tuple(prompts)


def _of(prompts: Sequence[SlicePrompt], object_id: int) -> list[SlicePrompt]:
    return sorted((prompt for prompt in prompts if prompt.object_id == object_id), key=_slice_of)


def _slice_of(prompt: SlicePrompt) -> int:
    return prompt.slice_index


def _legs_of(prompts: Sequence[SlicePrompt], slices: int, settings: PropagationSettings) -> Iterator[Leg]:
    """Return the legs of one object, from its prompts by ascending slice."""
    ends: list[SlicePrompt | None] = [None, *prompts, None]
    for left, right in pairwise(ends):
        yield from _legs_between(left, right, -1, slices, settings)


def _legs_between(
    left: SlicePrompt | None, right: SlicePrompt | None, low: int, high: int, settings: PropagationSettings
) -> Iterator[Leg]:
    """Return the legs that fill the slices between two prompts; None stands for the border slice `low` or `high`."""
    low = low if left is None else left.slice_index
    high = high if right is None else right.slice_index
    forwards = left is not None and not left.is_stop and settings.direction != "backwards"
    backwards = right is not None and not right.is_stop and settings.direction != "forwards"
    meet = forwards and backwards and settings.between == "meet"
    # The middle slice of an odd stretch goes to the leg that comes forwards.
    middle = low + (high - low) // 2
    if left is not None and forwards:
        yield Leg(left.object_id, low, 1, middle if meet else high - 1, high if meet else None)
    if right is not None and backwards:
        yield Leg(right.object_id, high, -1, middle + 1 if meet else low + 1, low if meet else None)


def _side(
    border: int,
    other: SlicePrompt | None,
    prompt: SlicePrompt,
    again: bool,
    origins: dict[int, int],
    settings: PropagationSettings,
    *,
    step: int,
) -> Iterator[Leg]:
    """Return the legs on one side of a new prompt, up to the border or the other prompt there."""
    if again:
        left, right = (prompt, other) if step == 1 else (other, prompt)
        yield from _legs_between(left, right, border, border, settings)
        return
    if prompt.is_stop or settings.direction == ("backwards" if step == 1 else "forwards"):
        return
    last = prompt.slice_index
    while last + step != border and last + step not in origins:
        last += step
    yield Leg(prompt.object_id, prompt.slice_index, step, last)


def _birth(divisions: Sequence[Division], prompt: SlicePrompt) -> int:
    """Return the first slice that propagation may fill: a child does not go back past its division."""
    born = (division.slice_index for division in divisions if prompt.object_id in division.children)
    return min(next(born, 0), prompt.slice_index)


def _descendants(divisions: Sequence[Division], parent: int, slices: Sequence[int]) -> frozenset[int]:
    """Return the children of an object that divided on any of these slices, and all of theirs."""
    found: set[int] = set()
    for division in divisions:  # in the order in which they came about: parents before their children
        if (division.parent == parent and division.slice_index in slices) or division.parent in found:
            found.update(division.children)
    return frozenset(found)


def _kept(
    before: Propagation, prompts: tuple[SlicePrompt, ...], object_id: int, again: range, void: frozenset[int]
) -> Propagation:
    """Return what stays: all but the object's masks on the slices done again, and the objects that are void."""

    def stays(of: int, index: int) -> bool:
        return of not in void and not (of == object_id and index in again)

    slices = {
        index: tuple(mask for mask in masks if stays(mask.object_id, index)) for index, masks in before.slices.items()
    }
    reached = range(again.start, again.stop + 1)
    return replace(
        before,
        prompts=prompts,
        slices={index: masks for index, masks in slices.items() if masks},
        ends=tuple(
            end
            for end in before.ends
            if end.object_id not in void and not (end.object_id == object_id and end.slice_index in reached)
        ),
        divisions=tuple(
            division
            for division in before.divisions
            if division.parent not in void and not void.intersection(division.children)
        ),
    )
