"""Questions to the model about many objects of one slice at once, and the mask of one slice as prompt of the next.

One call of the mask decoder per slice: prompts of the same form make one batch. Knows no stack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.mask_prompt import mask_logits
from napari_segany.engine.prediction import Prediction
from napari_segany.engine.prompts import Prompt
from napari_segany.engine.propagation_settings import PropagationSettings
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths

_AT_A_TIME = 64  # prompts whose masks are held at the size of the image
_LEAST_MARGIN = 0.5  # pixels: a box through pixel centres gets an area even around a single pixel


class Answerer(Protocol):
    """What propagation asks of `engine.predictor.Predictor`."""

    def answer(self, embedding: ImageEmbedding, prompt: Prompt, *, multimask: bool | None = None) -> Prediction:
        """Answer a checked prompt, or a batch of them."""


@dataclass(frozen=True, eq=False)
class Answer:
    """The best mask of one object on one slice.

    Attributes
    ----------
    record : MaskRecord
        Mask and scores.
    logits : numpy.ndarray
        (h, w) float32 low-resolution logits, the mask prompt of the next slice.
    """

    record: MaskRecord
    logits: NDArray[np.float32]


def ask(
    predictor: Answerer,
    embedding: ImageEmbedding,
    prompts: Sequence[Prompt],
    *,
    multimask: bool | None = None,
    keep_prompts: bool = False,
) -> list[Answer]:
    """Return the best answer to each single prompt; prompts of the same form are asked together.

    Parameters
    ----------
    predictor : Answerer
        The model.
    embedding : ImageEmbedding
        The slice.
    prompts : sequence of Prompt
        Single prompts.
    multimask : bool, optional
        As in `Predictor.predict`.
    keep_prompts : bool
        Whether the records tell what was asked.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, prompt in enumerate(prompts):
        groups.setdefault(_form(prompt), []).append(index)
    answers: dict[int, Answer] = {}
    for members in chain.from_iterable(map(_parts, groups.values())):
        prediction = predictor.answer(embedding, _stacked([prompts[index] for index in members]), multimask=multimask)
        for place, index in enumerate(members):
            record = MaskRecord.from_mask(
                prediction.masks[place, 0],
                predicted_iou=float(prediction.predicted_iou[place, 0]),
                stability_score=float(prediction.stability_score[place, 0]),
                prompt=prompts[index].to_dict() if keep_prompts else None,
            )
            answers[index] = Answer(record, prediction.logits[place, 0])
    return [answers[index] for index in range(len(prompts))]


def given(embedding: ImageEmbedding, mask: RunLengths) -> Answer:
    """Return a mask that is right as it is in the form of an answer, without scores."""
    prompt = Prompt.checked(mask=mask.decode(), image_shape=embedding.image_shape)
    logits = mask_logits(prompt, embedding.input_shape, embedding.logits_shape)
    if logits is None:
        raise ValueError("the mask became no logits; give a mask of the slice's size")
    return Answer(MaskRecord.from_mask(mask), logits[0, 0])


def next_prompt(answer: Answer, settings: PropagationSettings) -> Prompt:
    """Return the prompt that a mask is for the next slice: its box with a margin, its logits, or both."""
    shape = answer.record.rle.size
    box = widened_box(answer.record.bbox, shape, settings.box_margin) if settings.use_box else None
    mask = answer.logits if settings.use_mask else None
    return Prompt.checked(box=box, mask=mask, image_shape=shape, logits_shape=_shape_of(answer.logits))


def widened_box(
    bbox: tuple[int, int, int, int], shape: tuple[int, int], margin: float
) -> tuple[float, float, float, float]:
    """Return a half-open pixel box as a prompt box, wider by a part of its sides, within the image.

    Parameters
    ----------
    bbox : (int, int, int, int)
        (row_min, col_min, row_max, col_max), half-open, of a mask that is not empty.
    shape : (int, int)
        (H, W) of the image.
    margin : float
        Part of the box's height and width that is added on each side, half a pixel at least.

    Returns
    -------
    tuple of float
        (row_min, col_min, row_max, col_max) through pixel centres, -0.5 to side - 0.5.
    """
    low, high = np.array(bbox[:2], float), np.array(bbox[2:], float) - 1
    reach = np.maximum(_LEAST_MARGIN, margin * (high - low + 1))
    row_min, col_min = np.maximum(low - reach, -0.5).tolist()
    row_max, col_max = np.minimum(high + reach, np.array(shape) - 0.5).tolist()
    return row_min, col_min, row_max, col_max


def mask_iou(first: MaskRecord, second: MaskRecord) -> float:
    """Return the IoU of two masks of one size; only where their boxes overlap are they decoded. Two empty ones: 1."""
    box = (
        max(first.bbox[0], second.bbox[0]),
        max(first.bbox[1], second.bbox[1]),
        min(first.bbox[2], second.bbox[2]),
        min(first.bbox[3], second.bbox[3]),
    )
    shared = 0
    if box[0] < box[2] and box[1] < box[3]:
        shared = int(np.count_nonzero(first.rle.window(box) & second.rle.window(box)))
    union = first.area + second.area - shared
    return shared / union if union else 1.0


def _parts(members: Sequence[int]) -> list[Sequence[int]]:
    return [members[start : start + _AT_A_TIME] for start in range(0, len(members), _AT_A_TIME)]


def _form(prompt: Prompt) -> tuple[object, ...]:
    parts = (prompt.points, prompt.box, prompt.mask, prompt.text)
    return (prompt.image_shape, *(None if part is None else (part.shape, part.dtype) for part in parts))


def _stacked(prompts: Sequence[Prompt]) -> Prompt:
    """Return single prompts of the same form as one batch."""
    return Prompt(
        prompts[0].image_shape,
        *(
            None if getattr(prompts[0], name) is None else np.stack([getattr(prompt, name) for prompt in prompts])
            for name in ("points", "labels", "box", "mask", "text")
        ),
    )


def _shape_of(logits: NDArray[np.float32]) -> tuple[int, int]:
    height, width = logits.shape
    return height, width
