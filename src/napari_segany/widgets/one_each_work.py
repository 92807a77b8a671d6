"""Many prompts answered as a generator of progress: embeddings, batched questions, masks in their boxes. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_segany.engine.mask_cleaning import CleanUp
from napari_segany.engine.mask_policy import MaskPolicy, choose_mask
from napari_segany.engine.one_each import AnswersInLogits, one_each_steps
from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.engine.prompts import Prompt
from napari_segany.engine.tiled_embedding import TiledEmbedding
from napari_segany.formats.window_mask import WindowMask
from napari_segany.widgets.drafts import Prompts
from napari_segany.widgets.embedder import Embedder
from napari_segany.widgets.embedding_cache import EmbeddingKey
from napari_segany.widgets.geometry import Floats, Plane
from napari_segany.widgets.large_planes import encoding_steps, plane_reader
from napari_segany.widgets.layers import intensity_limits
from napari_segany.widgets.one_each_inputs import EachPrompt


@dataclass(frozen=True, eq=False)
class FoundMask:
    """The mask of one prompt.

    Attributes
    ----------
    mask : WindowMask
        In pixels of the plane.
    predicted_iou, stability_score : float or None
        As the model says.
    prompts : Prompts
        What it answers.
    """

    mask: WindowMask
    predicted_iou: float | None
    stability_score: float | None
    prompts: Prompts


@dataclass(frozen=True, eq=False)
class EachQuestion:
    """What is asked.

    Attributes
    ----------
    prompts : EachPrompt
        The points or boxes.
    predictor : Any
        The model.
    embedding : callable
        Gives what the model made of a plane, step by step.
    policy : str
        Which of three masks a point gets.
    cleaning : CleanUp or None
        What is done to each mask.
    """

    prompts: EachPrompt
    predictor: Any
    embedding: Callable[[Plane], Steps[Any]]
    policy: MaskPolicy
    cleaning: CleanUp | None


Found = dict[Plane, list[FoundMask]]


def each_steps(question: EachQuestion) -> Steps[Found]:
    """Answer all prompts; those of a plane in batched calls, of a plane that is too large one by one.

    Yields
    ------
    Progress
        Prompts that are answered, of all planes.

    Raises
    ------
    ValueError
        For a model that cannot be asked for many at once.
    """
    found: Found = {}
    done, total = 0, len(question.prompts)
    yield Progress(0, total, "Asking the model")
    for plane, positions in question.prompts.planes.items():
        encoding = question.embedding(plane)
        embedding = yield from relabelled(encoding, lambda inner, done=done: Progress(done, total, inner.note))  # type: ignore[misc]
        if isinstance(embedding, TiledEmbedding):
            steps = _one_by_one(question, embedding, positions)
        else:
            steps = _batched(question, embedding, positions)
        found[plane] = yield from relabelled(
            steps,
            lambda inner, done=done: Progress(done + inner.done, total, f"{done + inner.done} of {total}"),  # type: ignore[misc]
        )
        done += len(positions)
    return found


def plane_embeddings(embedder: Embedder, image: Image) -> Callable[[Plane], Steps[Any]]:
    """Return what gives the embedding of a plane, from the session's cache or computed and kept there.

    It goes on with the model and the contrast of now, whatever is chosen meanwhile.
    """
    predictor, limits = embedder.predictor, intensity_limits(image)
    model, device = embedder.model, embedder.device

    def embedding(plane: Plane) -> Steps[Any]:
        key = EmbeddingKey(image.unique_id, plane, limits, model, device)
        known = embedder.cache.get(key)
        if known is not None:
            yield Progress(0, 0, "Asking the model")
            return known
        yield Progress(0, 0, "Computing the image embedding")
        made = yield from encoding_steps(predictor, plane_reader(image, plane)(), limits)
        embedder.cache.put(key, made)
        return made

    return embedding


def _batched(question: EachQuestion, embedding: Any, positions: Floats) -> Steps[list[FoundMask]]:
    if not isinstance(question.predictor, AnswersInLogits):
        raise ValueError("this model answers one prompt at a time; choose another one")
    if question.prompts.kind == "point":
        prompt = Prompt.checked(positions[:, None], image_shape=embedding.image_shape)
    else:
        prompt = Prompt.checked(box=positions, image_shape=embedding.image_shape)
    records = yield from one_each_steps(question.predictor, embedding, prompt, policy=question.policy)
    found = []
    for record, prompts in zip(records, _each(question.prompts, positions), strict=True):
        top, left, bottom, right = record.bbox
        mask = WindowMask(record.rle.window((top, left, bottom, right)), (top, left), record.rle.size)
        mask = _cleaned(mask, question.cleaning)
        found.append(FoundMask(mask, record.predicted_iou, record.stability_score, prompts))
    return found


def _one_by_one(question: EachQuestion, embedding: TiledEmbedding, positions: Floats) -> Steps[list[FoundMask]]:
    found: list[FoundMask] = []
    for prompts in _each(question.prompts, positions):
        yield Progress(len(found), len(positions), "Asking the model")
        given: dict[str, Any] = {"box": prompts.box} if prompts.box is not None else {"points": list(prompts.points)}
        steps = embedding.answer_steps(question.predictor, **given)
        count = len(found)
        answer = yield from relabelled(steps, lambda inner, count=count: Progress(count, len(positions), inner.note))  # type: ignore[misc]
        rank = choose_mask([mask.area for mask in answer.masks], question.policy)
        scores = float(answer.predicted_iou[rank]), float(answer.stability_score[rank])
        found.append(FoundMask(_cleaned(answer.masks[rank], question.cleaning), *scores, prompts))
    return found


def _each(prompts: EachPrompt, positions: Floats) -> Iterator[Prompts]:
    for values in positions.tolist():
        yield Prompts(((values[0], values[1]),), (1,)) if prompts.kind == "point" else Prompts(box=tuple(values))


def _cleaned(mask: WindowMask, cleaning: CleanUp | None) -> WindowMask:
    """Clean a mask within its box and a margin: smoothing looks around it."""
    if cleaning is None or not mask.area:
        return mask
    margin = cleaning.smooth + 1
    top, left, bottom, right = mask.box
    box = (max(0, top - margin), max(0, left - margin), bottom + margin, right + margin)
    box = (*box[:2], min(mask.image_shape[0], box[2]), min(mask.image_shape[1], box[3]))
    pixels: NDArray[np.bool_] = cleaning.apply(mask.window(box))
    return WindowMask.cropped(pixels, box[:2], mask.image_shape)
