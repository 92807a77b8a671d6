"""The objects of a saved session made again: the same questions to the same model, the same choices. No napari.

What the model answered is answered again; what people painted is written as it was. The labels that were saved serve
to check the result, never to make it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.image import checked_image
from napari_segany.engine.mask_cleaning import CleanUp
from napari_segany.engine.mask_policy import MASK_POLICIES
from napari_segany.engine.object_overlap import OVERLAP_RULES, OverlapRule, put_object
from napari_segany.engine.one_each import one_each_steps, put_each
from napari_segany.engine.precision_names import FLOAT32, digest_in
from napari_segany.engine.progress import Progress, Steps, drain, relabelled
from napari_segany.engine.prompts import Prompt
from napari_segany.formats.geo_session import SavedBands
from napari_segany.formats.image_file import read_array
from napari_segany.formats.session_file import SavedSession
from napari_segany.formats.session_log import (
    PlaneMasks,
    SavedAnswer,
    SavedEach,
    SavedPixels,
    SavedQuestion,
    slicer_of,
)

if TYPE_CHECKING:  # both bring torch
    from napari_segany.engine.embedding import ImageEmbedding
    from napari_segany.engine.prediction import Prediction
    from napari_segany.engine.predictor import Predictor

RASTER_KEY = "raster"
"""Key of a saved session's image: the raster with a place on Earth that it shows bands of, as `SavedBands`."""

LoadPredictor = Callable[[SavedAnswer | SavedEach], "Predictor"]
"""Makes the predictor that answered; called once for each model and precision."""


@dataclass(frozen=True)
class Replay:
    """A session made again.

    Attributes
    ----------
    labels : numpy.ndarray
        The objects, of the image's shape without colours; uint16, or uint32 where there are more.
    differing : int
        In how many pixels the labels are others than those that the session saved.
    answers : int
        How many answers of the model were asked for again.
    notes : tuple of str
        What was found to be otherwise than when the session was saved, a sentence each.
    """

    labels: NDArray[Any]
    differing: int
    answers: int
    notes: tuple[str, ...] = ()


def session_image(saved: SavedSession, path: Path | None = None) -> NDArray[np.generic]:
    """Read the image of a session and check that it is the one that was worked on.

    Parameters
    ----------
    saved : SavedSession
        The session.
    path : Path, optional
        Where the image is now; the session's own path where not given.

    Raises
    ------
    OSError
        For a file that is missing or cannot be read.
    ValueError
        For a session without the image's file, a file that is damaged, or another image.
    """
    known, name, raster = saved.image.get("path"), saved.image.get("name"), _raster_file(saved)
    if path is None and raster:
        raise ValueError(
            f"the image {name!r} shows bands of the raster {raster}: open that with these bands in napari, choose "
            "the image, and open the session again"
        )
    if path is None and not known:
        raise ValueError(f"the image {name!r} was not opened from a file: save it and give that (--image)")
    path = Path(str(known)) if path is None else path
    if not path.exists():
        raise FileNotFoundError(
            2, "the image of the session is not there any more; say where it is (--image)", str(path)
        )
    image = read_array(path)
    check_image(saved, image, path.name)
    return image


def saved_bands(saved: SavedSession) -> SavedBands | None:
    """Return what a session shows of a raster; None for other images, and where an earlier version has saved it.

    Raises
    ------
    ValueError
        For damaged values.
    """
    raster = saved.image.get(RASTER_KEY)
    return SavedBands.from_dict(raster) if isinstance(raster, Mapping) else None


def _raster_file(saved: SavedSession) -> str:
    """Return the file of the raster that a session shows bands of; an empty string for other images."""
    raster = saved.image.get(RASTER_KEY)
    return str(raster.get("path", "") if isinstance(raster, Mapping) else raster or "")


def asks_a_model(saved: SavedSession) -> bool:
    """Tell whether a model is asked for any of the accepted objects; others are kept as pixels.

    That is so of rasters on Earth, and of images that were worked on in windows.
    """
    return saved.log is None or any(not isinstance(step, SavedPixels) for step in saved.log.steps)


def replay_image(saved: SavedSession, path: Path | None = None) -> NDArray[np.generic]:
    """Return what `replay_steps` is to be given: the image, or one of its shape alone where nothing is asked of it.

    Parameters and errors are those of `session_image`.
    """
    raster, shape = saved.image.get(RASTER_KEY), saved.image.get("shape")
    if (
        asks_a_model(saved)
        or not (raster or (path is None and not saved.image.get("path")))
        or not isinstance(shape, list)
    ):
        return session_image(saved, path)
    if path is not None:
        raise ValueError(f"the objects of the raster {raster} are kept as pixels: leave out the image (--image)")
    return np.broadcast_to(np.zeros((), np.uint8), tuple(int(side) for side in shape))


def check_image(saved: SavedSession, image: Any, name: str) -> None:
    """Refuse an image that is not the one of the session: of another shape, type, or with other pixels.

    Only planes that were worked on are compared.

    Raises
    ------
    ValueError
        For another image.
    """
    expected, found = (
        (list(saved.image.get("shape", ())), saved.image.get("dtype")),
        (list(image.shape), str(image.dtype)),
    )
    if expected != found:
        raise ValueError(
            f"{name} is not the image of the session: it has the shape {tuple(found[0])} and the type {found[1]}, "
            f"that one had {tuple(expected[0])} and {expected[1]}"
        )
    for plane in _planes(saved):
        if image_digest(np.asarray(image[plane.slicer])) != plane.digest:
            where = f" (plane {', '.join(str(place) for place in plane.index)})" if plane.index else ""
            raise ValueError(f"{name} has changed since the session was saved{where}: give the image as it was")


def image_digest(image: NDArray[np.generic]) -> str:
    """Return a digest of an image's shape, type and pixels: (H, W), (H, W, 3) or (H, W, 4)."""
    from napari_segany.engine.cache_key import image_digest_steps

    return drain(image_digest_steps(checked_image(image)))


def replay_steps(saved: SavedSession, image: Any, load: LoadPredictor) -> Steps[Replay]:
    """Make the objects of a session again.

    Parameters
    ----------
    saved : SavedSession
        A session with a log.
    image : array
        The image, as `session_image` returns it.
    load : callable
        Makes the predictor of an answer.

    Yields
    ------
    Progress
        Steps of the session.

    Returns
    -------
    Replay
        The labels, and how they compare with those that were saved.

    Raises
    ------
    ValueError
        For a session without a log, one that does not fit its image, or a model that is not to be had.
    """
    if saved.log is None:
        raise ValueError("the session was saved by an earlier version, without how its objects came about")
    shape = tuple(int(side) for side in image.shape[: int(saved.image.get("ndim", image.ndim))])
    labels = np.zeros(shape, np.uint32 if max(saved.objects, default=0) > np.iinfo(np.uint16).max else np.uint16)
    put_planes(labels, saved.log.start)
    player = _Player(image, load)
    for number, step in enumerate(saved.log.steps):
        yield Progress(number, len(saved.log.steps), "Replaying the session")
        if isinstance(step, SavedPixels):
            put_planes(labels, step.planes)
        else:
            yield from relabelled(player.play_steps(step, labels), partial(_within, number, len(saved.log.steps)))
    yield Progress(len(saved.log.steps), len(saved.log.steps), "Replaying the session")
    differing = _differing(labels, saved.planes)
    return Replay(labels, differing, len(saved.log.answers), tuple(player.notes))


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


def _within(number: int, total: int, progress: Progress) -> Progress:
    return Progress(number, total, progress.note)


@dataclass
class _Player:
    """Answers again, with predictors and embeddings that serve several answers."""

    image: Any
    load: LoadPredictor
    notes: list[str] = field(default_factory=list)
    _predictors: dict[tuple[str, str, str], Predictor] = field(default_factory=dict)
    _embedding: tuple[tuple[Any, ...], ImageEmbedding] | None = None

    def play_steps(self, step: SavedAnswer | SavedEach, labels: NDArray[Any]) -> Steps[None]:
        """Ask what was asked in a step, and write what became of it."""
        predictor = yield from self._predictor_steps(step)
        if isinstance(step, SavedEach):
            yield from self._each_steps(step, predictor, labels)
        else:
            yield from self._answer_steps(step, predictor, labels)

    def _answer_steps(self, step: SavedAnswer, predictor: Predictor, labels: NDArray[Any]) -> Steps[None]:
        """Ask the questions of an answer one after the other, and write the mask that was chosen."""
        prediction: Prediction | None = None
        for question in step.questions:
            embedding = yield from self._embedding_steps(step, question.contrast_limits, predictor)
            prediction = predictor.predict(embedding, **_arguments(question, prediction))
        if prediction is None or not 0 <= step.chosen < len(prediction):
            raise ValueError(f"object {step.label} is candidate {step.chosen}, which the model does not offer")
        mask = np.asarray(prediction.masks[step.chosen])
        mask = mask if step.cleaning is None else _clean_up(step.cleaning).apply(mask)
        put_object(labels[step.slicer], mask, step.label, overlap=_rule(step))

    def _each_steps(self, step: SavedEach, predictor: Predictor, labels: NDArray[Any]) -> Steps[None]:
        """Ask all points or boxes at once, and write an object for each."""
        policy = next((one for one in MASK_POLICIES if one == step.policy), None)
        if policy is None:
            raise ValueError(f"the mask of a point is the {step.policy!r}; known are {', '.join(MASK_POLICIES)}")
        if not 0 <= min(step.labels) <= max(step.labels) <= np.iinfo(labels.dtype).max:
            raise ValueError(f"objects have the numbers {min(step.labels)} to {max(step.labels)}, which cannot be")
        embedding = yield from self._embedding_steps(step, step.contrast_limits, predictor)
        points = np.array(step.points)[:, None] if step.points else None
        prompt = Prompt.checked(points, box=step.boxes or None, image_shape=embedding.image_shape)
        records = yield from one_each_steps(predictor, embedding, prompt, policy=policy)
        cleaning = None if step.cleaning is None else _clean_up(step.cleaning)
        put_each(labels[step.slicer], records, step.labels, overlap=_rule(step), cleaning=cleaning)

    def _predictor_steps(self, step: SavedAnswer | SavedEach) -> Steps[Predictor]:
        key = (step.model, step.device, step.precision)
        if key not in self._predictors:
            yield Progress(0, 0, f"Loading the model {step.model}")
            self._predictors[key] = self.load(step)
            weights = yield from self._predictors[key].digest_steps()
            if step.weights and digest_in(step.weights, FLOAT32) != digest_in(weights, FLOAT32):
                self.notes.append(f"the weights of {step.model} are others than those that the session was made with")
        return self._predictors[key]

    def _embedding_steps(
        self, step: SavedAnswer | SavedEach, limits: tuple[float, float] | None, predictor: Predictor
    ) -> Steps[ImageEmbedding]:
        key = (step.model, step.device, step.precision, step.slicer, limits, step.rounded)
        if self._embedding is None or self._embedding[0] != key:
            try:
                pixels = np.asarray(self.image[step.slicer])
            except IndexError:
                where = f"axes {step.axes}, index {step.index}"
                raise ValueError(f"{_objects(step)} is on a plane that the image does not have ({where})") from None
            embedding = yield from predictor.encode_steps(pixels, contrast_limits=limits)
            self._embedding = key, _rounded(embedding) if step.rounded else embedding
        return self._embedding[1]


def _objects(step: SavedAnswer | SavedEach) -> str:
    return f"object {step.label if isinstance(step, SavedAnswer) else max(step.labels)}"


def _rule(step: SavedAnswer | SavedEach) -> OverlapRule:
    rule = next((rule for rule in OVERLAP_RULES if rule == step.overlap), None)
    if rule is None:
        raise ValueError(f"the rule for overlaps is {step.overlap!r}; known are {', '.join(OVERLAP_RULES)}")
    return rule


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


def _differing(labels: NDArray[Any], planes: PlaneMasks) -> int:
    """Return in how many pixels labels are others than the masks by plane."""
    count = 0
    for index in np.ndindex(*labels.shape[:-2]):
        expected = np.zeros(labels.shape[-2:], labels.dtype)
        for label, mask in planes.get(index, {}).items():
            expected[mask.decode()] = label
        count += int(np.count_nonzero(labels[index] != expected))
    return count


@dataclass(frozen=True)
class _Plane:
    axes: tuple[int, ...]
    index: tuple[int, ...]
    digest: str

    @property
    def slicer(self) -> tuple[int | slice, ...]:
        return slicer_of(self.axes, self.index)


def _planes(saved: SavedSession) -> Iterator[_Plane]:
    for values in saved.image.get("planes") or ():
        if not isinstance(values, Mapping):
            raise ValueError("the session does not say which planes it is about")
        yield _Plane(tuple(values["axes"]), tuple(values["index"]), str(values["digest"]))
