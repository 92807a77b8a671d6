"""One object for each prompt: many points, or many boxes, of one image in batched calls of the mask decoder.

No stack of masks at the size of the image is held: of each answer only the chosen mask is brought to pixels, within
its own box.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.candidates import run_lengths_in_box
from napari_segany.engine.mask_outline import used_logits
from napari_segany.engine.mask_policy import MaskPolicy, choose_mask
from napari_segany.engine.prediction import LogitsPrediction
from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.prompts import Prompt
from napari_segany.engine.upsampling import Upsampling
from napari_segany.formats.record import MaskRecord

if TYPE_CHECKING:  # which brings torch
    from napari_segany.engine.embedding import ImageEmbedding

AT_A_TIME = 32
"""Prompts in a call of the decoder: enough to be quick, few enough to be stopped soon and to take little memory."""

_STABILITY_OFFSET = 1.0


@runtime_checkable
class AnswersInLogits(Protocol):
    """What is asked of `engine.predictor.Predictor`."""

    def answer_in_logits(
        self, embedding: ImageEmbedding, prompt: Prompt, *, multimask: bool | None = None
    ) -> LogitsPrediction:
        """Answer a checked batch of prompts in low-resolution logits."""


def one_each_steps(
    predictor: AnswersInLogits,
    embedding: ImageEmbedding,
    prompt: Prompt,
    *,
    policy: MaskPolicy = "best",
    threshold: float = 0.0,
) -> Steps[list[MaskRecord]]:
    """Return a mask for each prompt of a batch, in their order.

    Parameters
    ----------
    predictor : AnswersInLogits
        The model.
    embedding : ImageEmbedding
        The image.
    prompt : Prompt
        A batch: points (B, N, 2), or boxes (B, 4).
    policy : str
        Which of three masks is taken for a single point; anything else is answered with one.
    threshold : float
        Logits above it are the object.

    Yields
    ------
    Progress
        Prompts that are answered.

    Raises
    ------
    ValueError
        For a prompt that is no batch.
    """
    total = prompt.batch_size
    if total is None:
        raise ValueError("one prompt was given without a batch axis; give points (B, N, 2) or boxes (B, 4)")
    upsampling = Upsampling(embedding.logits_shape, embedding.input_shape, embedding.image_shape)
    found: list[MaskRecord] = []
    for start in range(0, total, AT_A_TIME):
        yield Progress(start, total, "Asking the model")
        part = _part(prompt, slice(start, start + AT_A_TIME))
        answer = predictor.answer_in_logits(embedding, part)
        for index in range(len(answer.logits)):
            inside = used_logits(answer.logits[index], embedding.input_shape) > threshold
            rank = choose_mask(np.count_nonzero(inside, axis=(1, 2)), policy)
            iou = float(answer.predicted_iou[index, rank])
            found.append(_record(upsampling, answer.logits[index, rank], iou, part.item(index), threshold))
    yield Progress(total, total, "All prompts are answered")
    return found


def _record(
    upsampling: Upsampling, logits: NDArray[np.float32], iou: float, prompt: Prompt, threshold: float
) -> MaskRecord:
    window = upsampling.window(logits, threshold - _STABILITY_OFFSET)
    statistics = upsampling.statistics(window, threshold, _STABILITY_OFFSET)
    mask = upsampling.mask(window, threshold, statistics.box) if statistics.area else np.zeros((0, 0), np.bool_)
    return MaskRecord.from_mask(
        run_lengths_in_box(mask, statistics.box, upsampling.image_shape),
        predicted_iou=iou,
        stability_score=statistics.stability_score,
        prompt=prompt.to_dict(),
    )


def _part(prompt: Prompt, part: slice) -> Prompt:
    points, labels, box, mask = prompt.points, prompt.labels, prompt.box, prompt.mask
    return Prompt(
        prompt.image_shape,
        None if points is None else points[part],
        None if labels is None else labels[part],
        None if box is None else box[part],
        None if mask is None else mask[part],
    )
