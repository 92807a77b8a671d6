"""Asks the predictor in the background: one question in flight, the newest one next, old answers dropped. No Qt.

On a large plane a question may have to encode windows, which can take a minute. It is left at its next step once
nobody waits for its answer, and the window is gone on with when it is needed again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_segany.engine.encoding import AnyEmbedding
from napari_segany.engine.prediction import Prediction
from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.engine.tiled_embedding import TiledEmbedding
from napari_segany.engine.tiling import Window
from napari_segany.widgets.drafts import Candidate, InWindow, Prompts
from napari_segany.widgets.embedder import AnyPredictor
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.half_done import Begun
from napari_segany.widgets.large_planes import window_candidate_steps, window_embedding_steps, windows_again_steps
from napari_segany.widgets.progress_runner import Runner, Task
from napari_segany.widgets.provenance import Asked, without_logits
from napari_segany.widgets.raster_data import RasterData
from napari_segany.widgets.thumbnails import thumbnail

if TYPE_CHECKING:  # the engine's embedding brings torch, which takes seconds to import
    from napari_segany.engine.embedding import ImageEmbedding


@dataclass(frozen=True, eq=False)
class Question:
    """Prompts with what is needed to answer them.

    Attributes
    ----------
    plane : Plane
        Where they were made.
    prompts : Prompts
        The prompts.
    refine : numpy.ndarray, optional
        (h, w) low-resolution logits of the last answer for the same object.
    predictor, embedding
        The model, and what it made of the plane.
    read : callable
        Returns the image of the plane, for the thumbnails.
    contrast_limits : tuple of float, optional
        How to show it.
    refines : int, optional
        Which candidate of the last answer `refine` is of.
    earlier : tuple of Asked
        The questions that led to that answer.
    data : RasterData, optional
        Where a raster with a place on Earth holds data.
    view : float
        How much of the plane is seen, the longer side in its pixels; 0 where that is not known.
    again : tuple of Asked
        What an earlier session asked, each question refining the one before, to be asked in place of the prompts.
    in_window : InWindow, optional
        Where on a large plane the last answer was found.
    """

    plane: Plane
    prompts: Prompts
    refine: NDArray[np.float32] | None
    predictor: AnyPredictor
    embedding: AnyEmbedding
    read: Callable[[], ArrayLike]
    contrast_limits: tuple[float, float] | None
    refines: int | None = None
    earlier: tuple[Asked, ...] = ()
    data: RasterData | None = None
    view: float = 0
    again: tuple[Asked, ...] = ()
    in_window: InWindow | None = None

    @property
    def may_encode(self) -> bool:
        """Whether something may have to be encoded for it: a window, or the plane in the contrast of another time."""
        return isinstance(self.embedding, TiledEmbedding) or bool(self.again)

    def asked(self, answer: tuple[Candidate, ...]) -> tuple[Asked, ...]:
        """Return the question as it was answered, after those that it refines; () where it cannot be asked again so.

        Of a raster that is asked as a whole nobody keeps that pixels without data were cut off. On a large plane the
        answer tells its window, and whether the last one could be refined there.
        """
        found = answer[0].in_window if answer else None
        if self.data is not None and found is None:
            return ()
        if self.again:
            return self.again
        window, is_refined = (None, self.refine is not None) if found is None else (found.window, found.is_refined)
        refine, refines, earlier = (self.refine, self.refines, self.earlier) if is_refined else (None, None, ())
        kept = without_logits(arguments_of(self.prompts, refine), refine)
        return (*earlier, Asked(kept, refines, self.contrast_limits, window))


class Asker:
    """Puts questions to a predictor, one at a time.

    Parameters
    ----------
    runner : Runner
        Runs the work.
    answered : callable
        Receives a question and its candidates.
    failed : callable
        Receives what went wrong.
    moved : callable
        Called when `encoding` has changed.
    begun : Begun, optional
        The windows of large planes that were begun, where others go on with them too.

    Attributes
    ----------
    encoding : Progress or None
        How far the window, or the plane in the contrast of an earlier session, is that is encoded for the question;
        None where none is.
    """

    def __init__(
        self,
        runner: Runner,
        answered: Callable[[Question, tuple[Candidate, ...]], None],
        failed: Callable[[Exception], None],
        moved: Callable[[], None] = lambda: None,
        begun: Begun | None = None,
    ) -> None:
        self.encoding: Progress | None = None
        self._runner, self._answered, self._failed, self._moved = runner, answered, failed, moved
        self._begun = Begun() if begun is None else begun
        self._pending: Question | None = None
        self._answering: _Answering | None = None
        self._task: Task | None = None

    def ask(self, question: Question) -> None:
        """Answer this question next; answers to all earlier ones are dropped."""
        self.invalidate()
        if self._answering is not None:
            self._pending = question
        else:
            self._begin(question)

    def invalidate(self) -> None:
        """Drop the answer that is under way and the question that waits."""
        self._let_go()
        self._show(None)

    def close(self) -> None:
        """Stop for good, and say nothing any more."""
        self._let_go()
        if self._task is not None:
            self._task.cancel()

    def _let_go(self) -> None:
        self._pending = None
        if self._answering is not None:
            self._answering.is_wanted = False

    def _begin(self, question: Question) -> None:
        answering = self._answering = _Answering(question, self._begun)
        self._task = self._runner.start(
            "Predicting masks",
            answering.steps(),
            done=lambda candidates: self._end(answering, lambda: self._answered(question, candidates)),
            failed=lambda error: self._end(answering, lambda: self._failed(error)),
            report=partial(self._report, answering) if question.may_encode else None,
        )

    def _report(self, answering: _Answering, progress: Progress) -> None:
        if answering.is_wanted:
            self._show(answering.encoding)

    def _show(self, encoding: Progress | None) -> None:
        if encoding != self.encoding:
            self.encoding = encoding
            self._moved()

    def _end(self, answering: _Answering, deliver: Callable[[], None]) -> None:
        self._answering = None
        if answering.is_wanted:
            self._show(None)
            deliver()
        if self._pending is not None and self._answering is None:
            question, self._pending = self._pending, None
            self._begin(question)


class _Answering:
    """A question under way, answered in another thread than the one that says whether it is still wanted."""

    def __init__(self, question: Question, begun: Begun) -> None:
        self.is_wanted = True
        self.encoding: Progress | None = None
        self._question, self._begun = question, begun

    def steps(self) -> Steps[tuple[Candidate, ...]]:
        """Answer it, as long as it is wanted: where something must be encoded for it, that may take long."""
        with closing(candidate_steps(self._question, self._begun, self._watched)) as steps:
            while self.is_wanted:
                try:
                    progress = next(steps)
                except StopIteration as end:
                    return tuple(end.value)
                yield progress
        return ()

    def _watched(self, steps: Steps[ImageEmbedding]) -> Steps[ImageEmbedding]:
        found = yield from relabelled(steps, self._noted)
        self.encoding = None
        return found

    def _noted(self, progress: Progress) -> Progress:
        self.encoding = progress
        return progress


def candidate_steps(
    question: Question,
    begun: Begun | None = None,
    watched: Callable[[Steps[ImageEmbedding]], Steps[ImageEmbedding]] = lambda steps: steps,
) -> Steps[tuple[Candidate, ...]]:
    """Answer a question; the result is the candidates, best first.

    `begun` are windows of a large plane that need not be encoded from the beginning; `watched` runs the steps of
    whatever is encoded.
    """
    yield Progress(0, 1, "Predicting masks")
    if question.data is not None:
        question.data.check(question.prompts)
    if isinstance(question.embedding, TiledEmbedding):
        encode = partial(_window_steps, question, begun, watched)
        return (yield from _in_windows_steps(question, question.embedding, encode))
    if question.again:
        prediction = yield from _again_steps(question, question.embedding, watched)
    else:
        arguments = arguments_of(question.prompts, question.refine)
        prediction = question.predictor.predict(question.embedding, **arguments)
    yield Progress(1, 1, "Predicting masks")
    return _candidates(prediction, question)


def _window_steps(
    question: Question,
    begun: Begun | None,
    watched: Callable[[Steps[ImageEmbedding]], Steps[ImageEmbedding]],
    embedding: TiledEmbedding,
    window: Window,
) -> Steps[ImageEmbedding]:
    """Return the embedding of a window; of another contrast than that of the plane it is for this answer alone."""
    if begun is None or embedding is not question.embedding:
        return watched(embedding.embedding_steps(question.predictor, window))
    return watched(window_embedding_steps(begun, question.predictor, embedding, window))


def _in_windows_steps(
    question: Question, embedding: TiledEmbedding, encode: Callable[[TiledEmbedding, Window], Steps[ImageEmbedding]]
) -> Steps[tuple[Candidate, ...]]:
    predictor, data, view, refine = question.predictor, question.data, question.view, None
    if question.again:
        again, limits = question.again, question.contrast_limits
        return (yield from windows_again_steps(predictor, embedding, again, limits, data, view, encode))
    if question.refine is not None and question.in_window is not None:
        refine = question.in_window, question.refine
    making = partial(encode, embedding)
    return (yield from window_candidate_steps(predictor, embedding, question.prompts, data, view, making, refine))


def _again_steps(
    question: Question,
    embedding: ImageEmbedding,
    watched: Callable[[Steps[ImageEmbedding]], Steps[ImageEmbedding]],
) -> Steps[Prediction]:
    """Ask what an earlier session asked, in its order and with the contrast of that time; return the last answer."""
    limits = question.contrast_limits
    prediction: Prediction | None = None
    for number, one in enumerate(question.again):
        yield Progress(number, len(question.again), "Predicting masks")
        if one.contrast_limits != limits:
            limits = one.contrast_limits
            embedding = yield from watched(question.predictor.encode_steps(question.read(), contrast_limits=limits))
        if one.window is not None:
            raise ValueError("the saved session has asked in windows of a large plane")
        arguments, logits = dict(one.arguments), one.refined(None if prediction is None else prediction.logits)
        if logits is not None:
            arguments["mask"] = logits
        prediction = question.predictor.predict(embedding, **arguments)
    if prediction is None:
        raise ValueError("nothing is to be asked again")
    return prediction


def arguments_of(prompts: Prompts, refine: NDArray[np.float32] | None) -> dict[str, Any]:
    """Return the arguments of `Predictor.predict` for prompts, and for the logits that they refine."""
    arguments: dict[str, Any] = {}
    if prompts.points:
        arguments.update(points=list(prompts.points), labels=list(prompts.labels))
    if prompts.box is not None:
        arguments["box"] = prompts.box
    if refine is not None:
        arguments["mask"] = refine
    elif prompts.mask is not None:
        arguments["mask"] = prompts.mask.mask
    if prompts.mask is not None and not prompts.points and prompts.box is None:
        # SAM was trained on masks together with points or a box, never on a mask alone.
        arguments["box"] = prompts.mask.box
    return arguments


def _candidates(prediction: Prediction, question: Question) -> tuple[Candidate, ...]:
    image = question.read()
    found = []
    for rank in range(len(prediction)):
        mask = np.asarray(prediction.masks[rank])
        mask = mask if question.data is None else question.data.cut_whole(mask)
        picture, outline = thumbnail(image, mask, question.contrast_limits)
        found.append(
            Candidate(
                mask=mask,
                predicted_iou=float(prediction.predicted_iou[rank]),
                stability_score=float(prediction.stability_score[rank]),
                logits=np.asarray(prediction.logits[rank]),
                thumbnail=picture,
                outline=outline,
            )
        )
    return tuple(found)
