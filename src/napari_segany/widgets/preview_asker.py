"""Asks for previews in the background: one question in flight, the newest one next. Knows no Qt.

Other than the answer to a click, a preview is shown even where a newer question waits already: otherwise nothing
would be seen while the mouse moves. Only `invalidate` makes the one that is under way void.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segany.engine.mask_outline import Outline, OutlineRaster, outline_of, used_logits
from napari_segany.engine.mask_policy import MaskPolicy, choose_mask
from napari_segany.engine.one_each import AnswersInLogits
from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.prompts import Prompt
from napari_segany.widgets.drafts import Prompts
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.progress_runner import Runner, Task
from napari_segany.widgets.raster_data import RasterData

if TYPE_CHECKING:  # which brings torch
    from napari_segany.engine.embedding import ImageEmbedding


@dataclass(frozen=True, eq=False)
class PreviewQuestion:
    """What would be asked if the mouse were pressed here.

    Attributes
    ----------
    plane : Plane
        Where.
    prompts : Prompts
        The prompts that are there, and the one under the mouse.
    arguments : dict
        The same for `Prompt.checked`, in pixels of what was encoded, and the logits that are refined.
    predictor, embedding
        The model, and what it made of the plane, or of a window of it.
    policy : str
        Which of three masks is shown.
    raster : OutlineRaster
        Where it is drawn.
    width : int
        Of the line, in pixels of the raster.
    asked_at : float
        When the mouse was there, for whoever measures.
    data : RasterData, optional
        Where a raster with a place on Earth holds data.
    """

    plane: Plane
    prompts: Prompts
    arguments: dict[str, Any]
    predictor: AnswersInLogits
    embedding: ImageEmbedding
    policy: MaskPolicy
    raster: OutlineRaster
    width: int
    asked_at: float = 0.0
    data: RasterData | None = None


@dataclass(frozen=True, eq=False)
class Preview:
    """The mask under the mouse: its outline, and the model's own estimate of its IoU."""

    outline: Outline
    predicted_iou: float


class PreviewAsker:
    """Puts preview questions to a predictor.

    Parameters
    ----------
    runner : Runner
        Runs the work.
    answered : callable
        Receives a question and its preview; None where nothing is asked, because there are no data.
    failed : callable
        Receives what went wrong.
    """

    def __init__(
        self,
        runner: Runner,
        answered: Callable[[PreviewQuestion, Preview | None], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._runner, self._answered, self._failed = runner, answered, failed
        self._pending: PreviewQuestion | None = None
        self._busy = False
        self._generation = 0
        self._task: Task | None = None

    def ask(self, question: PreviewQuestion) -> None:
        """Answer this question as soon as the one in flight is answered, in place of any that waits."""
        if self._busy:
            self._pending = question
        else:
            self._begin(question)

    @property
    def is_busy(self) -> bool:
        """Whether a question is in flight."""
        return self._busy

    def invalidate(self) -> None:
        """Drop the answer that is under way and the question that waits."""
        self._generation += 1
        self._pending = None

    def close(self) -> None:
        """Stop for good."""
        self.invalidate()
        if self._task is not None:
            self._task.cancel()

    def _begin(self, question: PreviewQuestion) -> None:
        self._busy = True
        generation = self._generation
        self._task = self._runner.start(
            "Previewing the mask",
            preview_steps(question),
            done=lambda preview: self._end(generation, lambda: self._answered(question, preview)),
            failed=lambda error: self._end(generation, lambda: self._failed(error)),
        )

    def _end(self, generation: int, deliver: Callable[[], None]) -> None:
        self._busy = False
        if generation == self._generation:
            deliver()
        if self._pending is not None and not self._busy:
            question, self._pending = self._pending, None
            self._begin(question)


def preview_steps(question: PreviewQuestion) -> Steps[Preview | None]:
    """Answer a question by the outline of one mask, from low-resolution logits; None where there are no data."""
    yield Progress(0, 1, "Previewing the mask")
    if question.data is not None and not question.data.allows(question.prompts):
        return None
    embedding = question.embedding
    prompt = Prompt.checked(
        **question.arguments,
        image_shape=embedding.image_shape,
        logits_shape=embedding.logits_shape,
    )
    answer = question.predictor.answer_in_logits(embedding, prompt)
    inside = used_logits(answer.logits, embedding.input_shape) > 0
    rank = choose_mask(np.count_nonzero(inside, axis=(1, 2)), question.policy)
    outline = outline_of(answer.logits[rank], embedding.input_shape, question.raster, width=question.width)
    return Preview(outline, float(answer.predicted_iou[rank]))
