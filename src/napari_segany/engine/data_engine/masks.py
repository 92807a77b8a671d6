"""A mask with how it came about: by which stage, in how many seconds and clicks, by which weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.json_fields import integer, optional_number
from napari_segany.formats.record import MaskRecord

Stage = Literal["assisted", "semi-automatic", "automatic"]
STAGES: tuple[str, ...] = get_args(Stage)

MASK_LIMIT = 0.8
"""IoU from which two masks are taken for the same object."""


@dataclass(frozen=True)
class Origin:
    """How a mask came about.

    Attributes
    ----------
    stage : str
        "assisted": a person clicked or painted it; "semi-automatic": it was filled in before the person began;
        "automatic": nobody looked at it.
    seconds : float
        A person's time; 0 where there was none.
    clicks : int
        Clicks and strokes.
    model, weights : str
        The model's name and the hash of its weights; "" for a mask that no model had a part in.

    Raises
    ------
    ValueError
        For a stage that does not exist, or a negative number.
    """

    stage: Stage
    seconds: float = 0.0
    clicks: int = 0
    model: str = ""
    weights: str = ""

    def __post_init__(self) -> None:
        """Check the values."""
        if self.stage not in STAGES:
            raise ValueError(f"the stage is {self.stage!r}; known are {', '.join(STAGES)}")
        if not (np.isfinite(self.seconds) and self.seconds >= 0) or self.clicks < 0:
            raise ValueError(f"{self.seconds} seconds and {self.clicks} clicks: neither can be negative")


@dataclass(frozen=True)
class EngineMask:
    """A mask of the data set.

    Attributes
    ----------
    record : MaskRecord
        The mask.
    origin : Origin
        How it came about.
    """

    record: MaskRecord
    origin: Origin

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**self.record.to_dict(), **asdict(self.origin)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EngineMask:
        """Read what `to_dict` wrote; ValueError for something else."""
        origin = Origin(
            values.get("stage", ""),
            optional_number(values, "seconds") or 0.0,
            integer(values, "clicks"),
            str(values.get("model", "")),
            str(values.get("weights", "")),
        )
        return cls(MaskRecord.from_dict(values), origin)


def by_prominence(records: Sequence[MaskRecord], image: NDArray[Any]) -> list[int]:
    """Return the numbers of masks, the most prominent first: large ones that stand out from what is around them.

    Prominence is the side of a square of the mask's area, times the distance of its mean brightness from that of a
    margin around its box, in standard deviations of the image.

    Parameters
    ----------
    records : sequence of MaskRecord
        The masks.
    image : numpy.ndarray
        (H, W) or (H, W, C) of any real type.
    """
    grey = np.asarray(image, float)
    grey = grey.mean(axis=-1) if grey.ndim == 3 else grey
    spread = float(grey.std()) or 1.0
    prominence = [np.sqrt(one.area) * (0.1 + _contrast(one, grey) / spread) for one in records]
    return [int(number) for number in np.argsort(-np.array(prominence), kind="stable")]


def new_masks(found: Sequence[MaskRecord], there: Sequence[MaskRecord]) -> list[MaskRecord]:
    """Return the masks that are not there already: those that overlap each one there by an IoU below `MASK_LIMIT`."""
    boxes = np.array([other.bbox for other in there]).reshape(-1, 4)
    return [one for one in found if all(mask_iou(one, there[at]) < MASK_LIMIT for at in _meeting(one, boxes))]


def _meeting(record: MaskRecord, boxes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which of (N, 4) boxes share pixels with that of a mask."""
    top, left, bottom, right = record.bbox
    apart = (boxes[:, 0] >= bottom) | (boxes[:, 1] >= right) | (boxes[:, 2] <= top) | (boxes[:, 3] <= left)
    return np.flatnonzero(~apart)


def mask_iou(first: MaskRecord, second: MaskRecord) -> float:
    """Return the IoU of two masks of one image; decodes what their boxes share only."""
    (a, b), box = (first, second), np.array([first.bbox, second.bbox])
    top, left = box[:, :2].max(axis=0)
    bottom, right = box[:, 2:].min(axis=0)
    if top >= bottom or left >= right:
        return 0.0
    window = (int(top), int(left), int(bottom), int(right))
    shared = int(np.count_nonzero(a.rle.window(window) & b.rle.window(window)))
    return shared / (a.area + b.area - shared)


def _contrast(record: MaskRecord, grey: NDArray[np.float64]) -> float:
    if record.area == 0:
        return 0.0
    top, left, bottom, right = record.bbox
    margin = max(2, max(bottom - top, right - left) // 4)
    box = (
        max(top - margin, 0),
        max(left - margin, 0),
        min(bottom + margin, grey.shape[0]),
        min(right + margin, grey.shape[1]),
    )
    window, inside = grey[box[0] : box[2], box[1] : box[3]], record.rle.window(box)
    return float(abs(window[inside].mean() - window[~inside].mean())) if not inside.all() else 0.0
