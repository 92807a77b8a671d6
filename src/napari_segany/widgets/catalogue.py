"""Which models and devices there are, and how to get them; what needs torch or files runs in the background.

Knows the engine's registry of weights; no napari and no Qt.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_segany.engine.cache_places import CachePlaces
from napari_segany.engine.precision_names import AUTO
from napari_segany.engine.progress import Progress, Steps
from napari_segany.widgets.embedder import AnyPredictor, LoadPredictor

_ORDER = ("light", "vit_t", "vit_b", "vit_l", "vit_h")
_MEGABYTE = 1e6


@dataclass(frozen=True)
class ModelChoice:
    """A model on offer.

    Attributes
    ----------
    name : str
        Its name in the registry.
    present : bool
        Whether its weights are here.
    size_bytes : int, optional
        Size of the download, where known.
    note : str
        What it is for, and its licence.
    damaged : bool
        Whether a file is here that is not the published one.
    """

    name: str
    present: bool
    size_bytes: int | None = None
    note: str = ""
    damaged: bool = False

    @property
    def text(self) -> str:
        """What the list of models shows."""
        if self.present:
            return self.name
        size = "" if self.size_bytes is None else f" ({self.size_bytes / _MEGABYTE:,.0f} MB)"
        return f"{self.name}  –  download{size}"


@dataclass(frozen=True)
class Catalogue:
    """What can be chosen: models (light first) and devices ("auto" first)."""

    models: tuple[ModelChoice, ...]
    devices: tuple[str, ...]


BUNDLED = Catalogue((ModelChoice("light", present=True),), ("auto", "cpu"))
"""What can be chosen before the registry has been read."""


def catalogue_steps(folder: Path | None) -> Steps[Catalogue]:
    """Read the registry and look which weights and devices are here; touches no network."""
    yield Progress(0, 0, "Looking for models")
    from napari_segany.engine.device import available_devices
    from napari_segany.engine.weights import list_steps

    statuses = yield from list_steps(folder)
    choices = [
        ModelChoice(
            name=status.entry.name,
            present=status.usable,
            size_bytes=status.entry.size_bytes,
            note=f"{status.entry.description} Licence: {status.entry.licence}.",
            damaged=status.state == "damaged",
        )
        for status in statuses
    ]
    choices.sort(key=lambda choice: _ORDER.index(choice.name) if choice.name in _ORDER else len(_ORDER))
    devices = [device for device in available_devices() if device != "auto"]
    return Catalogue(tuple(choices), ("auto", *devices))


def weights_steps(name: str, folder: Path | None) -> Steps[Path]:
    """Download the weights of a model; the only thing here that uses the network."""
    yield Progress(0, 0, f"Downloading {name}")
    from napari_segany.engine.download import download_steps

    return (yield from download_steps(name, folder))


def predictor_loader(folder: Path | None, places: CachePlaces | None = None, precision: str = AUTO) -> LoadPredictor:
    """Return what makes a predictor with weights of this folder, which keeps its embeddings in these places."""

    def load(model: str, device: str) -> AnyPredictor:
        from napari_segany.engine.predictor import Predictor

        cache = None if places is None else places.open()
        return Predictor(model, device=device, weights_folder=folder, cache=cache, precision=precision)

    return load
