"""Tables of what masks measure: area, position, scores, intensity. Knows numpy and files only.

A table is a dict of columns of equal length, which pandas.DataFrame takes as it is.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.atomic import replacing
from napari_segany.formats.pixel_size import PixelSize
from napari_segany.formats.record import MaskRecord

Table = dict[str, NDArray[Any]]

_BOX = ("bbox_row_min", "bbox_col_min", "bbox_row_max", "bbox_col_max")
_NEEDED = ("label", "area", "centroid_row", "centroid_col")


def property_table(
    records: Sequence[MaskRecord],
    image: NDArray[np.generic] | None = None,
    *,
    pixel_size: PixelSize | None = None,
) -> Table:
    """Measure masks; row k is record k, whose label is k + 1 as in `to_labels`.

    Parameters
    ----------
    records : sequence of MaskRecord
        The masks, which may overlap: each is measured by itself.
    image : numpy.ndarray, optional
        (H, W) or (H, W, C) of the masks' size, for the mean intensity.
    pixel_size : PixelSize, optional
        For area, centroid and box in its unit, beside those in pixels.

    Returns
    -------
    dict of numpy.ndarray
        "label", "area" (pixels), "centroid_row", "centroid_col" (pixel centres are integers), "bbox_row_min",
        "bbox_col_min", "bbox_row_max", "bbox_col_max" (half-open), "predicted_iou", "stability_score" (NaN for a mask
        that no model made). With an image "intensity_mean", or "intensity_mean_0", ... for each channel. With a pixel
        size in um "area_um2", "centroid_row_um", "bbox_row_min_um", .... Means of an empty mask are NaN.

    Raises
    ------
    ValueError
        For an image of another size than the masks.
    """
    return measures_table(
        area=np.array([record.area for record in records], np.int64),
        centroids=np.array([_centroid(record) for record in records]).reshape(-1, 2),
        boxes=np.array([record.bbox for record in records], np.int64).reshape(-1, 4),
        predicted_iou=np.array([record.predicted_iou for record in records], np.float64),
        stability_score=np.array([record.stability_score for record in records], np.float64),
        intensities=None if image is None else _intensities(records, image),
        pixel_size=pixel_size,
    )


def measures_table(
    *,
    area: NDArray[np.int64],
    centroids: NDArray[np.float64],
    boxes: NDArray[np.int64],
    predicted_iou: NDArray[np.float64],
    stability_score: NDArray[np.float64],
    intensities: NDArray[np.float64] | None = None,
    pixel_size: PixelSize | None = None,
) -> Table:
    """Return the columns of `property_table` for masks that somebody else has measured.

    Parameters
    ----------
    area : numpy.ndarray
        (N,) pixels.
    centroids : numpy.ndarray
        (N, 2) (row, col).
    boxes : numpy.ndarray
        (N, 4) (row_min, col_min, row_max, col_max), half-open.
    predicted_iou, stability_score : numpy.ndarray
        (N,) scores.
    intensities : numpy.ndarray, optional
        (N,) mean intensities, or (N, C) of channels.
    pixel_size : PixelSize, optional
        For the columns in its unit.
    """
    table: Table = {
        "label": np.arange(1, len(area) + 1),
        "area": area,
        "centroid_row": centroids[:, 0],
        "centroid_col": centroids[:, 1],
        **dict(zip(_BOX, boxes.T, strict=True)),
        "predicted_iou": predicted_iou,
        "stability_score": stability_score,
    }
    if intensities is not None and intensities.ndim == 1:
        table["intensity_mean"] = intensities
    elif intensities is not None:
        table |= {f"intensity_mean_{channel}": means for channel, means in enumerate(intensities.T)}
    if pixel_size is not None:
        table |= _physical(table, pixel_size)
    return table


def write_table(path: str | os.PathLike[str], table: Mapping[str, NDArray[Any]]) -> None:
    """Write a table of numbers and texts as CSV with a header, whole or not at all; NaN becomes an empty cell.

    Raises
    ------
    ValueError
        For columns of different lengths.
    OSError
        Where the file cannot be written.
    """
    lengths = {name: len(column) for name, column in table.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the columns have the lengths {lengths}; those of a table are equal")
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(map(_cell, row) for row in zip(*table.values(), strict=True))


def read_table(path: str | os.PathLike[str]) -> Table:
    """Read what `write_table` wrote from `property_table`; empty cells become NaN.

    Raises
    ------
    OSError
        Where the file cannot be read.
    ValueError
        For a file that is damaged or another table; one sentence that names the file and the line.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except (csv.Error, UnicodeDecodeError):
        raise ValueError(f"{path.name} is no CSV file") from None
    missing = [name for name in _NEEDED if name not in header]
    if missing:
        raise ValueError(f"{path.name} is no table of masks: it has no column {', '.join(missing)}")
    cells = [_numbers(row, len(header), f"{path.name}, line {number}") for number, row in enumerate(rows, 2)]
    columns = np.array(cells, np.float64).reshape(-1, len(header)).T
    return {name: _narrowed(name, column) for name, column in zip(header, columns, strict=True)}


def _centroid(record: MaskRecord) -> tuple[float, float]:
    rows, cols = np.nonzero(record.rle.window(record.bbox))
    if len(rows) == 0:
        return np.nan, np.nan
    return float(rows.mean()) + record.bbox[0], float(cols.mean()) + record.bbox[1]


def _intensities(records: Sequence[MaskRecord], image: NDArray[np.generic]) -> NDArray[np.float64]:
    if image.ndim not in (2, 3):
        raise ValueError(f"the image has the shape {image.shape}; give (H, W) or (H, W, C)")
    means = np.full((len(records), *image.shape[2:]), np.nan)
    for index, record in enumerate(records):
        if record.rle.size != image.shape[:2]:
            raise ValueError(f"record {index} has the size {record.rle.size}; the image has {image.shape[:2]}")
        row_min, col_min, row_max, col_max = record.bbox
        if record.area:
            window = image[row_min:row_max, col_min:col_max]
            means[index] = window[record.rle.window(record.bbox)].mean(axis=0, dtype=np.float64)
    return means


def _physical(table: Table, pixel_size: PixelSize) -> Table:
    unit = pixel_size.unit
    lengths = {
        f"{name}_{unit}": table[name] * (pixel_size.row if "row" in name else pixel_size.col)
        for name in ("centroid_row", "centroid_col", *_BOX)
    }
    return {f"area_{unit}2": table["area"] * (pixel_size.row * pixel_size.col), **lengths}


def _cell(value: np.generic | str) -> str:
    if isinstance(value, str):
        return value
    return "" if np.isnan(value) else str(value)


def _numbers(row: Sequence[str], count: int, where: str) -> list[float]:
    if len(row) != count:
        raise ValueError(f"{where} has {len(row)} cells; expected {count}")
    try:
        return [float(cell) if cell else np.nan for cell in row]
    except ValueError:
        raise ValueError(f"{where} holds something else than numbers") from None


def _narrowed(name: str, column: NDArray[np.float64]) -> NDArray[Any]:
    """Return counts of pixels as integers."""
    is_count = name in ("label", "area", *_BOX) and bool((np.abs(column) < 2**53).all())
    return column.astype(np.int64) if is_count and (column == np.floor(column)).all() else column
