"""Prompts from vector files in any reference system, in pixels of a raster; and prompts as vectors. Needs extra `geo`.

Points are points, MultiPoints several points of one object. Rectangles are boxes, other polygons masks with the box
around them. A file that `write_prompts` wrote says what its features are in the columns "prompt", "object" and "label";
files from elsewhere may have them too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.geo_crs import LONGEST_EDGE, is_same_crs, reprojection
from napari_segany.formats.geo_extra import geo_module
from napari_segany.formats.geo_features import Features, column_of, read_features, write_features
from napari_segany.formats.geo_grid import GeoGrid
from napari_segany.formats.geo_nodata import on_data, placed
from napari_segany.formats.geo_polygons import on_map, pixel_polygon
from napari_segany.formats.geo_raster import Raster
from napari_segany.formats.geo_windows import valid_at
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths

KINDS = ("point", "box", "polygon")
"""Values of the column "prompt"."""

OWN_COLUMNS = ("object", "prompt", "label")


@dataclass(frozen=True, eq=False)
class GeoPrompt:
    """What is asked for one object.

    Attributes
    ----------
    number : int
        The object: the number of its feature in the file, from 1, or its column "object".
    points : numpy.ndarray
        (N, 2) float64 positions (row, col), integers at pixel centres.
    labels : numpy.ndarray
        (N,) int64, 1 foreground and 0 background.
    box : tuple of float or None
        (row_min, col_min, row_max, col_max), within the raster.
    mask : RunLengths or None
        A polygon, of the raster's size.
    attributes : Mapping
        The other columns of the feature, plain values; None where it has none.
    """

    number: int
    points: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    box: tuple[float, float, float, float] | None = None
    mask: RunLengths | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LeftOut:
    """A feature, or a point of it, that is no prompt for this raster.

    Attributes
    ----------
    feature : int
        Its number in the file, from 1.
    reason : str
        Why.
    """

    feature: int
    reason: str


@dataclass(frozen=True, eq=False)
class GeoPrompts:
    """What a vector file asks of a raster.

    Attributes
    ----------
    prompts : tuple of GeoPrompt
        One for each object.
    left_out : tuple of LeftOut
        What lies outside or on nodata, and what is no prompt.
    """

    prompts: tuple[GeoPrompt, ...]
    left_out: tuple[LeftOut, ...]
