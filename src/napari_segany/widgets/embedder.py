"""Loads the model and computes embeddings, one piece of work at a time, and remembers the results. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from numpy.typing import ArrayLike
from psygnal import Signal

from napari_segany.engine.encoding import AnyEmbedding, encoding_steps, unprepared_steps
from napari_segany.engine.prediction import Prediction
from napari_segany.engine.progress import Progress, Steps
from napari_segany.widgets.embedding_cache import EmbeddingCache, EmbeddingKey
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.predictor_facts import Digestible, is_rounded, precision_of, weights_digest
from napari_segany.widgets.progress_runner import Runner, Task
from napari_segany.widgets.provenance import Answerer

if TYPE_CHECKING:  # the engine's embedding brings torch, which takes seconds to import
    from napari_segany.engine.embedding import ImageEmbedding

Phase = Literal["none", "working", "ready", "failed"]
NO_PROGRESS = Progress(0, 0)


class AnyPredictor(Protocol):
    """What a session asks of `engine.predictor.Predictor`."""

    @property
    def name(self) -> str:
        """Name of the model."""

    def encode_steps(
        self, image: ArrayLike, *, contrast_limits: tuple[float, float] | None = None
    ) -> Steps[ImageEmbedding]:
        """Compute the embedding of an image, step by step."""

    def predict(
        self,
        embedding: ImageEmbedding,
        *,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        multimask: bool | None = None,
    ) -> Prediction:
        """Answer prompts."""


LoadPredictor = Callable[[str, str], AnyPredictor]
"""Makes a predictor from the names of a model and a device; called in the background."""


@dataclass(frozen=True)
class EmbeddingState:
    """How far the embedding of the shown plane is.

    Attributes
    ----------
    phase : str
        "none" (not begun, or cancelled), "working", "ready" or "failed".
    progress : Progress
        Of the work under way.
    message : str
        Of a failure, what went wrong and what to do.
    """

    phase: Phase = "none"
    progress: Progress = NO_PROGRESS
    message: str = ""


class Embedder:
    """The model of a session and its embeddings.

    Parameters
    ----------
    runner : Runner
        Runs the work.
    load_predictor : callable
        Makes a predictor for a model's and a device's name.
    cache_bytes : int
        Bytes of embeddings to keep.
    model, device : str
        Which model to load, and where it computes. Both may be changed; the next `want` regards it.
    """

    state_changed = Signal(EmbeddingState)

    def __init__(
        self, runner: Runner, load_predictor: LoadPredictor, cache_bytes: int, *, model: str, device: str
    ) -> None:
        self.model, self.device = model, device
        self.state = EmbeddingState()
        self.predictor: AnyPredictor | None = None
        self.cache: EmbeddingCache[AnyEmbedding] = EmbeddingCache(cache_bytes)
        self._runner = runner
        self._load = load_predictor
        self._task: Task | None = None
        self._downloading: Task | None = None
        self._is_downloading = False
        self._loading: tuple[str, str] | None = None
        self._encoding: EmbeddingKey | None = None
        self._loaded: tuple[str, str] | None = None
        self._wanted: tuple[EmbeddingKey, Callable[[], ArrayLike]] | None = None
        self._unprepared: dict[EmbeddingKey, str] = {}

    def key(self, image: str, plane: Plane, contrast_limits: tuple[float, float] | None) -> EmbeddingKey:
        """Return the key of a plane's embedding with the present model and device."""
        return EmbeddingKey(image, plane, contrast_limits, self.model, self.device)

    def want(self, key: EmbeddingKey, read: Callable[[], ArrayLike]) -> None:
        """Make the embedding of a plane available; `state` says when it is.

        Work on another plane is stopped first, for only the newest wish counts; a download goes on, and comes first.

        Parameters
        ----------
        key : EmbeddingKey
            What is wanted.
        read : callable
            Returns the plane's image; called in the background.
        """
        self._wanted = (key, read)
        if self._is_downloading:
            return
        model = (key.model, key.device)
        if self.cache.get(key) is not None and self._loaded == model:
            self._stop()
            self._become(EmbeddingState("ready"))
        elif self._loaded != model:
            self._begin_loading(model)
        elif self._encoding != key:
            self._begin_encoding(key, read)

    def get(self, key: EmbeddingKey) -> AnyEmbedding | None:
        """Return the embedding, or the windows of a large plane, if there and of the loaded model."""
        return self.cache.get(key) if self._loaded == (key.model, key.device) else None

    def unprepared(self, key: EmbeddingKey) -> str:
        """Return why no prepared embedding served a plane that is not large, in words for the user; "" if one did."""
        return self._unprepared.get(key, "")

    def answerer(self, embedding: AnyEmbedding | None) -> Answerer:
        """Return what answers about an embedding: the loaded model, and how exact its embeddings are."""
        predictor = self.predictor
        rounded, precision = is_rounded(predictor, embedding), precision_of(predictor, embedding)
        return Answerer(self.model, self.device, weights_digest(predictor), rounded, precision)

    def cancel(self) -> None:
        """Stop the work, but for a download; it begins anew with the next `want`."""
        was_working = self.state.phase == "working" and not self._is_downloading
        self._stop()
        self._wanted = None
        if was_working:
            self._become(EmbeddingState("none"))

    def leave_plane(self) -> None:
        """Stop work on a plane that is no longer shown; a model that is loaded or downloaded goes on being so."""
        self._wanted = None
        if self._loading is None and not self._is_downloading:
            self._stop()
            self._become(EmbeddingState("none"))

    def download(self, title: str, steps: Steps[Any], done: Callable[[], None]) -> None:
        """Fetch weights as the one piece of work; what is wanted meanwhile is made when they are there.

        Another download stops it, and `cancel_download`: nothing else, for all that is here of it would be lost.
        """
        self.cancel_download()
        self._stop()
        self._wanted = None

        def downloaded(_: object) -> None:
            self._is_downloading = False
            self._become(EmbeddingState("none"))
            done()
            if self._wanted is not None and self.state.phase == "none":
                self.want(*self._wanted)

        def not_downloaded(error: Exception) -> None:
            self._is_downloading = False
            self._failed(error)

        self._is_downloading = True
        self._become(EmbeddingState("working", Progress(0, 0, title)))
        self._downloading = self._runner.start(
            title, steps, done=downloaded, failed=not_downloaded, report=self._report
        )

    def cancel_download(self) -> None:
        """Stop fetching weights."""
        if self._is_downloading and self._downloading is not None:
            self._downloading.cancel()
            self._is_downloading = False
            self._become(EmbeddingState("none"))

    def _begin_loading(self, model: tuple[str, str]) -> None:
        if self._loading == model:
            return
        self._stop()
        self.predictor, self._loaded, self._loading = None, None, model
        self._run(f"Loading the model {model[0]}", _loading_steps(self._load, *model), self._model_loaded)

    def _model_loaded(self, predictor: AnyPredictor) -> None:
        self._loaded, self._loading, self.predictor = self._loading, None, predictor
        if self._wanted is not None:
            self.want(*self._wanted)
        else:
            self._become(EmbeddingState("none"))

    def _begin_encoding(self, key: EmbeddingKey, read: Callable[[], ArrayLike]) -> None:
        self._stop()
        if self.predictor is None:
            return
        self._encoding = key
        steps = _encoding_steps(self.predictor, read, key.contrast_limits)
        self._run("Computing the image embedding", steps, lambda found: self._encoded(key, *found))

    def _encoded(self, key: EmbeddingKey, embedding: AnyEmbedding, unprepared: str) -> None:
        self._encoding = None
        self._unprepared[key] = unprepared
        self.cache.put(key, embedding)
        self._become(EmbeddingState("ready"))

    def _run(self, title: str, steps: Steps[Any], done: Callable[[Any], None]) -> None:
        self._become(EmbeddingState("working", Progress(0, 0, title)))
        self._task = self._runner.start(title, steps, done=done, failed=self._failed, report=self._report)

    def _report(self, progress: Progress) -> None:
        self._become(EmbeddingState("working", progress))

    def _failed(self, error: Exception) -> None:
        self._loading = self._encoding = self._task = None
        self._become(EmbeddingState("failed", message=str(error) or type(error).__name__))

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = self._loading = self._encoding = None

    def _become(self, state: EmbeddingState) -> None:
        self.state = state
        self.state_changed.emit(state)


def _loading_steps(load: LoadPredictor, model: str, device: str) -> Steps[AnyPredictor]:
    yield Progress(0, 0, f"Loading the model {model}")
    predictor = load(model, device)
    if isinstance(predictor, Digestible):  # now, where nobody waits for it: the session's file tells the weights
        yield from predictor.digest_steps()
    return predictor


def _encoding_steps(
    predictor: AnyPredictor, read: Callable[[], ArrayLike], limits: tuple[float, float] | None
) -> Steps[tuple[AnyEmbedding, str]]:
    """Return the embedding of a plane, and why none that was prepared served it."""
    yield Progress(0, 0, "Reading the image")
    image = read()
    unprepared = yield from unprepared_steps(predictor, image, limits)
    return (yield from encoding_steps(predictor, image, limits)), unprepared
