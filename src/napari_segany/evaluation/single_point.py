"""The paper's single-click protocol (Kirillov et al. 2023, arXiv:2304.02643, section 7.1 and appendix D.1).

One click per object, then up to nine, each further one where the last answer is most wrong; the masks are scored at
the resolution of the image. Any predictor serves that encodes and predicts as `engine.predictor.Predictor` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.evaluation.baseline import ClassicalRegions, classical_regions
from napari_segany.evaluation.data import Sample
from napari_segany.evaluation.metrics import intersection_over_union, mutual_iou
from napari_segany.evaluation.plan import SinglePointProtocol, Task, object_rng
from napari_segany.evaluation.points import Point, bounding_box, center_point, next_point, prompt_box, random_point
from napari_segany.evaluation.scores import BASELINE, BOX, MUTUAL, ORACLE, PREDICTED, ObjectScore, points_key

Masks = NDArray[np.bool_]


class Answer(Protocol):
    """A batch of B answers of N masks, best first, as `engine.prediction.Prediction`."""

    @property
    def masks(self) -> NDArray[np.bool_]:
        """(B, N, H, W)."""

    @property
    def predicted_iou(self) -> NDArray[np.float32]:
        """(B, N)."""

    @property
    def logits(self) -> NDArray[np.float32]:
        """(B, N, h, w)."""


class PromptPredictor(Protocol):
    """What the protocol asks of a model."""

    def encode_steps(self, image: ArrayLike) -> Steps[Any]:
        """Compute the embedding of an image."""

    def predict(
        self,
        embedding: Any,
        *,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        multimask: bool | None = None,
    ) -> Answer:
        """Answer a batch of prompts."""


def single_point(
    tasks: Sequence[Task],
    protocol: SinglePointProtocol,
    predictor: PromptPredictor | None,
    *,
    baseline: bool = False,
    receive: Callable[[Sequence[ObjectScore]], None] | None = None,
) -> Steps[list[ObjectScore]]:
    """Measure a model, the classical baseline, or both.

    Parameters
    ----------
    tasks : sequence of Task
        What `plan` chose.
    protocol : SinglePointProtocol
        How to measure.
    predictor : PromptPredictor, optional
        The model; None to measure the baseline alone.
    baseline : bool
        Ask the classical baseline with the first click too.
    receive : callable, optional
        Gets the scores of each batch at once, so that an interruption loses nothing.

    Yields
    ------
    Progress
        After each batch of objects, in objects.

    Returns
    -------
    list of ObjectScore
        In the order of the tasks.
    """
    if predictor is None and not baseline:
        raise ValueError("there is neither a model nor the baseline to measure; give one of them")
    scores: list[ObjectScore] = []
    total = sum(len(task.object_ids) for task in tasks)
    for task in tasks:
        where = f"{task.sample.dataset}/{task.sample.name}"
        yield Progress(len(scores), total, where)
        image, labels = task.sample.read()
        regions = classical_regions(image) if baseline else None
        embedding = None
        if predictor is not None:
            embedding = yield from _embedding(predictor, image, Progress(len(scores), total, where))
        for ids in _batches(task.object_ids, protocol.batch_size):
            truth = labels == np.array(ids, labels.dtype)[:, None, None]
            clicks = [
                _first_point(mask, protocol, task.sample, number) for mask, number in zip(truth, ids, strict=True)
            ]
            values: list[dict[str, float]] = [{} for _ in ids]
            if predictor is not None:
                values = _ask(predictor, embedding, truth, clicks, protocol)
            if regions is not None:
                _ask_baseline(regions, truth, clicks, values)
            batch = [
                _score(task.sample, number, mask, click, own)
                for number, mask, click, own in zip(ids, truth, clicks, values, strict=True)
            ]
            scores += batch
            if receive is not None:
                receive(batch)
            yield Progress(len(scores), total, where)
    return scores


def _embedding(predictor: PromptPredictor, image: NDArray[Any], here: Progress) -> Steps[Any]:
    """Compute the embedding of an image; the work as a whole stays where it is meanwhile."""
    return (yield from relabelled(predictor.encode_steps(image), lambda _: here))


def _batches(ids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def _first_point(mask: Masks, protocol: SinglePointProtocol, sample: Sample, object_id: int) -> Point:
    if protocol.point_choice == "center":
        return center_point(mask)
    return random_point(mask, object_rng(protocol.seed, sample, object_id))


def _ask(
    predictor: PromptPredictor,
    embedding: Any,
    truth: Masks,
    clicks: Sequence[Point],
    protocol: SinglePointProtocol,
) -> list[dict[str, float]]:
    """Ask about a batch of objects, truth (B, H, W), and return the values of each."""
    points = np.array(clicks)[:, None]  # (B, 1, 2)
    first = predictor.predict(embedding, points=points, labels=np.ones(points.shape[:2], int), multimask=True)
    candidates = intersection_over_union(first.masks, truth[:, None])  # (B, 3)
    refined = _refine(predictor, embedding, truth, points, first, candidates[:, 0], max(protocol.points))
    values = [
        {
            **{points_key(count): float(own[count - 1]) for count in sorted({1, *protocol.points})},
            ORACLE: float(candidates[index].max()),
            PREDICTED: float(first.predicted_iou[index, 0]),
            MUTUAL: mutual_iou(first.masks[index]),
        }
        for index, own in enumerate(refined)
    ]
    if protocol.boxes:
        boxes = np.array([prompt_box(mask) for mask in truth])
        answer = predictor.predict(embedding, box=boxes, multimask=False)
        for own, iou in zip(values, intersection_over_union(answer.masks[:, 0], truth), strict=True):
            own[BOX] = float(iou)
    return values


def _refine(
    predictor: PromptPredictor,
    embedding: Any,
    truth: Masks,
    points: NDArray[np.integer[Any]],
    first: Answer,
    first_iou: NDArray[np.float64],
    count: int,
) -> NDArray[np.float64]:
    """Correct the highest-ranked masks of the first click point by point; return the IoU after each: (B, count).

    An object without a wrong pixel that has not been clicked keeps its mask and its IoU.
    """
    iou = np.repeat(first_iou[:, None], count, axis=1)
    masks, logits = first.masks[:, 0].copy(), first.logits[:, 0].copy()
    labels = np.ones(points.shape[:2], int)
    active = np.arange(len(truth))
    for done in range(1, count):
        taken = [{(int(row), int(col)) for row, col in own} for own in points]
        corrections = [next_point(truth[k], masks[k], own) for k, own in zip(active, taken, strict=True)]
        wrong = [index for index, correction in enumerate(corrections) if correction is not None]
        if not wrong:
            break
        found = [correction for correction in corrections if correction is not None]
        active = active[wrong]
        points = np.concatenate([points[wrong], np.array([point for point, _ in found])[:, None]], axis=1)
        labels = np.concatenate([labels[wrong], np.array([label for _, label in found])[:, None]], axis=1)
        answer = predictor.predict(embedding, points=points, labels=labels, mask=logits[active], multimask=False)
        masks[active], logits[active] = answer.masks[:, 0], answer.logits[:, 0]
        iou[active, done:] = intersection_over_union(masks[active], truth[active])[:, None]
    return iou


def _ask_baseline(
    regions: ClassicalRegions, truth: Masks, clicks: Sequence[Point], values: Sequence[dict[str, float]]
) -> None:
    for mask, (row, col), own in zip(truth, clicks, values, strict=True):
        own[BASELINE] = float(intersection_over_union(regions.region(row, col), mask))


def _score(sample: Sample, object_id: int, mask: Masks, click: Point, values: dict[str, float]) -> ObjectScore:
    top, left, bottom, right = bounding_box(mask)
    parts = ndimage.label(mask[top : bottom + 1, left : right + 1], np.ones((3, 3)))[1]
    return ObjectScore(
        dataset=sample.dataset,
        image=sample.name,
        object_id=object_id,
        area=int(np.count_nonzero(mask)),
        parts=parts,
        at_border=top == 0 or left == 0 or bottom == mask.shape[0] - 1 or right == mask.shape[1] - 1,
        row=click[0],
        col=click[1],
        values=values,
    )
