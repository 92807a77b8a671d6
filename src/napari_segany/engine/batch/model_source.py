"""The model of a batch: told by its digest at once, loaded when the first image needs it, and only once."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from napari_segany.engine.batch.sources import file_digest_steps
from napari_segany.engine.device import choose_device
from napari_segany.engine.error_sentences import sentence_of
from napari_segany.engine.loaded_model import model_digest_steps
from napari_segany.engine.model_registry import MODELS, UnknownModelError
from napari_segany.engine.precision import products_of
from napari_segany.engine.precision_names import AUTO, BFLOAT16, FLOAT32, checked_precision, digest_in
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Steps, drain
from napari_segany.engine.weights import find_entry, resolve_steps
from napari_segany.model.checkpoint import read_config
from napari_segany.model.config import PRESETS

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
    precision : str
        "float32", "bfloat16" or "auto", see `Predictor`.
    """

    model: str | PathLike[str] = "light"
    device: str = "auto"
    weights_folder: str | PathLike[str] | None = None
    precision: str = FLOAT32

    def digest_steps(self) -> Steps[str]:
        """Return the hash of the file of weights, and the precision where that is not float32.

        Raises
        ------
        OSError
            For weights that are not on this computer, or cannot be read.
        ValueError
            For an unknown model or precision, or weights that are not the published ones.
        """
        path = yield from self._path_steps()
        digest = yield from file_digest_steps(path)
        return digest_in(digest, self._present_precision(path))

    def _path_steps(self) -> Steps[Path]:
        path = Path(self.model)
        if isinstance(self.model, str):
            try:
                path = yield from resolve_steps(self.model, self.weights_folder)
            except UnknownModelError:
                if not path.is_file():
                    raise
        return path

    def _present_precision(self, path: Path) -> str:
        """Return the precision that "auto" stands for here."""
        if self.precision != AUTO:
            return checked_precision(self.precision)
        device = choose_device(self.device)
        if products_of(AUTO, device) is None:  # whatever the encoder is, which large files tell in seconds
            return FLOAT32
        entry = MODELS.get(os.fspath(self.model))
        known = None if entry is None else PRESETS.get(entry.architecture)
        encoder = (known or read_config(path)).encoder
        return FLOAT32 if products_of(AUTO, device, encoder) is None else BFLOAT16

    def check(self) -> None:
        """Raise at once what `digest_steps` would begin with: a model that does not exist or is not here."""
        steps = self.digest_steps()
        next(steps, None)
        steps.close()

    def portable(self) -> NamedModel:
        """Return it with the whole path of its file and the precision of here, which mean the same anywhere."""
        decided = replace(self, precision=self._present_precision(drain(self._path_steps())))
        try:
            find_entry(os.fspath(self.model), self.weights_folder)
        except UnknownModelError:
            return replace(decided, model=Path(self.model).absolute())
        return decided

    def load(self) -> Predictor:
        """Load the model; errors are those of `Predictor`."""
        return Predictor(self.model, device=self.device, weights_folder=self.weights_folder, precision=self.precision)


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
        """Return the hash of its shape and of every weight, and the precision where that is not float32."""
        digest = yield from model_digest_steps(self.predictor.sam)
        return digest_in(digest, self.predictor.precision)

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
        """Return the model; errors are those of its source, and ValueError for one of torch.

        A model that cannot be loaded is no fault of the image or tile that needed it first.
        """
        with self._lock:
            if self._predictor is None:
                try:
                    self._predictor = self._source.load()
                except RuntimeError as error:
                    raise ValueError(f"the model cannot be loaded: {sentence_of(error)}") from error
            return self._predictor

    def clip(self, model: str) -> PictureEncoder:
        """Return the CLIP of a batch with words, on the processor; nothing is fetched. Errors are those of `Clip`."""
        with self._lock:
            if self._clip is None:
                from napari_segany.engine.clip import Clip

                self._clip = Clip(model)
            return self._clip
