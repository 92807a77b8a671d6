"""A mask as it travels and is saved: run lengths with scores, the prompt that made it and where. Knows no torch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_segany.formats.atomic import replacing
from napari_segany.formats.json_fields import numbers, objects, optional_number, read_json_object, reading
from napari_segany.formats.rle import RunLengths

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class MaskRecord:
    """One mask with everything that is known of it; build it with `MaskRecord.from_mask`.

    Boxes are (row_min, col_min, row_max, col_max) in pixels and half-open, as in scikit-image:
    `image[row_min:row_max, col_min:col_max]` holds the object.

    Attributes
    ----------
    rle : RunLengths
        The mask itself, of the size of the image.
    bbox : tuple of int
        The smallest box around the mask; (0, 0, 0, 0) for an empty one.
    area : int
        Pixels of the mask.
    predicted_iou : float or None
        The model's own estimate of the IoU; None for a mask that no model made.
    stability_score : float or None
        IoU of the mask thresholded higher and lower; None for a mask that no model made.
    prompt : Mapping
        Plain values for JSON: "points", "labels", "box", "mask", as far as they were given.
    crop_box : tuple of int
        The part of the image that the model saw; the whole image by default.
    """

    rle: RunLengths
    bbox: Box
    area: int
    predicted_iou: float | None
    stability_score: float | None
    prompt: Mapping[str, Any] = field(default_factory=dict, hash=False)
    crop_box: Box = (0, 0, 0, 0)

    @classmethod
    def from_mask(
        cls,
        mask: ArrayLike | RunLengths,
        *,
        predicted_iou: float | None = None,
        stability_score: float | None = None,
        prompt: Mapping[str, Any] | None = None,
        crop_box: Box | None = None,
    ) -> MaskRecord:
        """Make the record of an (H, W) bool mask, or of its run lengths; box and area are computed.

        Raises
        ------
        ValueError
            For a mask that is not 2-D and bool.
        """
        rle = mask if isinstance(mask, RunLengths) else RunLengths.from_mask(mask)
        return cls(
            rle=rle,
            bbox=rle.bbox,
            area=rle.area,
            predicted_iou=None if predicted_iou is None else float(predicted_iou),
            stability_score=None if stability_score is None else float(stability_score),
            prompt=dict(prompt or {}),
            crop_box=(0, 0, *rle.size) if crop_box is None else crop_box,
        )

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The mask as (H, W) bool, decoded anew each time."""
        return self.rle.decode()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; the mask as COCO's compressed run lengths."""
        values = {name: value for name, value in self.__dict__.items() if name != "rle"}
        return {**values, "bbox": list(self.bbox), "crop_box": list(self.crop_box), "rle": self.rle.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MaskRecord:
        """Read what `to_dict` wrote; box and area are computed from the mask, so that they cannot disagree with it.

        Raises
        ------
        ValueError
            For values that are no such record.
        """
        if not isinstance(values, Mapping) or not isinstance(values.get("rle"), Mapping):
            raise ValueError("this is no mask record: its 'rle' with 'size' and 'counts' is missing")
        prompt = values.get("prompt") or {}
        if not isinstance(prompt, Mapping):
            raise ValueError("the 'prompt' of a mask record is no object")
        return cls.from_mask(
            RunLengths.from_dict(values["rle"]),
            predicted_iou=optional_number(values, "predicted_iou"),
            stability_score=optional_number(values, "stability_score"),
            prompt=prompt,
            crop_box=_read_crop_box(values),
        )


def write_records(path: str | os.PathLike[str], records: Iterable[MaskRecord]) -> None:
    """Write records to a JSON file, {"masks": [record, ...]}; whole or not at all.

    Raises
    ------
    OSError
        Where the file cannot be written.
    """
    text = json.dumps({"masks": [record.to_dict() for record in records]}, indent=1)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_records(path: str | os.PathLike[str]) -> list[MaskRecord]:
    """Read what `write_records` wrote.

    Raises
    ------
    OSError
        Where the file cannot be read.
    ValueError
        For a file that holds something else.
    """
    values = read_json_object(path, "mask record")
    with reading(f"{Path(path).name} is no sound file of mask records"):
        return [MaskRecord.from_dict(record) for record in objects(values, "masks")]


def _read_crop_box(values: Mapping[str, Any]) -> Box | None:
    if values.get("crop_box") is None:
        return None
    row_min, col_min, row_max, col_max = (int(edge) for edge in numbers(values, "crop_box", 4))
    return row_min, col_min, row_max, col_max
