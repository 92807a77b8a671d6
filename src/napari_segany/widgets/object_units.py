"""How large a layer's pixels are in its own units: as a value for measuring, and in words. Knows no Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pint
from napari.layers import Layer
from numpy.typing import NDArray

from napari_segany.formats.pixel_size import known_unit
from napari_segany.widgets.geometry import Floats, affine_matrix

PIXEL = "pixel"


@dataclass(frozen=True, eq=False)
class PixelGeometry:
    """The pixels of a plane, and how far its slices lie apart.

    Attributes
    ----------
    pixel : numpy.ndarray
        (2, 2) the steps to the next row and to the next column, each as (y, x) in the unit.
    unit : str
        "um", "nm", ...; "px" where a pixel is 1 by 1 and nobody named a unit, "" for a scale without one.
    depth : float or None
        Distance of the slices in that unit; None where the third axis is no length, or there is none.
    """

    pixel: NDArray[np.float64]
    unit: str
    depth: float | None

    def suffix(self, power: int = 1) -> str:
        """Return what names of columns end with: "_um2" for an area; "_px" and "" as they are."""
        unit = self.unit + (str(power) if power > 1 and self.unit != "px" else "")
        return f"_{unit}" if self.unit else ""


def pixel_geometry(layer: Layer, axes: Sequence[int]) -> PixelGeometry:
    """Return how large pixels are on the planes along two axes of a layer's data.

    Scale, shear and affine transform of the layer count; axes of different units of length are converted to the unit
    of the second one. Where the two axes measure different things, as one of time does, sizes are in pixels.
    """
    row, col = axes
    units = list(layer.units)
    matrix = affine_matrix(layer.data_to_world, layer.ndim)[:-1, :-1]
    alike = [unit.dimensionality == units[col].dimensionality for unit in units]
    vectors = np.array([_factor(unit, units[col]) for unit in units])[:, None] * matrix
    if not alike[row] or np.linalg.matrix_rank(vectors[alike][:, [row, col]]) < 2:
        return PixelGeometry(np.eye(2), "px", None)
    pixel = _in_plane(vectors[alike][:, [row, col]])
    hidden = [axis for axis in range(layer.ndim) if axis not in (row, col)]
    is_length = str(units[col]) != PIXEL
    depth = None
    if len(hidden) == 1 and alike[hidden[0]] and is_length:
        voxel = abs(float(np.linalg.det(vectors)))
        depth = voxel / abs(float(np.linalg.det(pixel)))
    return PixelGeometry(pixel, _name(units[col], pixel), depth)


def _in_plane(vectors: Floats) -> Floats:
    """Return two vectors (N, 2) of the world as (y, x) each, with axes within their plane."""
    _, triangle = np.linalg.qr(vectors)
    triangle = triangle * np.sign(np.diag(triangle))[:, None]
    return np.asarray(triangle.T)


def _factor(unit: pint.Unit, other: pint.Unit) -> float:
    """Return how many of the other unit one of this unit is; 0 where they measure different things."""
    if unit.dimensionality != other.dimensionality:
        return 0.0
    registry = pint.get_application_registry()
    return float(registry.get_base_units(unit)[0]) / float(registry.get_base_units(other)[0])


def _name(unit: pint.Unit, pixel: Floats) -> str:
    if str(unit) == PIXEL:
        return "px" if np.allclose(pixel, np.eye(2)) else ""
    return known_unit(str(unit)) or known_unit(f"{unit:~}") or str(unit)
