"""Objects carried through a stack again, and similar ones found again, as a saved session did. No napari."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.object_overlap import OVERLAP_RULES, OverlapRule
from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.prompts import Prompt
from napari_segany.engine.propagation_painting import changed_window, painted_window
from napari_segany.engine.propagation_settings import PropagationSettings
from napari_segany.engine.propagation_values import Propagation, PropagationProgress, SlicePrompt
from napari_segany.engine.similar_search import SimilarQuestion, similar_steps
from napari_segany.engine.similar_selection import offered
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths
from napari_segany.formats.session_derived import SavedCarried, SavedDerived, SavedSimilar, SavedSlicePrompt
from napari_segany.formats.session_steps import SavedAsking, SavedQuestion

if TYPE_CHECKING:
    from napari_segany.engine.embedding import ImageEmbedding
    from napari_segany.engine.predictor import Predictor


def carry_again_steps(
    step: SavedCarried,
    predictor: Predictor,
    embeddings: Callable[[int], Steps[ImageEmbedding]],
    chosen: Mapping[int, RunLengths],
    labels: NDArray[Any],
) -> Steps[None]:
    """Carry objects through the stack again, and write them as they were written.

    Parameters
    ----------
    step : SavedCarried
        What was asked.
    predictor : Predictor
        The model.
    embeddings : callable
        Returns the embedding of a slice.
    chosen : Mapping
        The masks that people chose, by the place of the prompt in the step.
    labels : numpy.ndarray
        The labels of the whole image; changed in place.

    Raises
    ------
    ValueError
        For a step that does not fit the image.
    """
    from napari_segany.engine.propagation import propagate_steps  # brings torch

    settings = _made(PropagationSettings, step.settings, "limits of the stack")
    before = {label: tuple(_places_of(step, labels, label)) for label in step.carried}
    prompts = [_slice_prompt(step, number, one, chosen, labels) for number, one in enumerate(step.prompts)]
    slices, new = labels.shape[step.axis], step.new_ids_from
    work = propagate_steps(predictor, embeddings, prompts, slices, settings, new_ids_from=new)
    found = yield from _watched(work, lambda so_far, place: _write(step, so_far, place, labels))
    there = {(step.labels.get(mask.object_id), place) for place, masks in found.slices.items() for mask in masks}
    gone = {place for label, places in before.items() for place in places if (label, place) not in there}
    for place in sorted(gone):
        _write(step, found, place, labels)


def find_again_steps(
    step: SavedSimilar,
    predictor: Predictor,
    embedding: ImageEmbedding,
    image: NDArray[np.generic],
    labels: NDArray[Any],
) -> Steps[None]:
    """Look for masks that resemble the chosen ones again, and write those that were accepted.

    Parameters
    ----------
    step : SavedSimilar
        What was asked.
    predictor, embedding, image
        The model, and the plane.
    labels : numpy.ndarray
        The labels of the whole image; changed in place.

    Raises
    ------
    ValueError
        For a step that does not fit the image.
    """
    present = labels[step.slicer]
    question = SimilarQuestion(
        tuple(MaskRecord.from_mask(mask) for mask in step.chosen),
        present != 0,
        step.least_iou,
        predictor,
        embedding,
        lambda: image,
        settings=_made(AutomaticSettings, step.settings, "settings of the masks"),
    )
    answer = yield from similar_steps(question)
    offer = offered(answer.found, step.threshold, present)
    labels[step.slicer] = offer.labelled(present, step.labels)


def numbers_of(step: SavedDerived) -> str:
    """Return the labels of the objects of a step, for sentences."""
    given = getattr(step, "labels", ())
    labels = sorted(given.values() if isinstance(given, Mapping) else given)
    return ", ".join(map(str, labels[:4])) + (" ..." if len(labels) > 4 else "")


def rule_of(step: SavedAsking) -> OverlapRule:
    """Return the rule for overlaps of a step.

    Raises
    ------
    ValueError
        For another word.
    """
    rule = next((rule for rule in OVERLAP_RULES if rule == step.overlap), None)
    if rule is None:
        raise ValueError(f"the rule for overlaps is {step.overlap!r}; known are {', '.join(OVERLAP_RULES)}")
    return rule


def _watched(work: Steps[Propagation], write: Callable[[Propagation, int], None]) -> Steps[Propagation]:
    """Go on with a propagation, and write each slice when it is there."""
    while True:
        try:
            progress = next(work)
        except StopIteration as end:
            found: Propagation = end.value
            return found
        so_far = getattr(progress, "so_far", None)
        if isinstance(progress, PropagationProgress) and progress.changed is not None and so_far is not None:
            write(so_far, progress.changed)
        yield Progress(progress.done, progress.total, progress.note)


def _write(step: SavedCarried, found: Propagation, place: int, labels: NDArray[Any]) -> None:
    masks = [mask for mask in found.slices.get(place, ()) if mask.object_id in step.labels]
    plane = labels[step.slicer_at(place)]
    rule = rule_of(step)
    window = changed_window(masks, (plane.shape[0], plane.shape[1]), rule, were_there=bool(step.carried))
    if window is not None:
        top, left, bottom, right = window
        part = plane[top:bottom, left:right]
        part[...] = painted_window(part, masks, window, step.labels, rule)


def _places_of(step: SavedCarried, labels: NDArray[Any], label: int) -> Iterator[int]:
    for place in range(labels.shape[step.axis]):
        if (labels[step.slicer_at(place)] == label).any():
            yield place


def _slice_prompt(
    step: SavedCarried, number: int, one: SavedSlicePrompt, chosen: Mapping[int, RunLengths], labels: NDArray[Any]
) -> SlicePrompt:
    if not 0 <= one.place < labels.shape[step.axis]:
        raise ValueError(f"a prompt is on slice {one.place}; the stack has {labels.shape[step.axis]}")
    plane = labels[step.slicer_at(one.place)]
    shape = (plane.shape[0], plane.shape[1])
    mask = RunLengths.from_mask(plane == one.object_id) if one.is_object else chosen.get(number, one.mask)
    return SlicePrompt(one.object_id, one.place, None if one.said is None else _prompt(one.said, shape), mask)


def _prompt(said: SavedQuestion, shape: tuple[int, int]) -> Prompt:
    mask = None if said.mask is None else said.mask.decode()
    return Prompt.checked(said.points or None, said.labels or None, said.box, mask, image_shape=shape)


def _made(kind: Callable[..., Any], parameters: Mapping[str, Any], name: str) -> Any:
    try:
        return kind(**parameters)
    except TypeError:
        raise ValueError(f"the {name} of the session are others than are known: {dict(parameters)}") from None
