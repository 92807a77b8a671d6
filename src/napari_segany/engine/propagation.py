"""Objects through a stack, z or time: the mask of one slice becomes the prompt of the next.

Everything is asked of a model for single images; nothing is remembered from slice to slice but the last mask. Knows
neither files nor a user interface.
"""

from __future__ import annotations

from collections.abc import Sequence

from napari_segany.engine.progress import Steps
from napari_segany.engine.propagation_asking import Answerer
from napari_segany.engine.propagation_plan import correction_plan, first_plan
from napari_segany.engine.propagation_run import EmbeddingProvider, Run
from napari_segany.engine.propagation_settings import PropagationSettings
from napari_segany.engine.propagation_values import Propagation, SlicePrompt

_DEFAULT = PropagationSettings()


def propagate_steps(
    predictor: Answerer,
    embeddings: EmbeddingProvider,
    prompts: Sequence[SlicePrompt],
    slices: int,
    settings: PropagationSettings = _DEFAULT,
    *,
    new_ids_from: int = 1,
) -> Steps[Propagation]:
    """Carry objects from their prompted slices through a stack.

    On each slice all objects are asked about in one batch. An object stops where its mask overlaps too little with
    that of the slice before, where its predicted IoU is too low, where it has vanished, where its mask is that of
    another object, and before a slice whose prompt is background points alone.

    Parameters
    ----------
    predictor : Answerer
        The model, as a `Predictor`.
    embeddings : callable
        `embeddings(index)` is work that returns the embedding of a slice. A slice may be asked for several times, and
        `PropagationProgress.upcoming` tells in advance which are next: keep and prefetch them there.
    prompts : sequence of SlicePrompt
        At least one; any number of objects and slices. A single point gets the mask of highest predicted IoU of
        three.
    slices : int
        Number of slices of the stack.
    settings : PropagationSettings
        Directions and limits.
    new_ids_from : int
        Least number for an object that comes about by division; always above those of the prompts.

    Yields
    ------
    PropagationProgress
        After each slice, with everything so far; `changed` tells which slice.

    Returns
    -------
    Propagation
        Masks by slice, where objects stopped and why, and which divided.

    Raises
    ------
    ValueError
        For prompts that do not fit the stack or each other, or embeddings of another stack or model.
    """
    shape = (slices, *(prompts[0].image_shape if prompts else (0, 0)))
    plan = first_plan(prompts, shape, settings)
    return (yield from Run(predictor, embeddings, plan, settings, new_ids_from).steps())


def correct_steps(
    predictor: Answerer,
    embeddings: EmbeddingProvider,
    before: Propagation,
    prompt: SlicePrompt,
    settings: PropagationSettings = _DEFAULT,
    *,
    new_ids_from: int = 1,
) -> Steps[Propagation]:
    """Take a new prompt into a propagation: it corrects from its slice on, everything else stays.

    The side that the object came from stays. What came past the prompted slice, up to the next prompted slice of the
    object, is done again from here. Slices without a mask next to it are filled. Background points alone end the
    object there. Other objects are not touched.

    Parameters
    ----------
    before : Propagation
        What is there, also of work that was closed early (`PropagationProgress.so_far`).
    prompt : SlicePrompt
        Replaces the one of the same object and slice, if there is one.
    predictor, embeddings, settings, new_ids_from
        As for `propagate_steps`.

    Yields
    ------
    PropagationProgress
        After each slice, with everything so far.

    Returns
    -------
    Propagation
        The whole.

    Raises
    ------
    ValueError
        For a prompt that does not fit the stack.
    """
    plan = correction_plan(before, prompt, settings)
    return (yield from Run(predictor, embeddings, plan, settings, new_ids_from).steps())
