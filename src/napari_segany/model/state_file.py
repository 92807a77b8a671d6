"""Files of tensors: read PyTorch's and safetensors' without ever running code from them. Knows no network."""

from __future__ import annotations

import os
import pickle
import struct
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

# What a damaged file can make the readers of zip archives and of torch raise, besides UnpicklingError.
_DAMAGED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)
# In bytes; the safetensors format allows no longer one.
_LONGEST_HEADER = 100_000_000
# Words of torch's safe unpickler where a file asks for anything but tensors.
_ASKS_FOR_CODE = ("GLOBAL", "unrecognized function", "allowlisted")
# Present in every SAM, whatever its size: it shows where the names begin.
_LANDMARK = "mask_decoder.mask_tokens.weight"
# Where training programs put the model's weights among other things.
_NESTED = ("model_state", "state_dict", "model")


class CheckpointError(ValueError):
    """A file that is no checkpoint of a SAM, or of another SAM than expected; the message is for the user."""


@dataclass(frozen=True, eq=False)
class StoredState:
    """What a file of weights holds.

    Attributes
    ----------
    tensors : dict of str to Tensor
        Weights by their published names, on the CPU.
    metadata : mapping of str to str
        Texts stored with them; empty for PyTorch's own files.
    """

    tensors: dict[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_state(path: Path) -> StoredState:
    """Read a state dict from a `.safetensors`, `.pth` or `.pt` file; the content decides, not the suffix.

    Raises
    ------
    CheckpointError
        For a file that is missing, damaged, of another kind, or that needs more than tensors to be unpickled.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}); expected a checkpoint file: check the path"
        ) from None
    # First, since a safetensors file starts with the length of its header, which can be any bytes.
    if head[8:] == b"{" and int.from_bytes(head[:8], "little") <= _LONGEST_HEADER:
        return _read_safetensors(path)
    if head.startswith(b"PK"):
        return StoredState(_published_names(_read_zip(path), path))
    if head.startswith(b"\x80"):
        return StoredState(_published_names(_read_torch(path), path))
    found = f"{size} bytes that are neither" if size else "an empty file, neither"
    raise CheckpointError(
        f"{path.name} is {found} a PyTorch checkpoint nor a safetensors file; expected the weights of a SAM: "
        "download the file again or choose another"
    )


def write_state(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file, whole or not at all; of a symbolic link the file is replaced that it leads to.

    Raises
    ------
    OSError
        Where the folder does not exist or cannot be written to.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.stem}-{uuid.uuid4().hex[:8]}{target.suffix}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: the folder {target.parent} does not exist")
    try:
        save_file(dict(tensors), temporary, metadata=dict(metadata))
        os.replace(temporary, target)
    except SafetensorError as error:
        raise OSError(f"{path} cannot be written: {error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _read_safetensors(path: Path) -> StoredState:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            # Copies: the file may be replaced while the model is in use.
            tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
            return StoredState(_published_names(tensors, path), file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise _damaged(path, "safetensors file", error) from None


def _read_zip(path: Path) -> Any:
    try:
        if not zipfile.is_zipfile(path):  # the table of contents is at the end of the file
            raise EOFError("its end is missing")
        with zipfile.ZipFile(path) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
    except _DAMAGED as error:
        raise _damaged(path, "PyTorch checkpoint", error) from None
    if "data.pkl" not in names or "constants.pkl" in names:
        kind = "a TorchScript program" if "constants.pkl" in names else "a zip archive"
        raise CheckpointError(
            f"{path.name} is {kind}, not a checkpoint; expected the state dict of a SAM as written by torch.save"
        )
    return _read_torch(path)


def _read_torch(path: Path) -> Any:
    try:
        with path.open("rb") as file:  # of a path, torch would judge by the suffix
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if any(words in str(error) for words in _ASKS_FOR_CODE):
            raise CheckpointError(
                f"{path.name} was refused because reading it would run code that it names; expected a whole file of "
                "tensors alone: download it again, or save the model's state dict with torch.save or as safetensors"
            ) from None
        raise _damaged(path, "PyTorch checkpoint", "its pickle cannot be read") from None
    except _DAMAGED as error:
        raise _damaged(path, "PyTorch checkpoint", error) from None


def _published_names(content: Any, path: Path) -> dict[str, Tensor]:
    """Find the state dict in what a file held, and take the prefix off its names."""
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path.name} holds a {type(content).__name__}; expected the state dict of a SAM as written by torch.save"
        )
    state = content
    for key in _NESTED:
        if isinstance(content.get(key), Mapping):
            state = content[key]
            break
    landmarks = [key for key in state if isinstance(key, str) and key.endswith(_LANDMARK)]
    if len(landmarks) != 1:
        raise CheckpointError(
            f"{path.name} does not hold the weights of a SAM: {_LANDMARK} is missing; expected SAM's published names "
            "(ViT-B, ViT-L, ViT-H or MobileSAM)"
        )
    prefix = landmarks[0].removesuffix(_LANDMARK)
    odd = [key for key, value in state.items() if not (str(key).startswith(prefix) and isinstance(value, Tensor))]
    if odd:
        raise CheckpointError(
            f"{path.name} holds more than the weights of a SAM, such as {str(odd[0])!r}; expected SAM's published "
            "names and tensors alone: save the SAM by itself"
        )
    return {key.removeprefix(prefix): value for key, value in state.items()}


def _damaged(path: Path, kind: str, reason: object) -> CheckpointError:
    first_line = str(reason).strip().partition("\n")[0][:120]
    return CheckpointError(
        f"{path.name} is damaged or incomplete ({first_line}); expected a whole {kind}: download or copy it again"
    )
