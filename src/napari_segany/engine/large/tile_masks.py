"""The masks of one tile as they are kept on the disk: the bits within each box. Knows no model."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.atomic import replacing
from napari_segany.formats.record import MaskRecord

Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class TileMasks:
    """What was found in a tile.

    Attributes
    ----------
    key : str
        What it was made of: pixels, model and settings.
    boxes : numpy.ndarray
        (N, 4) int32 (row_min, col_min, row_max, col_max) in pixels of the tile, half-open.
    predicted_iou, stability_score : numpy.ndarray
        (N,) float32.
    areas : numpy.ndarray
        (N,) int64, in pixels of the tile.
    bits : numpy.ndarray
        uint8, eight pixels of a box in each, the masks one after the other.
    starts : numpy.ndarray
        (N + 1,) int64, where each mask begins in `bits`.
    """

    key: str
    boxes: NDArray[np.int32]
    predicted_iou: NDArray[np.float32]
    stability_score: NDArray[np.float32]
    areas: NDArray[np.int64]
    bits: NDArray[np.uint8]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, key: str, records: Sequence[MaskRecord]) -> TileMasks:
        """Pack records of a tile, in their order."""
        bits = [np.packbits(record.rle.window(record.bbox)) for record in records]
        scores = [(record.predicted_iou or 0.0, record.stability_score or 0.0) for record in records]
        iou, stability = np.array(scores, np.float32).reshape(-1, 2).T
        return cls(
            key=key,
            boxes=np.array([record.bbox for record in records], np.int32).reshape(-1, 4),
            predicted_iou=iou,
            stability_score=stability,
            areas=np.array([record.area for record in records], np.int64),
            bits=np.concatenate(bits) if bits else np.zeros(0, np.uint8),
            starts=np.cumsum([0, *(len(part) for part in bits)]).astype(np.int64),
        )

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.boxes)

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Return a mask within its own box."""
        top, left, bottom, right = self.boxes[index].tolist()
        sides = bottom - top, right - left
        part = self.bits[self.starts[index] : self.starts[index + 1]]
        return np.unpackbits(part, count=sides[0] * sides[1]).reshape(sides).astype(bool)

    def window(self, index: int, box: Box) -> NDArray[np.bool_]:
        """Return a mask within any box, in pixels of the tile; empty where the box leaves the mask's own."""
        result = np.zeros((box[2] - box[0], box[3] - box[1]), bool)
        own = self.boxes[index].tolist()
        first = [max(a, b) for a, b in zip(own[:2], box[:2], strict=True)]
        last = [min(a, b) for a, b in zip(own[2:], box[2:], strict=True)]
        if first[0] < last[0] and first[1] < last[1]:
            result[first[0] - box[0] : last[0] - box[0], first[1] - box[1] : last[1] - box[1]] = self.mask(index)[
                first[0] - own[0] : last[0] - own[0], first[1] - own[1] : last[1] - own[1]
            ]
        return result

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {name: value for name, value in self.__dict__.items() if name != "key"}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, key=np.array(self.key), **arrays)


def read_tile(path: str | os.PathLike[str]) -> TileMasks:
    """Read what `TileMasks.write` wrote.

    Raises
    ------
    OSError
        Where it is missing or cannot be read.
    ValueError
        Where it is damaged: every byte is under a checksum.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            values: dict[str, Any] = {name: file[name] for name in file.files}
        return TileMasks(key=str(values.pop("key")), **values)
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{Path(path).name} is damaged ({error})") from None


def has_tile(path: Path, key: str) -> bool:
    """Tell whether a tile is kept, whole and made of what `key` stands for."""
    try:
        return read_tile(path).key == key
    except (OSError, ValueError):
        return False
