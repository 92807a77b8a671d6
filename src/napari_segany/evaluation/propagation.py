"""How well objects are carried through a stack of known truth: IoU, and whether each stays who it is.

Objects keep the number that they were prompted with, so that a mask on the wrong object is seen as such. The true
stack may be drawn (`propagation_stack`) or annotated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from napari_segany.engine.progress import Steps
from napari_segany.engine.prompts import Prompt
from napari_segany.engine.propagation import propagate_steps
from napari_segany.engine.propagation_asking import Answerer
from napari_segany.engine.propagation_run import EmbeddingProvider
from napari_segany.engine.propagation_settings import PropagationSettings
from napari_segany.engine.propagation_values import Propagation, SlicePrompt
from napari_segany.evaluation.metrics import intersection_over_union
from napari_segany.evaluation.points import center_point, prompt_box
from napari_segany.evaluation.propagation_stack import DrawnStack

PromptForm = Literal["point", "box"]
PromptPlaces = Literal["first", "middle", "ends"]

_CHILD_BELONGS = 0.3
"""Mean IoU from which a child is taken for a true child."""


@dataclass(frozen=True)
class ObjectOutcome:
    """What became of one true object.

    Attributes
    ----------
    object_id : int
        The true object.
    kind : str
        What happens to it.
    slices : int
        Slices that it is on.
    iou : float
        IoU of all its pixels of the stack with all of its masks.
    slice_iou : float
        Mean over its slices of the IoU on each; 0 for a slice without a mask.
    lost : int
        Of its slices, those without a mask.
    switched : int
        Of its slices, those whose mask fits another object better.
    false : int
        Slices that it is not on and that have a mask all the same.
    losses, switches, continuations : int
        How often `lost`, `switched` and `false` begin: runs of neighbouring slices count once.
    """

    object_id: int
    kind: str
    slices: int
    iou: float
    slice_iou: float
    lost: int
    switched: int
    false: int
    losses: int
    switches: int
    continuations: int


@dataclass(frozen=True)
class StackOutcome:
    """What became of all objects of a stack.

    Attributes
    ----------
    objects : tuple of ObjectOutcome
        By number.
    divisions, divisions_found, divisions_false : int
        True divisions, those of them that were found (both children, each on a true one), and those of objects that
        do not divide.
    """

    objects: tuple[ObjectOutcome, ...]
    divisions: int
    divisions_found: int
    divisions_false: int


def prompts_for(
    stack: DrawnStack, form: PromptForm = "point", places: PromptPlaces = "first"
) -> tuple[SlicePrompt, ...]:
    """Return one prompt per object and place: its deepest pixel, or its bounding box.

    Parameters
    ----------
    stack : DrawnStack
        The truth.
    form : str
        "point" or "box".
    places : str
        The "first" slice of an object, the one in its "middle", or both "ends".
    """
    prompts = []
    for number in stack.roots:
        slices = stack.slices_of(number)
        chosen = {"first": slices[:1], "middle": slices[len(slices) // 2 :][:1], "ends": (slices[0], slices[-1])}
        for index in dict.fromkeys(chosen[places]):
            mask = stack.labels[index] == number
            point = [center_point(mask)] if form == "point" else None
            box = prompt_box(mask) if form == "box" else None
            prompt = Prompt.checked(points=point, box=box, image_shape=(mask.shape[0], mask.shape[1]))
            prompts.append(SlicePrompt(number, index, prompt))
    return tuple(prompts)


def measure_steps(
    predictor: Answerer,
    embeddings: EmbeddingProvider,
    stack: DrawnStack,
    prompts: Sequence[SlicePrompt],
    settings: PropagationSettings,
) -> Steps[StackOutcome]:
    """Propagate through a stack and compare with its truth.

    Yields
    ------
    PropagationProgress
        Slices.

    Returns
    -------
    StackOutcome
        What became of the objects.
    """
    new_ids = int(stack.labels.max()) + 1
    found = yield from propagate_steps(
        predictor, embeddings, prompts, len(stack.labels), settings, new_ids_from=new_ids
    )
    return outcome(found, stack)


def outcome(found: Propagation, stack: DrawnStack) -> StackOutcome:
    """Compare a propagation, whose objects have the numbers of the true ones, with the truth.

    Children of a division are compared with the true children of the same parent, each with one, so that the sum of
    their IoU is largest.

    Raises
    ------
    ValueError
        For a stack of another shape.
    """
    if found.shape != stack.labels.shape:
        raise ValueError(f"the propagation has the shape {found.shape} and the true stack {stack.labels.shape}")
    masks = {number: _masks_of(found, number) for number in found.object_ids}
    means: dict[int, int] = {number: number for number in stack.roots}
    divisions_found = divisions_false = 0
    for division in found.divisions:
        parent = means.get(division.parent)
        children = [child for child, other in stack.parents.items() if other == parent]
        pairs = _children(stack.labels, [masks.get(child, {}) for child in division.children], children)
        means |= {division.children[index]: child for index, child in pairs.items()}
        divisions_found += bool(children) and len(pairs) == len(children)
        divisions_false += not children
    own = {true: masks.get(number, {}) for number, true in means.items()}
    objects = tuple(_object(number, stack, own.get(number, {})) for number in sorted(stack.kinds))
    return StackOutcome(objects, len(set(stack.parents.values())), divisions_found, divisions_false)


Masks = Mapping[int, NDArray[np.bool_]]


def _object(number: int, stack: DrawnStack, masks: Masks) -> ObjectOutcome:
    count = len(stack.labels)
    ious, shared, union = [], 0, 0
    lost, switched, false = (np.zeros(count, bool) for _ in range(3))
    for index, labels in enumerate(stack.labels):
        true = labels == number
        mask = masks.get(index, np.zeros_like(true))
        shared += int(np.count_nonzero(true & mask))
        union += int(np.count_nonzero(true | mask))
        if true.any():
            ious.append(float(intersection_over_union(true, mask)))
            lost[index] = not mask.any()
            switched[index] = mask.any() and _best(labels, mask) != number
        else:
            false[index] = mask.any()
    return ObjectOutcome(
        number,
        stack.kinds[number],
        len(ious),
        shared / union if union else 1.0,
        float(np.mean(ious)),
        *(int(flags.sum()) for flags in (lost, switched, false)),
        *(_runs(flags) for flags in (lost, switched, false)),
    )


def _best(labels: NDArray[np.integer[Any]], mask: NDArray[np.bool_]) -> int:
    """Return the object of highest IoU with a mask; 0 where it touches none."""
    touched = np.unique(labels[mask])
    ious = {int(number): float(intersection_over_union(labels == number, mask)) for number in touched if number}
    return max(ious, key=lambda number: ious[number], default=0)


def _runs(flags: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(np.diff(np.concatenate([[False], flags]).astype(np.int8)) == 1))


def _children(labels: NDArray[np.integer[Any]], found: Sequence[Masks], true: Sequence[int]) -> dict[int, int]:
    """Return which found child (by its place) is which true one."""
    if not true:
        return {}
    iou = np.array([[_mean_iou(labels, masks, number) for number in true] for masks in found])
    rows, cols = linear_sum_assignment(-iou)
    return {int(row): true[col] for row, col in zip(rows, cols, strict=True) if iou[row, col] >= _CHILD_BELONGS}


def _mean_iou(labels: NDArray[np.integer[Any]], masks: Masks, number: int) -> float:
    ious = [float(intersection_over_union(labels[index] == number, mask)) for index, mask in masks.items()]
    return float(np.mean(ious)) if ious else 0.0


def _masks_of(found: Propagation, number: int) -> dict[int, NDArray[np.bool_]]:
    return {mask.slice_index: mask.record.mask for mask in found.masks_of(number)}
