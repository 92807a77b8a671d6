"""What a frozen encoder made of images that come again: computed once, kept in memory or in files.

Features are found by the pixels they were made of and by the weights that made them, so that a resumed run may use
the files of the one before and no other run's. They are kept in half precision and used so from the first time on: it
does not matter when they were computed, and where they were kept.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from napari_segany.model import ImageFeatures, Sam
from napari_segany.model.state_file import write_state


class EmbeddingStore:
    """Features by the pixels they were made of.

    Parameters
    ----------
    folder : pathlib.Path
        Where files go once the memory is used up; made when it is needed.
    budget : int
        Memory for features, in bytes.
    stamp : str
        What tells the encoder and its precision from others, see `encoder_stamp`.
    """

    def __init__(self, folder: Path, budget: int, stamp: str) -> None:
        self.folder = folder
        self.budget = budget
        self.stamp = stamp
        self._kept: dict[str, tuple[Tensor, ...]] = {}
        self._used = 0

    def features(self, pixels: NDArray[np.float32], encode: Callable[[], ImageFeatures]) -> ImageFeatures:
        """Return the features of an image, computed if they are not here yet.

        Parameters
        ----------
        pixels : numpy.ndarray
            (S, S, 3) float32, what the features are made of.
        encode : callable
            Makes them, of a batch of 1.

        Returns
        -------
        ImageFeatures
            float32 on the CPU, rounded to half precision.
        """
        key = xxhash.xxh128_hexdigest(self.stamp.encode() + np.ascontiguousarray(pixels).tobytes())
        tensors = self._kept.get(key) or self._read(key)
        if tensors is None:
            made = encode()
            tensors = tuple(_halved(tensor) for tensor in (made.embedding, *made.high_resolution))
            self._keep(key, tensors)
        embedding, *high_resolution = (tensor.float() for tensor in tensors)
        return ImageFeatures(embedding, tuple(high_resolution))

    def remove_files(self) -> None:
        """Delete what is on the disk, when the run is over."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _keep(self, key: str, tensors: tuple[Tensor, ...]) -> None:
        size = sum(tensor.nbytes for tensor in tensors)
        if self._used + size <= self.budget:
            self._kept[key] = tensors
            self._used += size
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_state(self._file(key), {str(i): tensor for i, tensor in enumerate(tensors)}, {})

    def _read(self, key: str) -> tuple[Tensor, ...] | None:
        path = self._file(key)
        if not path.is_file():
            return None
        try:
            tensors: dict[str, Tensor] = load_file(path)
        except (SafetensorError, OSError):  # damaged: computed anew, and the file replaced
            return None
        return tuple(tensors[str(i)] for i in range(len(tensors)))

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"


def encoder_stamp(sam: Sam, precision: str) -> str:
    """Return what tells the weights of an image encoder, and the precision it computes in, from others."""
    digest = xxhash.xxh128(precision.encode())
    for name, tensor in sam.image_encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _halved(tensor: Tensor) -> Tensor:
    """Return a tensor in half precision on the CPU, or in full where it holds what half precision cannot."""
    values: Any = tensor.detach().float().cpu()
    half = values.to(torch.float16)
    return (half if bool(half.isfinite().all()) else values).contiguous()
