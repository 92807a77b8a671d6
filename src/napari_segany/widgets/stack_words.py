"""What is said of a stack and of a run through it, in words for the user. Knows neither napari nor Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from napari_segany.widgets.everything_clock import duration
from napari_segany.widgets.objects import numbered

if TYPE_CHECKING:
    from napari_segany.engine.propagation_values import Propagation, PropagationEnd

NO_STACK = "A single image has no slices before or behind it; open a stack to carry objects through it."
NO_PROMPTS = "Click on an object first, or select accepted objects (key G): these are carried through the stack."
ONLY_STOPS = "There are background points alone, so there is no object: click on it on one of the slices."
WHICH_OBJECT = (
    "Select the one object to correct (key G, with the mouse on it), then click on it on the slice where it is wrong."
)
NO_CORRECTION = "Click on the object on the slice where it is wrong; it is corrected from there on."
_MOST_ENDS = 3


def summary(found: Propagation, labels: Mapping[int, int], *, cancelled: bool = False) -> str:
    """Return what came of a run.

    Parameters
    ----------
    found : Propagation
        All masks.
    labels : Mapping
        The engine's numbers to labels, of the objects that were written.
    cancelled : bool
        Whether it was stopped on the way.
    """
    written = {one: label for one, label in labels.items() if one in found.object_ids}
    if not written:
        return "Stopped before anything was found." if cancelled else "Nothing was found on any slice."
    begin = "Stopped. " if cancelled else ""
    if len(written) == 1:
        ((one, label),) = written.items()
        places = [mask.slice_index for mask in found.masks_of(one)]
        what = f"Object {label} is on {_slices(places)}."
    else:
        what = f"{numbered(tuple(sorted(written.values()))).capitalize()} are on {_slices(sorted(found.slices))}."
    divided = [
        f"Object {written[one.parent]} divides on slice {one.slice_index}."
        for one in found.divisions
        if one.parent in written
    ]
    return " ".join([f"{begin}{what}", *divided, *_stops(found.ends, written)])


def ready_text(ready: Sequence[bool], *, room: int, failure: str) -> str:
    """Return how many slices are ready to be clicked on."""
    if not ready:
        return "No stack"
    text = f"{sum(ready)} of {len(ready)} slices ready"
    if failure:
        return f"{text}; stopped: {failure}"
    return f"{text} (memory holds {room})" if 0 < room < len(ready) else text


def working_text(note: str, seconds: float | None) -> str:
    """Return what is done and how long it will still take."""
    return note if seconds is None else f"{note} ({duration(seconds)} left)"


def _stops(ends: Sequence[PropagationEnd], labels: Mapping[int, int]) -> list[str]:
    from napari_segany.engine.propagation_values import REASONS

    told = [end for end in ends if end.reason != "divided" and end.object_id in labels]
    sentences = []
    for end in told[:_MOST_ENDS]:
        who = "It" if len(labels) == 1 else f"Object {labels[end.object_id]}"
        verb = "is not found on" if end.step == 0 else "changes at" if end.reason == "seam" else "stops before"
        sentences.append(f"{who} {verb} slice {end.slice_index}: {REASONS[end.reason]}.")
    more = len(told) - _MOST_ENDS
    return [*sentences, f"So do {more} more."] if more > 0 else sentences


def _slices(places: Sequence[int]) -> str:
    if len(places) == 1:
        return f"slice {places[0]}"
    return f"{len(places)} slices from {min(places)} to {max(places)}"
