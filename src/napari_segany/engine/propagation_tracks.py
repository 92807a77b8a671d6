"""Objects through time as tracks: the arrays of napari's Tracks layer, without napari."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.propagation_values import Propagation
from napari_segany.formats.record import MaskRecord


@dataclass(frozen=True, eq=False)
class Tracks:
    """What `viewer.add_tracks(tracks.data, graph=tracks.graph, features=tracks.features)` takes.

    Attributes
    ----------
    data : numpy.ndarray
        (N, 4) float64: object, time point, row and column of the centroid in pixels; by object, then by time.
    graph : dict
        Child to its parents: {3: [1], 4: [1]} where object 1 became 3 and 4.
    features : dict of numpy.ndarray
        (N,) each, row by row as `data`: "area" in pixels, "predicted_iou" (NaN where no model made the mask).
    """

    data: NDArray[np.float64]
    graph: dict[int, list[int]]
    features: dict[str, NDArray[Any]]


def tracks_of(propagation: Propagation) -> Tracks:
    """Return the centroids of all objects through time; pixel centres are integers.

    Of the divisions only those are told whose parent and child both have a mask: napari refuses others.
    """
    masks = sorted(
        (mask for of_slice in propagation.slices.values() for mask in of_slice),
        key=lambda mask: (mask.object_id, mask.slice_index),
    )
    rows = [(mask.object_id, mask.slice_index, *centroid(mask.record)) for mask in masks]
    known = {mask.object_id for mask in masks}
    graph = {
        child: [division.parent]
        for division in propagation.divisions
        for child in division.children
        if child in known and division.parent in known
    }
    features = {
        "area": np.array([mask.record.area for mask in masks], np.int64),
        "predicted_iou": np.array([mask.record.predicted_iou for mask in masks], np.float64),
    }
    return Tracks(np.array(rows, np.float64).reshape(-1, 4), graph, features)


def track_table(tracks: Tracks) -> dict[str, NDArray[Any]]:
    """Return "track_id", "t", "y", "x", "area", "predicted_iou" and "parent" (0: none), as columns of a table."""
    numbers = tracks.data[:, 0].astype(np.int64)
    parents = [tracks.graph.get(number, [0])[0] for number in numbers.tolist()]
    return {
        "track_id": numbers,
        "t": tracks.data[:, 1].astype(np.int64),
        "y": tracks.data[:, 2],
        "x": tracks.data[:, 3],
        **tracks.features,
        "parent": np.array(parents, np.int64),
    }


def centroid(record: MaskRecord) -> tuple[float, float]:
    """Return (row, col) of the centre of mass of a mask that is not empty."""
    rows, cols = np.nonzero(record.rle.window(record.bbox))
    return float(rows.mean() + record.bbox[0]), float(cols.mean() + record.bbox[1])
