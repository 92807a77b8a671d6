"""What a model answered in a saved session answered again, step by step, into a label image. No napari."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.mask_cleaning import CleanUp
from napari_segany.engine.mask_policy import MASK_POLICIES
from napari_segany.engine.object_overlap import put_object
from napari_segany.engine.one_each import one_each_steps, put_each
from napari_segany.engine.precision_names import FLOAT32, digest_in
from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.prompts import Prompt
from napari_segany.engine.replay_derived import carry_again_steps, find_again_steps, numbers_of, rule_of
from napari_segany.formats.rle import RunLengths
from napari_segany.formats.session_derived import SavedCarried, SavedDerived, SavedSimilar
from napari_segany.formats.session_steps import (
    PlaneMasks,
    SavedAnswer,
    SavedAsking,
    SavedEach,
    SavedQuestion,
    Slicer,
)

if TYPE_CHECKING:  # both bring torch
    from napari_segany.engine.embedding import ImageEmbedding
    from napari_segany.engine.prediction import Prediction
    from napari_segany.engine.predictor import Predictor

LoadPredictor = Callable[[SavedAsking], "Predictor"]
"""Makes the predictor that answered; called once for each model and precision."""

_KEPT = 8
"""Embeddings that are kept: objects go from slice to slice, forwards and backwards in turn."""


@dataclass
class Player:
    """Answers again, with predictors and embeddings that serve several answers.

    Attributes
    ----------
    image : array
        The image.
    load : callable
        Makes the predictor of a step.
    notes : list of str
        What was found to be otherwise than when the session was saved.
    """

    image: Any
    load: LoadPredictor
    notes: list[str] = field(default_factory=list)
    _predictors: dict[tuple[str, str, str], Predictor] = field(default_factory=dict)
    _embeddings: dict[tuple[Any, ...], ImageEmbedding] = field(default_factory=dict)

    def play_steps(self, step: SavedAsking, labels: NDArray[Any]) -> Steps[None]:
        """Ask what was asked in a step, and write what became of it.

        Raises
        ------
        ValueError
            For a step that does not fit the image, or what the model answers.
        """
        predictor = yield from self._predictor_steps(step)
        if isinstance(step, SavedEach):
            yield from self._each_steps(step, predictor, labels)
        elif isinstance(step, SavedAnswer):
            yield from self._answer_steps(step, predictor, labels)
        elif isinstance(step, SavedDerived):
            yield from self._derived_steps(step, predictor, labels)

    def _derived_steps(self, step: SavedDerived, predictor: Predictor, labels: NDArray[Any]) -> Steps[None]:
        """Carry objects again, or look for similar ones again, and say where other pixels come of it than then."""
        expected = labels.copy()
        put_planes(expected, step.planes)
        if isinstance(step, SavedCarried):
            masks = yield from self._chosen_steps(step, predictor)
            embeddings = partial(self._slice_steps, step, predictor)
            yield from carry_again_steps(step, predictor, embeddings, masks, labels)
        elif isinstance(step, SavedSimilar):
            embedding = yield from self.embedding_steps(step, step.slicer, step.contrast_limits, predictor)
            yield from find_again_steps(step, predictor, embedding, np.asarray(self.image[step.slicer]), labels)
        differing = int(np.count_nonzero(labels != expected))
        if differing:
            what = "objects carried through a stack" if isinstance(step, SavedCarried) else "similar objects"
            self.notes.append(f"{what} ({numbers_of(step)}) have {differing:,} pixels that are others than then")

    def _chosen_steps(self, step: SavedCarried, predictor: Predictor) -> Steps[dict[int, RunLengths]]:
        """Return the masks that people chose on slices, by the number of the prompt; they are asked for again."""
        found = {}
        for number, prompt in enumerate(step.prompts):
            if prompt.questions:
                slicer = step.slicer_at(prompt.place)
                mask = yield from self._mask_steps(step, slicer, prompt.questions, prompt.chosen, predictor)
                found[number] = RunLengths.from_mask(mask)
        return found

    def _slice_steps(self, step: SavedCarried, predictor: Predictor, place: int) -> Steps[ImageEmbedding]:
        return self.embedding_steps(step, step.slicer_at(place), step.contrast_limits, predictor)

    def _answer_steps(self, step: SavedAnswer, predictor: Predictor, labels: NDArray[Any]) -> Steps[None]:
        """Ask the questions of an answer one after the other, and write the mask that was chosen."""
        mask = yield from self._mask_steps(step, step.slicer, step.questions, step.chosen, predictor)
        mask = mask if step.cleaning is None else _clean_up(step.cleaning).apply(mask)
        put_object(labels[step.slicer], mask, step.label, overlap=rule_of(step))

    def _mask_steps(
        self,
        step: SavedAsking,
        slicer: Slicer,
        questions: Sequence[SavedQuestion],
        chosen: int,
        predictor: Predictor,
    ) -> Steps[NDArray[np.bool_]]:
        """Ask questions that refine each other, and return the mask that was chosen of the last answer."""
        prediction: Prediction | None = None
        for question in questions:
            embedding = yield from self.embedding_steps(step, slicer, question.contrast_limits, predictor)
            prediction = predictor.predict(embedding, **_arguments(question, prediction))
        if prediction is None or not 0 <= chosen < len(prediction):
            raise ValueError(f"{_objects(step)} is candidate {chosen}, which the model does not offer")
        return np.asarray(prediction.masks[chosen])

    def _each_steps(self, step: SavedEach, predictor: Predictor, labels: NDArray[Any]) -> Steps[None]:
        """Ask all points or boxes at once, and write an object for each."""
        policy = next((one for one in MASK_POLICIES if one == step.policy), None)
        if policy is None:
            raise ValueError(f"the mask of a point is the {step.policy!r}; known are {', '.join(MASK_POLICIES)}")
        if not 0 <= min(step.labels) <= max(step.labels) <= np.iinfo(labels.dtype).max:
            raise ValueError(f"objects have the numbers {min(step.labels)} to {max(step.labels)}, which cannot be")
        embedding = yield from self.embedding_steps(step, step.slicer, step.contrast_limits, predictor)
        points = np.array(step.points)[:, None] if step.points else None
        prompt = Prompt.checked(points, box=step.boxes or None, image_shape=embedding.image_shape)
        records = yield from one_each_steps(predictor, embedding, prompt, policy=policy)
        cleaning = None if step.cleaning is None else _clean_up(step.cleaning)
        put_each(labels[step.slicer], records, step.labels, overlap=rule_of(step), cleaning=cleaning)

    def _predictor_steps(self, step: SavedAsking) -> Steps[Predictor]:
        key = (step.model, step.device, step.precision)
        if key not in self._predictors:
            yield Progress(0, 0, f"Loading the model {step.model}")
            self._predictors[key] = self.load(step)
            weights = yield from self._predictors[key].digest_steps()
            if step.weights and digest_in(step.weights, FLOAT32) != digest_in(weights, FLOAT32):
                self.notes.append(f"the weights of {step.model} are others than those that the session was made with")
        return self._predictors[key]

    def embedding_steps(
        self, step: SavedAsking, slicer: Slicer, limits: tuple[float, float] | None, predictor: Predictor
    ) -> Steps[ImageEmbedding]:
        """Return the embedding of a plane as a step had it; the last ones are kept."""
        key = (step.model, step.device, step.precision, str(slicer), limits, step.rounded)
        known = self._embeddings.pop(key, None)
        if known is None:
            try:
                pixels = np.asarray(self.image[slicer])
            except IndexError:
                where = f"axes {step.axes}, index {step.index}"
                raise ValueError(f"{_objects(step)} is on a plane that the image does not have ({where})") from None
            embedding = yield from predictor.encode_steps(pixels, contrast_limits=limits)
            known = _rounded(embedding) if step.rounded else embedding
        self._embeddings[key] = known
        if len(self._embeddings) > _KEPT:
            del self._embeddings[next(iter(self._embeddings))]
        return known


def put_planes(labels: NDArray[Any], planes: PlaneMasks) -> None:
    """Write masks by plane and label into labels; the label 0 erases.

    Raises
    ------
    ValueError
        For masks that do not fit.
    """
    for index, masks in planes.items():
        for label, mask in masks.items():
            outside = len(index) != labels.ndim - 2 or any(
                not 0 <= place < side for place, side in zip(index, labels.shape, strict=False)
            )
            if outside or mask.size != labels.shape[-2:] or not 0 <= label <= np.iinfo(labels.dtype).max:
                raise ValueError(
                    f"object {label} at {index} has a mask of {mask.size}; the image has the shape {labels.shape}"
                )
            labels[index][mask.decode()] = label


def _objects(step: SavedAsking) -> str:
    if isinstance(step, SavedDerived):
        return f"one of the objects {numbers_of(step)}"
    return f"object {step.label if isinstance(step, SavedAnswer) else max(getattr(step, 'labels', ()), default=0)}"


def _clean_up(parameters: Mapping[str, Any]) -> CleanUp:
    try:
        return CleanUp(**parameters)
    except TypeError:
        raise ValueError(
            f"the clean-up of the session has parameters that are not known: {dict(parameters)}"
        ) from None


def _rounded(embedding: ImageEmbedding) -> ImageEmbedding:
    """Return an embedding as the cache keeps it; one that comes from there stays as it is."""
    from napari_segany.engine.cache_entry import CacheEntry

    return CacheEntry.of(embedding).embedding(embedding.features.device)


def _arguments(question: SavedQuestion, before: Prediction | None) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if question.points:
        arguments.update(points=list(question.points), labels=list(question.labels))
    if question.box is not None:
        arguments["box"] = question.box
    if question.refines is not None:
        if before is None or not 0 <= question.refines < len(before):
            raise ValueError(
                f"a question refines candidate {question.refines} of an answer that has no such candidate"
            )
        arguments["mask"] = before.logits[question.refines]
    elif question.mask is not None:
        arguments["mask"] = question.mask.decode()
    return arguments
