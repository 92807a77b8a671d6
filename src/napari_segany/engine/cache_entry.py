"""One embedding as a file: a zarr v3 group in a zip archive, in half precision, every byte of it checksummed.

zarr v3 (zarr-specs.readthedocs.io) so that other programs can read it; one zip, so that it is there whole or not at
all. Features hardly compress (a tenth at best), so they are stored as they are.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_segany.engine.cache_key import CacheKey
from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.precision_names import FLOAT32, digest_precision
from napari_segany.formats.atomic import replacing
from napari_segany.formats.json_fields import integer, numbers, text

VERSION = 1
"""Of the form of a file; a file of another one counts as damaged and is replaced."""

LARGEST_HALF_ERROR = 1e-3
"""Relative error above which a tensor stays in single precision; rounding alone makes 5e-4 at most."""

_AXES = ("batch", "channel", "row", "column")
_BROKEN = (  # what zipfile and zarr raise for archives with bytes changed or missing
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


class DamagedEntryError(ValueError):
    """A file of the cache that is not what was written."""


@dataclass(frozen=True)
class Rounding:
    """What half precision took from an embedding.

    Attributes
    ----------
    relative : float
        Root mean square of the differences over that of the values, over all tensors.
    largest : float
        The largest difference, over the largest value of its tensor.
    """

    relative: float = 0.0
    largest: float = 0.0


@dataclass(frozen=True, eq=False)
class CacheEntry:
    """An embedding as the cache keeps it.

    Attributes
    ----------
    arrays : Mapping of str to numpy.ndarray
        "features", (1, 256, h, w), and "high_resolution_0", ... where the model has them: float16, or float32 where
        half precision would not do.
    image_shape, input_shape, contrast_limits, model_name
        As in `ImageEmbedding`.
    rounding : Rounding
        What half precision took from it.
    precision : str
        As in `ImageEmbedding`; a file has it in its key.
    """

    arrays: Mapping[str, NDArray[Any]]
    image_shape: tuple[int, int]
    input_shape: tuple[int, int]
    contrast_limits: tuple[float, float]
    model_name: str
    rounding: Rounding
    precision: str = FLOAT32

    @classmethod
    def of(cls, embedding: ImageEmbedding) -> CacheEntry:
        """Return an embedding rounded to half precision, with the error of that."""
        tensors = {"features": embedding.features}
        tensors |= {f"high_resolution_{level}": tensor for level, tensor in enumerate(embedding.high_resolution)}
        # In the layout that files have: the decoder rounds otherwise in another one.
        exact = {name: tensor.detach().float().cpu().contiguous().numpy() for name, tensor in tensors.items()}
        arrays = {name: _halved(values) for name, values in exact.items()}
        return cls(
            arrays,
            embedding.image_shape,
            embedding.input_shape,
            embedding.contrast_limits,
            embedding.model_name,
            _rounding(exact, arrays),
            embedding.precision,
        )

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    @property
    def dtype(self) -> str:
        """The type of the arrays: float16, or float32 where any of them needs it."""
        return "float16" if all(array.dtype == np.float16 for array in self.arrays.values()) else "float32"

    def named(self, model_name: str) -> CacheEntry:
        """Return it under another name of the same model."""
        return replace(self, model_name=model_name)

    def embedding(self, device: torch.device | None = None) -> ImageEmbedding:
        """Return the embedding, float32 on a device (the CPU by default)."""
        tensors = {name: _tensor(array, device) for name, array in self.arrays.items()}
        features = tensors.pop("features")
        return ImageEmbedding(
            features,
            tuple(tensors.values()),
            self.image_shape,
            self.input_shape,
            self.contrast_limits,
            self.model_name,
            self.precision,
            self.rounding.relative,
        )


def write_entry(path: Path, key: CacheKey, entry: CacheEntry) -> None:
    """Write an embedding, whole or not at all.

    Raises
    ------
    OSError
        Where the file cannot be written.
    """
    import zarr
    from zarr.codecs import Crc32cCodec
    from zarr.storage import ZipStore

    attributes = {
        "segany_version": VERSION,
        "key": key.digest,
        "arrays": list(entry.arrays),
        "image_shape": list(entry.image_shape),
        "input_shape": list(entry.input_shape),
        "contrast_limits": list(entry.contrast_limits),
        "model_name": entry.model_name,
        "rounding": [entry.rounding.relative, entry.rounding.largest],
    }
    with replacing(path) as temporary, ZipStore(temporary, mode="w") as store:
        group = zarr.create_group(store, zarr_format=3, attributes=attributes)
        for name, array in entry.arrays.items():
            group.create_array(
                name,
                data=array,
                chunks=array.shape,
                compressors=(Crc32cCodec(),),
                dimension_names=_AXES,
                config={"write_empty_chunks": True},  # zeros, too: a part that is missing is damage
            )


def read_entry(path: Path, key: CacheKey) -> CacheEntry:
    """Read an embedding.

    Raises
    ------
    DamagedEntryError
        For a file that is not what was written under this key.
    FileNotFoundError
        Where it is not there.
    """
    try:
        return _read(path, key)
    except _BROKEN as error:
        if not path.exists():
            raise FileNotFoundError(2, "No such file", str(path)) from None
        reason = str(error).split("\n")[0][:120] or type(error).__name__
        raise DamagedEntryError(f"the cached embedding {path} is damaged ({reason})") from error


def _read(path: Path, key: CacheKey) -> CacheEntry:
    import zarr
    from zarr.storage import ZipStore

    with zipfile.ZipFile(path) as archive:
        members, broken = set(archive.namelist()), archive.testzip()
    if broken is not None:
        raise ValueError(f"the checksum of {broken} is wrong")
    with ZipStore(path, mode="r") as store:
        group = zarr.open_group(store, mode="r", zarr_format=3)
        values: dict[str, Any] = dict(group.attrs)
        if integer(values, "segany_version") != VERSION or text(values, "key") != key.digest:
            raise ValueError("it belongs to another image, model or version")
        names = [str(name) for name in values["arrays"]]
        # zarr reads a chunk that is missing as zeros
        expected = {"zarr.json"} | {f"{name}/{part}" for name in names for part in ("zarr.json", "c/0/0/0/0")}
        if members != expected:
            raise ValueError("parts of it are missing")
        arrays = {name: np.asarray(group[name][...]) for name in names}  # type: ignore[index]
    low, high = numbers(values, "contrast_limits", 2)
    return CacheEntry(
        arrays,
        _shape(values, "image_shape"),
        _shape(values, "input_shape"),
        (low, high),
        text(values, "model_name"),
        Rounding(*numbers(values, "rounding", 2)),
        digest_precision(key.model),
    )


def _halved(values: NDArray[np.float32]) -> NDArray[Any]:
    """Return values in half precision, or as they are where they are too large or too small for it."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    fits = bool(np.isfinite(half).all()) and _rounding({"": values}, {"": half}).relative <= LARGEST_HALF_ERROR
    return half if fits else values


def _rounding(exact: Mapping[str, NDArray[np.float32]], kept: Mapping[str, NDArray[Any]]) -> Rounding:
    squares, lost, largest = 0.0, 0.0, 0.0
    for name, values in exact.items():
        squares += float(np.square(values, dtype=np.float64).sum())
        if kept[name].dtype == values.dtype:
            continue
        difference = np.abs(values - kept[name].astype(np.float32))
        lost += float(np.square(difference, dtype=np.float64).sum())
        largest = max(largest, float(difference.max()) / (float(np.abs(values).max()) or 1.0))
    return Rounding((lost / squares) ** 0.5 if lost else 0.0, largest)


def _tensor(array: NDArray[Any], device: torch.device | None) -> Tensor:
    return torch.from_numpy(array.astype(np.float32)).to(device=device)


def _shape(values: Mapping[str, Any], name: str) -> tuple[int, int]:
    rows, cols = numbers(values, name, 2)
    return int(rows), int(cols)
