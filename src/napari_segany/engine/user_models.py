"""The user's own models: checkpoints registered by name in a small JSON in the folder of weights. Knows no torch."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

from napari_segany.engine.model_registry import MODELS, ModelEntry
from napari_segany.formats.atomic import replacing

USER_MODELS_NAME = "user-models.json"

_LOCK_SECONDS = 30.0
_REPAIR = "repair it, or delete it and register your models again"
_NAMES = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def read_user_models(folder: Path) -> dict[str, ModelEntry]:
    """Return the user's own models by name; `file_name` is the absolute path of the checkpoint.

    Raises
    ------
    ValueError
        Where the JSON in the folder cannot be understood.
    """
    return {name: _entry(name, values, folder) for name, values in _read(folder).items()}


def write_user_model(
    name: str,
    path: str | os.PathLike[str],
    folder: Path,
    *,
    architecture: str,
    description: str,
) -> ModelEntry:
    """Write one model into the JSON of the folder; a model of that name gives way. See `register_user_model`."""
    if _NAMES.fullmatch(name) is None:
        raise ValueError(
            f"{name!r} cannot be the name of a model; "
            f"take up to 64 letters, digits, '_', '-' and '.', a letter or digit first"
        )
    if name in MODELS:
        raise ValueError(f"{name!r} is the name of a published model; choose another for {Path(path).name}")
    checkpoint = Path(path).expanduser().absolute()
    if not checkpoint.is_file():
        raise FileNotFoundError(f"there is no file {checkpoint}; give the path of a .safetensors, .pt or .pth file")
    folder.mkdir(parents=True, exist_ok=True)
    # A checkpoint within the folder moves with it.
    inside = checkpoint.is_relative_to(folder)
    values = {
        "path": checkpoint.relative_to(folder).as_posix() if inside else str(checkpoint),
        "architecture": architecture,
        "description": description,
    }
    with FileLock(folder / f".{USER_MODELS_NAME}.lock", timeout=_LOCK_SECONDS):  # else the last of two would win
        content = {**_read(folder), name: values}
        with replacing(folder / USER_MODELS_NAME) as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return _entry(name, values, folder)


def _read(folder: Path) -> dict[str, dict[str, str]]:
    """Return the JSON as it is, after a look at its form."""
    listing = folder / USER_MODELS_NAME
    try:
        content = json.loads(listing.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{listing} is not JSON ({error}); {_REPAIR}") from error
    if not isinstance(content, dict) or not all(
        isinstance(values, dict) and isinstance(values.get("path"), str) for values in content.values()
    ):
        raise ValueError(f'{listing} is not a list of models ({{"name": {{"path": ...}}}}); {_REPAIR}')
    return content


def _entry(name: str, values: Mapping[str, str], folder: Path) -> ModelEntry:
    path = folder / values["path"]
    return ModelEntry(
        name=name,
        architecture=str(values.get("architecture", "")),
        file_name=str(path),
        size_bytes=path.stat().st_size if path.is_file() else None,
        description=str(values.get("description", "")),
        modality="your own images",
    )
