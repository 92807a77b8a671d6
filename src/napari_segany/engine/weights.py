"""Where the weights of a model are: in the package, or in the user's folder of weights, checked by their hash.

Nothing here touches the network (`engine/download.py` does, when it is asked to), and nothing reads a checkpoint.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from napari_segany.engine.digests import DigestBook
from napari_segany.engine.model_registry import MODELS, ModelEntry, UnknownModelError, readable_size, size_text
from napari_segany.engine.progress import Steps, drain
from napari_segany.engine.user_models import read_user_models, write_user_model

__all__ = [
    "FOLDER_VARIABLE",
    "MODELS",
    "DamagedWeightsError",
    "ModelEntry",
    "ModelStatus",
    "UnknownModelError",
    "WeightsNotFoundError",
    "find_entry",
    "list_models",
    "list_steps",
    "readable_size",
    "register_user_model",
    "resolve",
    "resolve_steps",
    "size_text",
    "status_steps",
    "verify_steps",
    "weights_folder",
]

FOLDER_VARIABLE = "SEGANY_MODELS"
"""The environment variable that names the folder of weights."""

State = Literal["bundled", "present", "not downloaded", "damaged", "missing"]

_WEIGHT_SUFFIXES = (".pt", ".pth")


class WeightsNotFoundError(FileNotFoundError):
    """A known model whose weights are not on this computer."""


class DamagedWeightsError(ValueError):
    """A file of weights that is not what its publisher published."""


@dataclass(frozen=True)
class ModelStatus:
    """A model and whether it can be used now.

    Attributes
    ----------
    entry : ModelEntry
        The model.
    path : pathlib.Path or None
        Its file; None where there is none.
    state : str
        "bundled" (in the package), "present", "not downloaded", "damaged" (the file under its name is not the
        published one), or "missing" (a model of the user's own whose file is gone).
    """

    entry: ModelEntry
    path: Path | None
    state: State

    @property
    def usable(self) -> bool:
        """Whether the model can be loaded now."""
        return self.state in ("bundled", "present")

    @property
    def size_text(self) -> str:
        """The size for people: of the file that is there, else of the one to download."""
        return readable_size(self.path.stat().st_size) if self.usable and self.path else size_text(self.entry)


def weights_folder(folder: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of weights, which need not exist: the argument, else `SEGANY_MODELS`, else the user's cache.

    Parameters
    ----------
    folder : path, optional
        The user's choice; an empty string counts as none. `~` is the home folder.
    """
    chosen = os.fspath(folder) if folder is not None else ""
    chosen = chosen or os.environ.get(FOLDER_VARIABLE, "")
    if not chosen:
        import pooch

        return Path(pooch.os_cache("napari-segany"))
    return Path(chosen).expanduser().absolute()


def find_entry(
    name: str, folder: str | os.PathLike[str] | None = None, models: Mapping[str, ModelEntry] = MODELS
) -> ModelEntry:
    """Return a model of the registry, or one of the user's own.

    Raises
    ------
    UnknownModelError
        For any other name; it lists those that exist.
    """
    if name in models:
        return models[name]
    own = read_user_models(weights_folder(folder))
    if name in own:
        return own[name]
    raise UnknownModelError(f"there is no model {name!r}; known are {', '.join([*models, *own])}")


def resolve(
    name: str, folder: str | os.PathLike[str] | None = None, models: Mapping[str, ModelEntry] = MODELS
) -> Path:
    """Return the file of a model that is on this computer.

    A file that was never seen before is hashed, which takes seconds for the largest; `resolve_steps` reports that.

    Parameters
    ----------
    name : str
        A name of the registry, or of a model of the user's own.
    folder : path, optional
        The folder of weights, see `weights_folder`.
    models : mapping
        The registry.

    Raises
    ------
    UnknownModelError
        For a name that does not exist.
    WeightsNotFoundError
        Where the file is not there; it says how to get it.
    DamagedWeightsError
        Where the file's hash is not the published one.
    """
    return drain(resolve_steps(name, folder, models))


def resolve_steps(
    name: str, folder: str | os.PathLike[str] | None = None, models: Mapping[str, ModelEntry] = MODELS
) -> Steps[Path]:
    """Do what `resolve` does, with progress (in bytes) while a file is hashed."""
    place = weights_folder(folder)
    status = yield from status_steps(find_entry(name, place, models), DigestBook(place), models)
    if status.usable and status.path is not None:
        return status.path
    if status.state == "damaged":
        raise DamagedWeightsError(_damaged(status, place))
    raise WeightsNotFoundError(_not_found(status, place))


def list_models(
    folder: str | os.PathLike[str] | None = None, models: Mapping[str, ModelEntry] = MODELS
) -> tuple[ModelStatus, ...]:
    """Return all models of the registry, then the user's own, and whether they can be used.

    Files that were never seen before are hashed, which takes seconds for the largest; `list_steps` reports that.
    """
    return drain(list_steps(folder, models))


def list_steps(
    folder: str | os.PathLike[str] | None = None, models: Mapping[str, ModelEntry] = MODELS
) -> Steps[tuple[ModelStatus, ...]]:
    """Do what `list_models` does, with progress (in bytes) while files are hashed."""
    place = weights_folder(folder)
    book = DigestBook(place)
    statuses: list[ModelStatus] = []
    for entry in (*models.values(), *read_user_models(place).values()):
        statuses += [(yield from status_steps(entry, book, models))]
    return tuple(statuses)


def verify_steps(
    names: Iterable[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    models: Mapping[str, ModelEntry] = MODELS,
) -> Steps[tuple[ModelStatus, ...]]:
    """Hash files again, whatever is remembered of them, with progress in bytes.

    Parameters
    ----------
    names : iterable of str, optional
        Models that are expected to be there; by default all that are.
    folder : path, optional
        The folder of weights, see `weights_folder`.
    models : mapping
        The registry.

    Raises
    ------
    UnknownModelError, WeightsNotFoundError
        For a name that does not exist, and for a model that is not there.
    """
    place = weights_folder(folder)
    book = DigestBook(place, trusting=False)
    if names is None:
        entries = [*models.values(), *read_user_models(place).values()]
    else:
        entries = [find_entry(name, place, models) for name in names]
    statuses: list[ModelStatus] = []
    for entry in entries:
        status = yield from status_steps(entry, book, models)
        if names is not None and status.path is None:
            raise WeightsNotFoundError(_not_found(status, place))
        if status.state != "not downloaded":
            statuses.append(status)
    return tuple(statuses)


def register_user_model(
    name: str,
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str] | None = None,
    *,
    architecture: str = "",
    description: str = "",
) -> ModelEntry:
    """Let a checkpoint be asked for by name; a model of the user's own that has the name gives way.

    Parameters
    ----------
    name : str
        Up to 64 letters, digits, "_", "-" and "."; not a name of the registry.
    path : path
        The checkpoint, which stays where it is.
    folder : path, optional
        The folder of weights, see `weights_folder`; the names are kept there in `user-models.json`.
    architecture, description : str
        What `segany models` shows.

    Raises
    ------
    ValueError
        For a name that cannot be used.
    FileNotFoundError
        Where there is no such checkpoint.
    """
    return write_user_model(name, path, weights_folder(folder), architecture=architecture, description=description)


def status_steps(
    entry: ModelEntry, book: DigestBook, models: Mapping[str, ModelEntry] = MODELS
) -> Steps[ModelStatus]:
    """Return whether one model can be used, with progress (in bytes) while files are hashed.

    Parameters
    ----------
    entry : ModelEntry
        The model.
    book : DigestBook
        Hashes of the files of the folder of weights.
    models : mapping
        The registry: files that bear another model's own name are not looked into.
    """
    if entry.hash is None:
        return _status_without_hash(entry)
    algorithm, expected = entry.hash
    for path in _candidates(entry, book.folder, models):
        try:
            if entry.size_bytes is not None and path.stat().st_size != entry.size_bytes:
                continue
            if (yield from book.digest_steps(path, algorithm)) == expected:
                return ModelStatus(entry, path, "present")
        except OSError:
            if path.name in entry.known_file_names:
                raise  # another file that cannot be read says nothing about this model
    own_file = book.folder / entry.file_name
    if own_file.exists():
        return ModelStatus(entry, own_file, "damaged")
    return ModelStatus(entry, None, "not downloaded")


def _status_without_hash(entry: ModelEntry) -> ModelStatus:
    own = Path(entry.file_name)
    if own.is_absolute():
        return ModelStatus(entry, own, "present") if own.is_file() else ModelStatus(entry, None, "missing")
    bundled = Path(str(files("napari_segany").joinpath("weights", entry.file_name)))
    return ModelStatus(entry, bundled, "bundled") if bundled.is_file() else ModelStatus(entry, None, "missing")


def _candidates(entry: ModelEntry, folder: Path, models: Mapping[str, ModelEntry]) -> list[Path]:
    """Return the files that may be the model's: those with one of its names, then all that no model claims."""
    named = [path for name in entry.known_file_names if (path := folder / name).is_file()]
    if not folder.is_dir():
        return named
    claimed = {*(other.file_name for other in models.values()), *entry.known_file_names}
    others = (
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in _WEIGHT_SUFFIXES and path.name not in claimed and not path.name.startswith(".")
    )
    return [*named, *(path for path in others if path.is_file())]


def _damaged(status: ModelStatus, folder: Path) -> str:
    entry, path = status.entry, status.path
    algorithm, expected = entry.hash or ("", "")
    return (
        f"{path} is not the published {entry.name} (expected {algorithm} {expected}"
        f"{'' if entry.size_bytes is None else f' and {entry.size_bytes} bytes'}): it is incomplete or altered; "
        f"replace it with `segany models download {entry.name}{_folder_option(folder)}`, or by hand from {entry.url}"
    )


def _not_found(status: ModelStatus, folder: Path) -> str:
    entry = status.entry
    if entry.url is None:
        if entry.name in MODELS:
            return f"{entry.file_name} is missing from the package; install napari-segany again"
        return f"your model {entry.name!r} is not at {entry.file_name} any more; put it back or register it again"
    strangers = [name for name in entry.known_file_names if (folder / name).is_file()]
    algorithm, expected = entry.hash or ("", "")
    aside = (
        f" ({strangers[0]} is there, but its {algorithm} is not {expected}: it is another file, or incomplete)"
        if strangers
        else ""
    )
    return (
        f"the weights of {entry.name} ({entry.file_name}, {size_text(entry)}) are not in {folder}{aside}; "
        f"get them with `segany models download {entry.name}{_folder_option(folder)}`, "
        f"or put the file from {entry.url} there by hand"
    )


def _folder_option(folder: Path) -> str:
    """Return what a command needs to mean the same folder: nothing where it is the one it takes by itself."""
    return "" if folder == weights_folder() else f" --folder {shlex.quote(str(folder))}"
