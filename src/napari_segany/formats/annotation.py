"""The fields that SA-1B's and COCO's annotations share. Speaks (x, y); knows no files.

Boxes in these files are [x, y, width, height] in pixels, segmentations are run lengths or, in COCO, lists of
polygons.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_segany.formats.json_fields import numbers, optional_number
from napari_segany.formats.polygons import rasterise
from napari_segany.formats.record import Box, MaskRecord
from napari_segany.formats.rle import RunLengths


def xywh_of(box: Box) -> list[int]:
    """Return (row_min, col_min, row_max, col_max) as [x, y, width, height]."""
    row_min, col_min, row_max, col_max = (int(edge) for edge in box)
    return [col_min, row_min, col_max - col_min, row_max - row_min]


def scores_of(record: MaskRecord) -> dict[str, float | None]:
    """Return the scores under the names of SA-1B; None for those that are missing or no numbers, which JSON lacks."""
    scores = {"predicted_iou": record.predicted_iou, "stability_score": record.stability_score}
    return {name: score if score is not None and math.isfinite(score) else None for name, score in scores.items()}


def read_record(values: Mapping[str, Any], size: tuple[int, int]) -> MaskRecord:
    """Return the mask of an annotation with what is known of it.

    Box and area are computed from the mask; a box in the file may be missing or empty, and must be one otherwise.

    Parameters
    ----------
    values : Mapping
        One annotation as JSON holds it.
    size : (int, int)
        (H, W) of its image, in pixels.

    Raises
    ------
    ValueError
        For fields of the wrong kind, damaged run lengths or polygons, or a mask of another size.
    """
    if values.get("bbox") not in (None, []):
        numbers(values, "bbox", 4)
    return MaskRecord.from_mask(
        _read_segmentation(values.get("segmentation"), size),
        predicted_iou=optional_number(values, "predicted_iou"),
        stability_score=optional_number(values, "stability_score"),
        prompt=_read_prompt(values),
        crop_box=_read_crop_box(values, size),
    )


def annotation_name(values: Mapping[str, Any], position: int) -> str:
    """Return what to call an annotation in an error: by its id, or by its position in the file."""
    number = values.get("id")
    return f"annotation {number}" if isinstance(number, int) else f"annotation no. {position + 1}"


def _read_segmentation(segmentation: Any, size: tuple[int, int]) -> RunLengths:
    if isinstance(segmentation, dict) and isinstance(segmentation.get("counts"), (str, list)):
        rle = RunLengths.from_dict(segmentation)
        if rle.size != size:
            raise ValueError(f"its mask has the size {rle.size} and its image {size}")
        return rle
    if isinstance(segmentation, list) and segmentation:
        return rasterise([_read_polygon(polygon) for polygon in segmentation], size)
    raise ValueError("it has no 'segmentation' in run lengths or polygons")


def _read_polygon(polygon: Any) -> np.ndarray:
    if not isinstance(polygon, list) or len(polygon) % 2 or len(polygon) < 6:
        raise ValueError("a polygon is no list of three or more pairs of numbers x, y")
    return np.reshape(numbers({"segmentation": polygon}, "segmentation", len(polygon)), (-1, 2))


def _read_prompt(values: Mapping[str, Any]) -> dict[str, Any]:
    coordinates = values.get("point_coords")
    if coordinates is None or coordinates == []:
        return {}
    if not isinstance(coordinates, list):
        raise ValueError("'point_coords' is no list of points [x, y]")
    points = [numbers({"point_coords": point}, "point_coords", 2) for point in coordinates]
    return {"points": [[y, x] for x, y in points], "labels": [1] * len(points)}


def _read_crop_box(values: Mapping[str, Any], size: tuple[int, int]) -> Box | None:
    if values.get("crop_box") is None:
        return None
    x, y, width, height = numbers(values, "crop_box", 4)
    if width < 0 or height < 0:
        raise ValueError(f"'crop_box' has the width {width:g} and the height {height:g}; both must be 0 or more")
    edges = np.clip(np.round([y, x, y + height, x + width]), 0, [*size, *size])
    row_min, col_min, row_max, col_max = (int(edge) for edge in edges)
    return row_min, col_min, row_max, col_max
