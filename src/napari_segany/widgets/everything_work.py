"""The work of segmenting everything as generators of progress: asking slice after slice, and drawing one slice.

What is finished meanwhile travels as progress, so that it can be shown, and is kept when the rest is cancelled. Torch
is imported by the engine alone, when the work runs. No napari, no Qt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.formats.painting import PaintingRule, paint, parents
from napari_segany.widgets.everything_objects import Numbering, PlaneObjects
from napari_segany.widgets.geometry import Plane

if TYPE_CHECKING:
    from napari_segany.engine.candidates import RawCandidates
    from napari_segany.engine.embedding import ImageEmbedding

Clock = Callable[[], float]
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class PlaneQuestion:
    """What is asked of one plane.

    Attributes
    ----------
    plane : Plane
        Where.
    read : callable
        Returns its image, (H, W) or (H, W, C); called in the background.
    read_region : callable
        Returns (H, W) bool, or None for all of it; called in the background.
    embedding : ImageEmbedding or None
        The embedding of the whole plane, if it is there.
    settings : AutomaticSettings or None
        What is asked of this plane alone, where planes are asked different points.
    """

    plane: Plane
    read: Callable[[], ArrayLike]
    read_region: Callable[[Plane], NDArray[np.bool_] | None]
    embedding: ImageEmbedding | None = None
    settings: AutomaticSettings | None = None


@dataclass(frozen=True, eq=False)
class PlaneAnswer:
    """What the model answered about one plane; `encode_s` is None where nothing had to be encoded."""

    plane: Plane
    candidates: RawCandidates
    embedding: ImageEmbedding
    encode_s: float | None


@dataclass(frozen=True, eq=False)
class Prepared:
    """An embedding and how long it and one point took, in seconds."""

    plane: Plane
    embedding: ImageEmbedding
    encode_s: float | None
    point_s: float


@dataclass(frozen=True, eq=False)
class AskProgress(Progress):
    """Points asked of all slices; `answer` is set when a slice is finished, and `counts` once points are asked."""

    counts: bool = False
    answer: PlaneAnswer | None = None

    @property
    def may_be_skipped(self) -> bool:
        """Whether it brings no answer."""
        return self.answer is None


@dataclass(frozen=True, eq=False)
class ModelReady(Progress):
    """The model is loaded."""

    predictor: Any = None


def with_model_steps(
    held: Any, load: Callable[[], Any], name: str, work: Callable[[Any], Steps[Result]]
) -> Steps[Result]:
    """Load a model unless it is held, tell so with `ModelReady`, and go on with the work."""
    predictor = held
    if predictor is None:
        yield Progress(0, 0, f"Loading the model {name}")
        predictor = load()
        yield ModelReady(0, 0, f"Loaded the model {name}", predictor)
    return (yield from work(predictor))


def prepare_steps(
    predictor: Any,
    question: PlaneQuestion,
    limits: tuple[float, float] | None,
    settings: AutomaticSettings,
    clock: Clock = time.perf_counter,
) -> Steps[Prepared]:
    """Make the embedding of a plane and time a call of the decoder, for an estimate."""
    from napari_segany.engine.automatic_estimate import point_seconds_steps

    yield Progress(0, 0, "Reading the image")
    image = np.asarray(question.read())
    embedding, encode_s = yield from _encoded(predictor, image, question, limits, clock)
    timing = point_seconds_steps(predictor, image, embedding, settings, clock)
    point_s = yield from relabelled(timing, lambda step: Progress(step.done, step.total, "Timing the mask decoder"))
    return Prepared(question.plane, embedding, encode_s, point_s)


def ask_steps(
    predictor: Any,
    questions: Sequence[PlaneQuestion],
    limits: tuple[float, float] | None,
    settings: AutomaticSettings,
    clock: Clock = time.perf_counter,
) -> Steps[int]:
    """Ask about one plane after the other and return the number of planes that had something to ask.

    Parameters
    ----------
    predictor : Predictor
        The model.
    questions : sequence of PlaneQuestion
        The planes. Of several, those without points to ask are passed over.
    limits : (float, float), optional
        Intensities that become black and white, the same for all planes.
    settings : AutomaticSettings
        What is asked, of planes that have no own settings.
    clock : callable
        Returns the time in seconds.

    Yields
    ------
    AskProgress
        Points asked, of all planes; with the answer when a plane is finished.
    """
    from napari_segany.engine.automatic import AutomaticMaskGenerator
    from napari_segany.engine.automatic_estimate import count_questions

    before, asked = 0, 0
    for number, question in enumerate(questions):
        label = _Label(number, len(questions), before)
        yield label(Progress(0, 0, "Reading the image"))
        image, region = np.asarray(question.read()), question.read_region(question.plane)
        of_plane = question.settings or settings
        if len(questions) > 1 and (region is not None or question.settings is not None):
            shape = (image.shape[0], image.shape[1])
            if count_questions(shape, of_plane, region).points == 0:
                continue
        generator = AutomaticMaskGenerator(predictor, of_plane)
        encoding = _encoded(predictor, image, question, limits, clock)
        embedding, encode_s = yield from relabelled(encoding, label)
        asking = generator.candidate_steps(
            image, contrast_limits=embedding.contrast_limits, region=region, embedding=embedding
        )
        candidates: RawCandidates = yield from relabelled(asking, label)
        before, asked = before + label.points, asked + 1
        answer = PlaneAnswer(question.plane, candidates, embedding, encode_s)
        total = _total(before, asked, len(questions) - number - 1)
        yield AskProgress(before, total, f"{label.place}finished", True, answer)
    return asked


class _Label:
    """Turns the progress of one slice into that of all of them."""

    def __init__(self, number: int, slices: int, before: int) -> None:
        self.place = f"Slice {number + 1} of {slices}: " if slices > 1 else ""
        self.points = 0
        self._before = before
        self._number, self._slices = number, slices

    def __call__(self, step: Progress) -> AskProgress:
        """Return the progress of all slices, as if the others had as many points as this one."""
        from napari_segany.engine.automatic import AutomaticProgress

        if isinstance(step, AutomaticProgress):
            self.points = step.total
        expected = self.points or self._before / max(self._number, 1)
        of_all = self._before + round(expected * (self._slices - self._number))
        note = step.note[:1].lower() + step.note[1:] if self.place else step.note
        done = step.done if self.points else 0
        return AskProgress(self._before + done, of_all, self.place + note, self.points > 0)


def _total(done: int, asked: int, left: int) -> int:
    return done + round(done / asked * left) if asked else 0


def _encoded(
    predictor: Any,
    image: NDArray[np.generic],
    question: PlaneQuestion,
    limits: tuple[float, float] | None,
    clock: Clock,
) -> Steps[tuple[ImageEmbedding, float | None]]:
    if question.embedding is not None:
        return question.embedding, None
    begin = clock()
    embedding = yield from predictor.encode_steps(image, contrast_limits=limits)
    return embedding, clock() - begin


@dataclass(frozen=True, eq=False)
class PictureRequest:
    """What is to be drawn.

    Attributes
    ----------
    plane : Plane
        Which plane.
    objects : PlaneObjects
        What is on it.
    shape : (int, int)
        (H, W) of the plane.
    settings : AutomaticSettings or None
        To filter the candidates with; None draws what was found before.
    numbering : Numbering
        The numbers so far.
    rule : str
        Which object shows where several overlap.
    """

    plane: Plane
    objects: PlaneObjects
    shape: tuple[int, int]
    settings: AutomaticSettings | None
    numbering: Numbering
    rule: PaintingRule


@dataclass(frozen=True, eq=False)
class PlanePicture:
    """One plane as it is to be shown.

    Attributes
    ----------
    request : PictureRequest
        What was asked for.
    objects : PlaneObjects
        What is on the plane now.
    numbering : Numbering
        The numbers now.
    labels : numpy.ndarray
        (H, W) uint16 or uint32.
    parents : mapping of int to int
        For each label that of the object it lies within; 0 for none.
    """

    request: PictureRequest
    objects: PlaneObjects
    numbering: Numbering
    labels: NDArray[Any]
    parents: Mapping[int, int]


def picture_steps(request: PictureRequest) -> Steps[PlanePicture]:
    """Filter the candidates of a plane, number what is left, and draw it."""
    objects, candidates = request.objects, request.objects.candidates
    if request.settings is not None and candidates is not None:
        from napari_segany.engine.filtering import record_steps

        records = yield from record_steps(candidates, request.settings.asking_as(candidates.settings))
        objects = objects.refiltered(records)
    shown = objects.shown
    yield Progress(0, 0, f"Drawing {len(shown)} objects")
    numbering = request.numbering.updated(request.plane, shown)
    numbers = [numbering.labels[request.plane][key] for key in shown]
    records = list(shown.values())
    labels = paint(records, numbers, request.shape, request.rule)
    yield Progress(0, 0, "Looking which lie within which")
    inside = [0 if parent is None else numbers[parent] for parent in parents(records)]
    return PlanePicture(request, objects, numbering, labels, dict(zip(numbers, inside, strict=True)))
