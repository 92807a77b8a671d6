"""What labelled objects measure, over all slices that they lie on, as a table. Numpy only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_segany.engine.measuring import STATISTICS, PlaneMeasures, measure_plane
from napari_segany.engine.progress import Progress, Steps, relabelled

Table = dict[str, NDArray[Any]]
"""Columns of equal length."""


@dataclass(frozen=True, eq=False)
class SliceToMeasure:
    """A slice with its objects.

    Attributes
    ----------
    index : tuple of int
        Its place on the axes that are not measured in; () for an image of two axes.
    read_labels : callable
        Returns (H, W) integers; called when its turn has come.
    read_channels : callable
        Returns the intensities, (H, W) for each channel; only called where there are objects.
    """

    index: tuple[int, ...]
    read_labels: Callable[[], ArrayLike]
    read_channels: Callable[[], Sequence[ArrayLike]] = tuple


def measure_objects(
    slices: Sequence[SliceToMeasure],
    *,
    pixel: ArrayLike = ((1.0, 0.0), (0.0, 1.0)),
    depth: float | None = None,
    channels: Sequence[str] = (),
    axes: Sequence[int] = (),
) -> Steps[Table]:
    """Measure objects on all slices; of an object on several, area, perimeter and place are of its largest slice.

    Parameters
    ----------
    slices : sequence of SliceToMeasure
        The slices, of which one is held at a time.
    pixel : array_like
        (2, 2) the steps to the next row and column in the image's unit, see `measure_plane`.
    depth : float, optional
        Distance of the slices in that unit, for volumes.
    channels : sequence of str
        Names of the channels that are read.
    axes : sequence of int
        Which axes the slices' index runs along; they name the columns.

    Yields
    ------
    Progress
        In slices.

    Returns
    -------
    dict of numpy.ndarray
        "label" (ascending), "pixels" (of all slices), "area", "perimeter", "centroid_row", "centroid_col", the box
        ("bbox_row_min" to "bbox_col_max", half-open); of slices "slice_0", ... (by axis) and "slices" (how many),
        "volume" where the depth is known; for each channel "mean X", "std X", "min X", "max X" over all slices.

    Raises
    ------
    ValueError
        For slices that `measure_plane` refuses.
    """
    found: list[PlaneMeasures] = []
    places: list[tuple[int, ...]] = []
    for number, one in enumerate(slices):
        here = Progress(number, len(slices), "Measuring the objects")
        yield here
        labels = np.asarray(one.read_labels())
        if not labels.any():
            continue
        read = [np.asarray(channel) for channel in one.read_channels()]
        steps = measure_plane(labels, pixel=pixel, channels=read)
        measured = yield from relabelled(steps, lambda _, here=here: here)  # type: ignore[misc]
        found.append(measured)
        places.append(one.index)
    yield Progress(len(slices), len(slices), "All objects are measured")
    return _table(found, places, depth, channels, axes)


def _table(
    found: Sequence[PlaneMeasures],
    places: Sequence[tuple[int, ...]],
    depth: float | None,
    channels: Sequence[str],
    axes: Sequence[int],
) -> Table:
    labels = _joined([one.labels for one in found], np.int64)
    pixels = _joined([one.pixels for one in found], np.int64)
    area = _joined([one.area for one in found])
    order = np.lexsort((-pixels, labels))  # of each label the largest slice first; of equal ones the first
    unique, first, inverse = np.unique(labels[order], return_index=True, return_inverse=True)
    largest = order[first]
    groups = np.empty(len(labels), np.intp)
    groups[order] = inverse.reshape(-1)
    total = _sums(pixels, groups, len(unique)).astype(np.int64)
    centroids = _joined([one.centroids for one in found], columns=2)
    boxes = _joined([one.boxes for one in found], np.int64, columns=4)
    where = _joined(
        [np.tile(place, (len(one.labels), 1)) for place, one in zip(places, found, strict=True)], np.int64
    )
    table: Table = {
        "label": unique,
        "pixels": total,
        "area": area[largest],
        "perimeter": _joined([one.perimeter for one in found])[largest],
        "centroid_row": centroids[largest, 0],
        "centroid_col": centroids[largest, 1],
        **{
            f"bbox_{name}": boxes[largest, at] for at, name in enumerate(("row_min", "col_min", "row_max", "col_max"))
        },
    }
    if axes:
        where = where.reshape(len(labels), len(axes))
        table |= {f"slice_{axis}": where[largest, at] for at, axis in enumerate(axes)}
        table["slices"] = np.bincount(groups, minlength=len(unique)).astype(np.int64)
    if depth is not None:
        table["volume"] = _sums(area, groups, len(unique)) * depth
    for at, name in enumerate(channels):
        parts = _joined([one.intensities[at] for one in found], columns=len(STATISTICS))
        values = _over_slices(parts, pixels, groups, total)
        table |= {f"{statistic} {name}".strip(): values[:, i] for i, statistic in enumerate(STATISTICS)}
    return table


def _over_slices(
    parts: NDArray[np.float64], pixels: NDArray[np.int64], groups: NDArray[np.intp], total: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the statistics (N, 4) of objects from those of their slices (M, 4)."""
    means, spreads, least, most = parts.T
    mean = _sums(pixels * means, groups, len(total)) / total
    within = _sums(pixels * spreads**2, groups, len(total))
    between = _sums(pixels * (means - mean[groups]) ** 2, groups, len(total))
    smallest, largest = np.full(len(total), np.inf), np.full(len(total), -np.inf)
    np.minimum.at(smallest, groups, least)
    np.maximum.at(largest, groups, most)
    return np.stack([mean, np.sqrt((within + between) / total), smallest, largest], axis=1)


def _sums(values: NDArray[Any], groups: NDArray[np.intp], count: int) -> NDArray[np.float64]:
    return np.asarray(np.bincount(groups, weights=values, minlength=count))


def _joined(arrays: Sequence[NDArray[Any]], dtype: Any = np.float64, columns: int | None = None) -> NDArray[Any]:
    if arrays:
        return np.concatenate(arrays).astype(dtype)
    return np.zeros((0,) if columns is None else (0, columns), dtype)
