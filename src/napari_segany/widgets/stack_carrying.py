"""One run through a stack as a generator: reads what is there, asks the engine, says what is to be written. No Qt.

It runs in the background and never touches a layer: it gets arrays, and yields the engine's progress.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.propagation_settings import PropagationSettings
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths
from napari_segany.widgets.stack_line import StackLine
from napari_segany.widgets.stack_prompts import Said, no_further, stop_said_before
from napari_segany.widgets.stack_record import StackRecord

if TYPE_CHECKING:
    from napari_segany.engine.propagation_run import EmbeddingProvider
    from napari_segany.engine.propagation_values import Propagation, SlicePrompt

NEW = 10_000_000
"""Numbers of objects in the engine that have no label yet begin here: labels are given when a mask is written."""

Masks = Mapping[int, Mapping[int, RunLengths]]
"""Label to slice to mask."""


@dataclass(frozen=True, eq=False)
class Carried:
    """What came of a run.

    Attributes
    ----------
    found : Propagation
        All masks of all objects of the run.
    before : Mapping
        Label to the slices on which the object had pixels before the run.
    """

    found: Propagation
    before: Mapping[int, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Journey:
    """What a run is about.

    Attributes
    ----------
    line : StackLine
        The stack.
    shape : tuple of int
        (H, W) of its slices.
    predictor : Any
        The model.
    embeddings : EmbeddingProvider
        Of its slices, by place.
    settings : PropagationSettings
        Directions and limits.
    within : bool
        Whether nothing goes beyond the first and the last prompted slice.
    read_labels : callable
        Returns the (H, W) labels of the layer `objects` on a slice; None where there is no layer yet.
    records : Mapping
        Label to what the table tells of it, of the objects of the run that are there already.
    """

    line: StackLine
    shape: tuple[int, int]
    predictor: Any
    embeddings: EmbeddingProvider
    settings: PropagationSettings
    within: bool
    read_labels: Callable[[int], np.ndarray] | None
    records: Mapping[int, StackRecord | None]


def carry_new_steps(journey: Journey, said: Sequence[Said]) -> Steps[Carried]:
    """Carry one new object, of which this was said, through the stack."""
    prompts = [one.for_engine(NEW, journey.shape) for one in said]
    found = yield from _propagated(journey, prompts)
    return Carried(found, {})


def carry_chosen_steps(journey: Journey, labels: Sequence[int]) -> Steps[Carried]:
    """Carry objects that are there on through the stack: from their prompted slices, or from all that they are on."""
    masks = yield from _masks_steps(journey, labels)
    prompts: list[SlicePrompt] = []
    for label in labels:
        prompts += _prompts_of(journey, label, masks[label])
    found = yield from _propagated(journey, prompts)
    return Carried(found, {label: tuple(of_label) for label, of_label in masks.items()})


def correct_chosen_steps(journey: Journey, label: int, said: Sequence[Said]) -> Steps[Carried]:
    """Take what was said of an object that is there into its way through the stack, slice by slice."""
    from napari_segany.engine.propagation import correct_steps

    masks = yield from _masks_steps(journey, tuple(journey.records))
    found = _as_before(journey, masks)
    for one in said:
        prompt = one.for_engine(label, journey.shape)
        found = yield from correct_steps(
            journey.predictor, journey.embeddings, found, prompt, journey.settings, new_ids_from=NEW
        )
    return Carried(found, {one: tuple(of_label) for one, of_label in masks.items()})


def _propagated(journey: Journey, prompts: Sequence[SlicePrompt]) -> Steps[Propagation]:
    from napari_segany.engine.propagation import propagate_steps

    asked = [*prompts, *(_fences(journey, prompts) if journey.within else ())]
    return (
        yield from propagate_steps(
            journey.predictor,
            journey.embeddings,
            asked,
            journey.line.length,
            replace(journey.settings, direction="both") if journey.within else journey.settings,
            new_ids_from=NEW + 1,
        )
    )


def _fences(journey: Journey, prompts: Sequence[SlicePrompt]) -> list[SlicePrompt]:
    """Return what keeps every object between its outermost prompted slices."""
    fences = []
    for object_id in dict.fromkeys(prompt.object_id for prompt in prompts):
        places = [prompt.slice_index for prompt in prompts if prompt.object_id == object_id]
        ends = (min(places) - 1, max(places) + 1)
        fences += [no_further(object_id, end, journey.shape) for end in ends if 0 <= end < journey.line.length]
    return fences


def _masks_steps(journey: Journey, labels: Sequence[int]) -> Steps[Masks]:
    """Return the masks of objects on all slices of the stack."""
    found: dict[int, dict[int, RunLengths]] = {label: {} for label in labels}
    for place in range(journey.line.length if journey.read_labels is not None else 0):
        yield Progress(0, 0, f"Reading the objects of slice {place}")
        plane = journey.read_labels(place) if journey.read_labels is not None else np.zeros(journey.shape, int)
        for label in labels:
            mask = plane == label
            if mask.any():
                found[label][place] = RunLengths.from_mask(mask)
    return found


def _prompts_of(journey: Journey, label: int, masks: Mapping[int, RunLengths]) -> list[SlicePrompt]:
    from napari_segany.engine.propagation_values import SlicePrompt

    record = journey.records.get(label)
    stops = {} if record is None else {place: record.prompts[place] for place in record.stops}
    sources = list(masks) if record is None else [place for place in masks if _is_source(record, place)]
    prompts = [SlicePrompt(label, place, accepted=masks[place]) for place in sources or masks]
    return prompts + [
        stop_said_before(label, place, said, journey.shape)
        for place, said in stops.items()
        if 0 <= place < journey.line.length and place not in sources
    ]


def _is_source(record: StackRecord, place: int) -> bool:
    """Whether the mask of a slice was not carried there: it was prompted, or somebody else made it."""
    return record.origins.get(place, place) == place


def _as_before(journey: Journey, masks: Masks) -> Propagation:
    """Return the objects as they are in the layer as if the engine had just carried them there."""
    from napari_segany.engine.propagation_values import Division, Propagation, SliceMask

    slices: dict[int, tuple[SliceMask, ...]] = {}
    prompts: list[SlicePrompt] = []
    families: dict[tuple[int, int], list[int]] = {}
    for label in sorted(masks):
        record = journey.records.get(label)
        prompts += _prompts_of(journey, label, masks[label])
        for place, mask in masks[label].items():
            origin = place if record is None else record.origins.get(place, place)
            own = SliceMask(label, place, origin, MaskRecord.from_mask(mask))
            slices[place] = (*slices.get(place, ()), own)
        if record is not None and record.parent:
            families.setdefault((record.parent, record.born), []).append(label)
    divisions = tuple(
        Division(parent, (children[0], children[-1]), born)
        for (parent, born), children in sorted(families.items(), key=lambda item: item[0][1])
    )
    shape = (journey.line.length, *journey.shape)
    return Propagation(shape, tuple(prompts), dict(sorted(slices.items())), divisions=divisions)
