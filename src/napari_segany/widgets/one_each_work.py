"""Many prompts answered as a generator of progress: embeddings, batched questions, masks in their boxes. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_segany.engine.encoding import AnyEmbedding, encoding_steps
from napari_segany.engine.mask_cleaning import CleanUp, cleaned_window
from napari_segany.engine.mask_policy import MaskPolicy, choose_mask
from napari_segany.engine.one_each import AnswersInLogits, mask_in_its_box, one_each_steps
from napari_segany.engine.precision_names import FLOAT32
from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.engine.prompts import Prompt
from napari_segany.engine.tiled_embedding import TiledEmbedding
from napari_segany.formats.window_mask import WindowMask
from napari_segany.widgets.asker import arguments_of
from napari_segany.widgets.drafts import Prompts
from napari_segany.widgets.embedder import AnyPredictor, Embedder
from napari_segany.widgets.embedding_cache import EmbeddingKey
from napari_segany.widgets.geometry import Floats, Plane
from napari_segany.widgets.large_planes import plane_reader
from napari_segany.widgets.layers import intensity_limits
from napari_segany.widgets.one_each_inputs import EachPrompt
from napari_segany.widgets.predictor_facts import is_rounded, precision_of
from napari_segany.widgets.raster_data import RasterData

if TYPE_CHECKING:  # which brings torch
    from napari_segany.engine.embedding import ImageEmbedding


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
    attributes : Mapping
        What a vector file says of it.
    """

    mask: WindowMask
    predicted_iou: float | None
    stability_score: float | None
    prompts: Prompts
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class EachQuestion:
    """What is asked.

    Attributes
    ----------
    prompts : EachPrompt
        The points or boxes.
    predictor : AnyPredictor
        The model.
    embedding : callable
        Gives what the model made of a plane, step by step.
    policy : str
        Which of three masks a point gets.
    cleaning : CleanUp or None
        What is done to each mask.
    data : RasterData or None
        Where a raster with a place on Earth holds data.
    """

    prompts: EachPrompt
    predictor: AnyPredictor
    embedding: Callable[[Plane], Steps[AnyEmbedding]]
    policy: MaskPolicy
    cleaning: CleanUp | None
    data: RasterData | None = None

    def found(self, mask: WindowMask, iou: float | None, stability: float | None, prompts: Prompts) -> FoundMask:
        """Return a mask as it is kept: cleaned, and without pixels that hold no data."""
        mask = cleaned_window(mask, self.cleaning)
        return FoundMask(mask if self.data is None else self.data.cut(mask), iou, stability, prompts)


@dataclass(frozen=True, eq=False)
class FoundOnPlane:
    """The masks of the prompts of a plane.

    Attributes
    ----------
    masks : tuple of FoundMask
        In the order of the prompts.
    in_one_pass : bool
        Whether they are the answers to all prompts at once, so that the same question makes them again.
    rounded : bool
        Whether the embedding was in half precision, if they are.
    precision : str
        In which it was computed: "float32" or "bfloat16".
    """

    masks: tuple[FoundMask, ...]
    in_one_pass: bool = False
    rounded: bool = False
    precision: str = FLOAT32


Found = dict[Plane, FoundOnPlane]


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
        in_one_pass = False
        if isinstance(embedding, TiledEmbedding):
            steps = _one_by_one(question, embedding, plane)
        elif isinstance(positions, tuple):
            steps = _one_after_the_other(question, embedding, plane)
        else:
            steps, in_one_pass = _batched(question, embedding, plane, positions), question.data is None
        masks = yield from relabelled(
            steps,
            lambda inner, done=done: Progress(done + inner.done, total, f"{done + inner.done} of {total}"),  # type: ignore[misc]
        )
        said = question.prompts.attributes_of(plane)
        named = tuple(replace(one, attributes=own) for one, own in zip(masks, said, strict=True))
        rounded = in_one_pass and is_rounded(question.predictor, embedding)
        found[plane] = FoundOnPlane(named, in_one_pass, rounded, precision_of(question.predictor, embedding))
        done += len(positions)
    return found


def plane_embeddings(embedder: Embedder, image: Image) -> Callable[[Plane], Steps[AnyEmbedding]]:
    """Return what gives the embedding of a plane, from the session's cache or computed and kept there.

    It goes on with the model and the contrast of now, whatever is chosen meanwhile.
    """
    predictor, limits = embedder.predictor, intensity_limits(image)
    model, device, keep = embedder.model, embedder.device, embedder.cache.keeper(image.unique_id)

    def embedding(plane: Plane) -> Steps[AnyEmbedding]:
        key = EmbeddingKey(image.unique_id, plane, limits, model, device)
        known = embedder.cache.get(key)
        if known is not None:
            yield Progress(0, 0, "Asking the model")
            return known
        if predictor is None:
            raise ValueError("the model is not loaded; choose one")
        yield Progress(0, 0, "Computing the image embedding")
        made = yield from encoding_steps(predictor, plane_reader(image, plane)(), limits)
        keep(key, made)
        return made

    return embedding


def _batched(
    question: EachQuestion, embedding: ImageEmbedding, plane: Plane, positions: Floats
) -> Steps[list[FoundMask]]:
    if not isinstance(question.predictor, AnswersInLogits):
        raise ValueError("this model answers one prompt at a time; choose another one")
    if question.prompts.kind == "point":
        prompt = Prompt.checked(positions[:, None], image_shape=embedding.image_shape)
    else:
        prompt = Prompt.checked(box=positions, image_shape=embedding.image_shape)
    records = yield from one_each_steps(question.predictor, embedding, prompt, policy=question.policy)
    found = []
    for record, prompts in zip(records, question.prompts.each(plane), strict=True):
        found.append(question.found(mask_in_its_box(record), record.predicted_iou, record.stability_score, prompts))
    return found


def _one_after_the_other(question: EachQuestion, embedding: ImageEmbedding, plane: Plane) -> Steps[list[FoundMask]]:
    """Answer prompts that are not alike."""
    found: list[FoundMask] = []
    total = len(question.prompts.planes[plane])
    for prompts in question.prompts.each(plane):
        yield Progress(len(found), total, "Asking the model")
        answer = question.predictor.predict(embedding, **arguments_of(prompts, None))
        masks = [np.asarray(mask) for mask in answer.masks]
        rank = choose_mask([int(np.count_nonzero(mask)) for mask in masks], question.policy)
        mask = WindowMask.cropped(masks[rank], (0, 0), (masks[rank].shape[0], masks[rank].shape[1]))
        scores = float(answer.predicted_iou[rank]), float(answer.stability_score[rank])
        found.append(question.found(mask, *scores, prompts))
    return found


def _one_by_one(question: EachQuestion, embedding: TiledEmbedding, plane: Plane) -> Steps[list[FoundMask]]:
    """Answer prompts on a plane that is too large to be encoded as a whole."""
    found: list[FoundMask] = []
    total = len(question.prompts.planes[plane])
    for prompts in question.prompts.each(plane):
        yield Progress(len(found), total, "Asking the model")
        given: dict[str, Any] = {"box": prompts.box}
        if prompts.points:
            given |= {"points": list(prompts.points), "labels": list(prompts.labels)}
        if prompts.mask is not None:
            given["mask"] = WindowMask.cropped(prompts.mask.mask, (0, 0), embedding.image_shape)
        steps = embedding.answer_steps(question.predictor, **given)
        count = len(found)
        answer = yield from relabelled(steps, lambda inner, count=count: Progress(count, total, inner.note))  # type: ignore[misc]
        rank = choose_mask([mask.area for mask in answer.masks], question.policy)
        scores = float(answer.predicted_iou[rank]), float(answer.stability_score[rank])
        found.append(question.found(answer.masks[rank], *scores, prompts))
    return found
