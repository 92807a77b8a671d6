"""One object for each prompt: many points, or many boxes, of one image in batched calls of the mask decoder.

No stack of masks at the size of the image is held: of each answer only the chosen mask is brought to pixels, within
its own box.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_segany.engine.candidates import run_lengths_in_box
from napari_segany.engine.mask_cleaning import CleanUp, cleaned_window
from napari_segany.engine.mask_outline import used_logits
from napari_segany.engine.mask_policy import MaskPolicy, choose_mask
from napari_segany.engine.mask_statistics import mask_statistics
from napari_segany.engine.object_overlap import OverlapRule, put_numbered
from napari_segany.engine.prediction import LogitsPrediction
from napari_segany.engine.progress import Progress, Steps, drain
from napari_segany.engine.prompts import Prompt
from napari_segany.engine.upsampling import Upsampling
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.window_mask import WindowMask

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
        part = prompt.part(slice(start, start + AT_A_TIME))
        answer = predictor.answer_in_logits(embedding, part)
        for index in range(len(answer.logits)):
            inside = used_logits(answer.logits[index], embedding.input_shape) > threshold
            rank = choose_mask(np.count_nonzero(inside, axis=(1, 2)), policy)
            iou = float(answer.predicted_iou[index, rank])
            found.append(_record(upsampling, answer.logits[index, rank], iou, part.item(index), threshold))
    yield Progress(total, total, "All prompts are answered")
    return found


def one_each(
    predictor: AnswersInLogits,
    embedding: ImageEmbedding,
    *,
    points: ArrayLike | None = None,
    boxes: ArrayLike | None = None,
    policy: MaskPolicy = "best",
) -> list[MaskRecord]:
    """Return a mask for each point, or for each box, of an image.

    Parameters
    ----------
    predictor, embedding
        The model, and what it made of the image.
    points : array_like, optional
        (N, 2) rows and columns.
    boxes : array_like, optional
        (N, 4) row_min, col_min, row_max, col_max.
    policy : str
        Which of three masks a point gets.

    Raises
    ------
    ValueError
        Unless either points or boxes are given.
    """
    if (points is None) == (boxes is None):
        raise ValueError("one object is made for each point or for each box: give either points or boxes")
    batch = None if points is None else np.asarray(points, float).reshape(-1, 1, 2)
    prompt = Prompt.checked(batch, box=boxes, image_shape=embedding.image_shape)
    return drain(one_each_steps(predictor, embedding, prompt, policy=policy))


def put_each(
    labels: NDArray[Any],
    records: Sequence[MaskRecord],
    numbers: Sequence[int],
    *,
    overlap: OverlapRule = "keep",
    cleaning: CleanUp | None = None,
) -> None:
    """Write the masks of `one_each` into a label image, as napari does.

    Parameters
    ----------
    labels : numpy.ndarray
        (H, W) labels; changed in place. Its type must hold the numbers.
    records : sequence of MaskRecord
        The masks.
    numbers : sequence of int
        A number for each, which no object has yet; 0 for one that ends without a pixel.
    overlap : str
        What becomes of pixels of other objects, see `OverlapRule`.
    cleaning : CleanUp, optional
        What is done to each mask first.

    Raises
    ------
    ValueError
        For another rule, or for more or fewer numbers than masks.
    """
    masks = [cleaned_window(mask_in_its_box(one), cleaning) for one in records]
    put_numbered(labels, masks, numbers, overlap=overlap)


def mask_in_its_box(record: MaskRecord) -> WindowMask:
    """Return the mask of a record as pixels within its box."""
    return WindowMask(record.rle.window(record.bbox), record.bbox[:2], record.rle.size)


def _record(
    upsampling: Upsampling, logits: NDArray[np.float32], iou: float, prompt: Prompt, threshold: float
) -> MaskRecord:
    window = upsampling.window(logits, threshold - _STABILITY_OFFSET)
    statistics = mask_statistics(upsampling, window, threshold, _STABILITY_OFFSET)
    mask = upsampling.mask(window, threshold, statistics.box) if statistics.area else np.zeros((0, 0), np.bool_)
    return MaskRecord.from_mask(
        run_lengths_in_box(mask, statistics.box, upsampling.image_shape),
        predicted_iou=iou,
        stability_score=statistics.stability_score,
        prompt=prompt.to_dict(),
    )
