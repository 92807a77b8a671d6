"""The model of a batch: told by its digest at once, loaded when the first image needs it, and only once."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from napari_segany.engine.batch.sources import file_digest_steps
from napari_segany.engine.loaded_model import model_digest_steps
from napari_segany.engine.model_registry import UnknownModelError
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Steps
from napari_segany.engine.weights import find_entry, resolve_steps

if TYPE_CHECKING:
    from napari_segany.engine.clip import PictureEncoder


class ModelSource(Protocol):
    """A model that may not be loaded yet."""

    def digest_steps(self) -> Steps[str]:
        """Return what tells its weights from others, with progress in bytes."""

    def load(self) -> Predictor:
        """Return it, ready to answer."""


@dataclass(frozen=True)
class NamedModel:
    """A model by its name or checkpoint file; it can be sent to another process and loaded there.

    Attributes
    ----------
    model : str or path
        A name of the registry or a checkpoint file.
    device : str
        "auto", "cuda", "mps" or "cpu".
    weights_folder : path, optional
        Where the weights of the registry are.
    """

    model: str | PathLike[str] = "light"
    device: str = "auto"
    weights_folder: str | PathLike[str] | None = None

    def digest_steps(self) -> Steps[str]:
        """Return the hash of the file of weights.

        Raises
        ------
        OSError
            For weights that are not on this computer, or cannot be read.
        ValueError
            For an unknown model, or weights that are not the published ones.
        """
        path = Path(self.model)
        if isinstance(self.model, str):
            try:
                path = yield from resolve_steps(self.model, self.weights_folder)
            except UnknownModelError:
                if not path.is_file():
                    raise
        return (yield from file_digest_steps(path))

    def check(self) -> None:
        """Raise at once what `digest_steps` would begin with: a model that does not exist or is not here."""
        steps = self.digest_steps()
        next(steps, None)
        steps.close()

    def portable(self) -> NamedModel:
        """Return it with the whole path of its file, which means the same in any folder."""
        try:
            find_entry(os.fspath(self.model), self.weights_folder)
        except UnknownModelError:
            return replace(self, model=Path(self.model).absolute())
        return self

    def load(self) -> Predictor:
        """Load the model; errors are those of `Predictor`."""
        return Predictor(self.model, device=self.device, weights_folder=self.weights_folder)


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model that is loaded already.

    Attributes
    ----------
    predictor : Predictor
        The model.
    """

    predictor: Predictor

    def digest_steps(self) -> Steps[str]:
        """Return the hash of its shape and of every weight."""
        return (yield from model_digest_steps(self.predictor.sam))

    def load(self) -> Predictor:
        """Return the model."""
        return self.predictor


class LazyPredictor:
    """The models of a batch, loaded when they are first asked for, once, whatever the number of threads.

    Parameters
    ----------
    source : ModelSource
        The model.
    clip : PictureEncoder, optional
        The CLIP of a batch with words, where it is loaded already.
    """

    def __init__(self, source: ModelSource, clip: PictureEncoder | None = None) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._predictor: Predictor | None = None
        self._clip = clip

    @property
    def is_loaded(self) -> bool:
        """Whether it was asked for."""
        return self._predictor is not None

    def get(self) -> Predictor:
        """Return the model; errors are those of its source."""
        with self._lock:
            if self._predictor is None:
                self._predictor = self._source.load()
            return self._predictor

    def clip(self, model: str) -> PictureEncoder:
        """Return the CLIP of a batch with words, on the processor; nothing is fetched. Errors are those of `Clip`."""
        with self._lock:
            if self._clip is None:
                from napari_segany.engine.clip import Clip

                self._clip = Clip(model)
            return self._clip
