"""Masks of prompts as records, whether the image has one embedding or is asked window by window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from napari_segany.engine.candidates import run_lengths_in_box
from napari_segany.engine.encoding import AnyEmbedding
from napari_segany.engine.one_each import one_each_steps
from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.engine.prompts import Prompt
from napari_segany.engine.records import records_of
from napari_segany.engine.tiled_embedding import TiledEmbedding
from napari_segany.engine.tiled_prediction import TiledPrediction
from napari_segany.formats.geo_prompts import GeoPrompt
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.window_mask import WindowMask

if TYPE_CHECKING:
    from napari_segany.engine.predictor import Predictor


def answer_steps(
    predictor: Predictor, embedding: AnyEmbedding, prompt: Prompt, multimask: bool | None = None
) -> Steps[list[MaskRecord]]:
    """Return the masks of one prompt, best first.

    Parameters
    ----------
    predictor : Predictor
        The model.
    embedding : ImageEmbedding or TiledEmbedding
        What `encoding_steps` returned.
    prompt : Prompt
        Points and a box; of an image that is no large one words too.
    multimask : bool, optional
        Three masks, or one, whatever the prompt.

    Raises
    ------
    ValueError
        For words, a mask or a batch that is asked of a large image.
    """
    if not isinstance(embedding, TiledEmbedding):
        yield Progress(0, 1, "Predicting masks")
        return records_of(predictor.answer(embedding, prompt, multimask=multimask), prompt)
    if prompt.text is not None or prompt.mask is not None:
        raise ValueError("a large image is asked window by window, by points and boxes; leave out words and masks")
    answer = yield from embedding.answer_steps(
        predictor, points=prompt.points, labels=prompt.labels, box=prompt.box, multimask=multimask
    )
    return _records(answer, prompt.to_dict())


def each_steps(predictor: Predictor, embedding: AnyEmbedding, prompts: Prompt) -> Steps[list[MaskRecord]]:
    """Return the best mask of each prompt of a batch, in their order; of a large image they are asked one by one.

    Yields
    ------
    Progress
        Prompts that are answered.
    """
    if not isinstance(embedding, TiledEmbedding):
        return (yield from one_each_steps(predictor, embedding, prompts))
    found: list[MaskRecord] = []
    items = prompts.items()
    for number, prompt in enumerate(items):
        steps = answer_steps(predictor, embedding, prompt)
        found.append((yield from _counted(steps, number, len(items)))[0])
    return found


def feature_steps(
    predictor: Predictor, embedding: AnyEmbedding, prompts: Sequence[GeoPrompt]
) -> Steps[list[MaskRecord]]:
    """Return the best mask of each prompt of a vector file, with the attributes of its feature.

    Yields
    ------
    Progress
        Prompts that are answered.
    """
    found: list[MaskRecord] = []
    for number, prompt in enumerate(prompts):
        steps = _feature_steps(predictor, embedding, prompt)
        found.append((yield from _counted(steps, number, len(prompts))))
    return found


def _feature_steps(predictor: Predictor, embedding: AnyEmbedding, prompt: GeoPrompt) -> Steps[MaskRecord]:
    points = prompt.points.tolist() or None
    labels = prompt.labels.tolist() if points else None
    asked: dict[str, Any] = {"points": points or [], "labels": labels or [], "attributes": dict(prompt.attributes)}
    if prompt.box is not None:
        asked["box"] = list(prompt.box)
    if isinstance(embedding, TiledEmbedding):
        rle = prompt.mask
        mask = None if rle is None else WindowMask(rle.window(rle.bbox), rle.bbox[:2], rle.size)
        answer = yield from embedding.answer_steps(predictor, points=points, labels=labels, box=prompt.box, mask=mask)
        return _records(answer, asked)[0]
    yield Progress(0, 1, "Predicting masks")
    whole = None if prompt.mask is None else prompt.mask.decode()
    found = predictor.predict(embedding, points=points, labels=labels, box=prompt.box, mask=whole)
    scores = float(found.predicted_iou[0]), float(found.stability_score[0])
    return MaskRecord.from_mask(found.masks[0], predicted_iou=scores[0], stability_score=scores[1], prompt=asked)


def _counted(steps: Steps[Any], number: int, total: int) -> Steps[Any]:
    """Answer one prompt of many: what counts is how many there are."""
    yield Progress(number, total, "Asking the model")
    return (yield from relabelled(steps, lambda inner: Progress(number, total, inner.note)))


def _records(answer: TiledPrediction, asked: Mapping[str, Any]) -> list[MaskRecord]:
    """Return the masks of a window as records of the image; no array of its size is made."""
    records = []
    for rank, mask in enumerate(answer.masks):
        top, left, bottom, right = answer.window.image_box
        height, width = mask.image_shape
        records.append(
            MaskRecord.from_mask(
                run_lengths_in_box(mask.pixels, mask.box, mask.image_shape),
                predicted_iou=float(answer.predicted_iou[rank]),
                stability_score=float(answer.stability_score[rank]),
                prompt=asked,
                crop_box=(top, left, min(bottom, height), min(right, width)),
            )
        )
    return records
