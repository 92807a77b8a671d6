"""Points and boxes that are to become an object each, brought to planes of the image from layers and files. No Qt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from napari.layers import Image, Layer, Points, Shapes
from numpy.typing import NDArray

from napari_segany.formats.geo_prompts import GeoPrompt
from napari_segany.formats.prompt_table import PromptTable
from napari_segany.widgets.drafts import ObjectPrompt, Prompts
from napari_segany.widgets.geometry import Floats, Plane
from napari_segany.widgets.layers import image_to_layer, spatial_shape
from napari_segany.widgets.prompt_layers import BACKGROUND, MIN_BOX_SIDE

Kind = Literal["point", "box", "prompt"]


@dataclass(frozen=True, eq=False)
class EachPrompt:
    """What becomes an object each.

    Attributes
    ----------
    kind : str
        "point", "box", or "prompt" where some have several points, or a mask.
    name : str
        Of the layer or the file they are from.
    planes : Mapping
        By plane of the image, (N, 2) points (row, col), (N, 4) boxes (row_min, col_min, row_max, col_max), or prompts
        of a vector file.
    outside : int
        How many were left out, because they do not lie on one plane of the image.
    attributes : tuple of Mapping
        What a vector file says of each, in the order of all planes; empty where nothing is said.
    left_out : tuple of str
        What was left out and why, a sentence each, where that is known.
    """

    kind: Kind
    name: str
    planes: Mapping[Plane, Floats | tuple[GeoPrompt, ...]] = field(default_factory=dict)
    outside: int = 0
    attributes: tuple[Mapping[str, Any], ...] = ()
    left_out: tuple[str, ...] = ()

    def each(self, plane: Plane) -> Iterator[Prompts]:
        """Return the prompts of a plane one by one."""
        for one in self.planes[plane]:
            if isinstance(one, GeoPrompt):
                mask = None if one.mask is None else ObjectPrompt(one.mask.decode(), self.name, one.number)
                points = tuple((float(row), float(col)) for row, col in one.points)
                yield Prompts(points, tuple(int(label) for label in one.labels), one.box, mask)
            elif self.kind == "point":
                yield Prompts(((float(one[0]), float(one[1])),), (1,))
            else:
                yield Prompts(box=(float(one[0]), float(one[1]), float(one[2]), float(one[3])))

    def attributes_of(self, plane: Plane) -> Sequence[Mapping[str, Any]]:
        """Return what is said of each prompt of a plane."""
        before = 0
        for other, part in self.planes.items():
            if other == plane:
                return self.attributes[before : before + len(part)] if self.attributes else ({},) * len(part)
            before += len(part)
        return ()

    def __len__(self) -> int:
        """Return the number of prompts."""
        return sum(len(part) for part in self.planes.values())

    def __str__(self) -> str:
        return counted(len(self), self.kind)


def counted(number: int, kind: Kind) -> str:
    """Return "1 point", "3 boxes", for sentences."""
    return f"{number:,} {kind}{'' if number == 1 else 'es' if kind == 'box' else 's'}"


def kind_of(layer: object) -> Kind | None:
    """Return what a layer holds; None for one that holds neither points nor shapes."""
    return "point" if isinstance(layer, Points) else "box" if isinstance(layer, Shapes) else None


def prompts_of_layer(image: Image, plane: Plane, layer: Points | Shapes) -> EachPrompt:
    """Return the prompts of a layer, wherever it lies; layers with fewer axes belong to the shown plane.

    Of shapes of any kind the box around them is taken; background points, and those that are not shown, are left out.

    Raises
    ------
    ValueError
        For another layer, or where the shown plane is not one of the layer's.
    """
    kind = kind_of(layer)
    if kind is None:
        raise ValueError(f"got a {type(layer).__name__} layer; choose a Points or Shapes layer")
    parts = [_foreground(layer)] if isinstance(layer, Points) else [np.asarray(one, float) for one in layer.data]
    to_image = _Placing(image, plane, layer)
    if kind == "point":
        return grouped(kind, layer.name, to_image(parts[0]), image, plane)
    corners = [to_image(part) for part in parts]
    boxes = np.array([(part.min(axis=0), part.max(axis=0)) for part in corners]).reshape(-1, 2, image.ndim)
    return grouped(kind, layer.name, boxes, image, plane)


def prompts_of_table(table: PromptTable, name: str, image: Image, plane: Plane) -> EachPrompt:
    """Return the prompts of a file; two coordinates are of the shown plane, more are of the whole image.

    Raises
    ------
    ValueError
        For another number of coordinates.
    """
    kind: Kind = "point" if table.boxes is None else "box"
    positions = table.points if table.boxes is None else table.boxes
    if positions is None or table.ndim not in (2, image.ndim):
        raise ValueError(
            f"{name} has {table.ndim} coordinates for each {kind}, and the image has {image.ndim} axes; "
            "give as many, or row and column of the shown plane"
        )
    if table.ndim != image.ndim:
        positions = plane.to_data(positions).reshape(*positions.shape[:-1], image.ndim)
    return grouped(kind, name, positions, image, plane)


def grouped(kind: Kind, name: str, positions: NDArray[np.float64], image: Image, plane: Plane) -> EachPrompt:
    """Return prompts by plane; boxes are cut off at the edge of the image.

    Parameters
    ----------
    kind, name : str
        What they are, and where from.
    positions : numpy.ndarray
        (N, ndim) data positions of the image, or (N, 2, ndim) lowest and highest corners.
    image : Image
        The image.
    plane : Plane
        Tells which axes are displayed.
    """
    shape = np.asarray(spatial_shape(image))
    corners = positions.reshape(len(positions), 1 if kind == "point" else 2, image.ndim)
    hidden, shown = list(plane.hidden), list(plane.axes)
    places = np.round(corners[:, :, hidden]).astype(np.int64)
    inside = ((places >= 0) & (places < shape[hidden]) & (places == places[:, :1])).all(axis=(1, 2))
    limit = shape[shown] - 0.5
    flat = corners[:, :, shown]
    if kind == "point":
        inside &= ((flat >= -0.5) & (flat < limit)).all(axis=(1, 2))
    else:
        flat = np.clip(flat, -0.5, limit)
        inside &= ((flat[:, 1] - flat[:, 0]) >= MIN_BOX_SIDE).all(axis=1)
    planes: dict[Plane, list[Floats]] = {}
    for at in np.flatnonzero(inside):
        here = Plane(plane.axes, tuple(int(place) for place in places[at, 0]))
        planes.setdefault(here, []).append(flat[at].ravel())
    return EachPrompt(
        kind, name, {one: np.array(parts) for one, parts in planes.items()}, int(np.count_nonzero(~inside))
    )


class _Placing:
    """Maps positions of a layer to data positions of the image; layers are aligned on their last axes."""

    def __init__(self, image: Image, plane: Plane, layer: Layer) -> None:
        self._matrix = np.linalg.inv(image_to_layer(image, layer))
        self._plane = plane
        missing = image.ndim - layer.ndim
        if missing > 0 and plane.axes[0] < missing:
            raise ValueError(
                f"the layer {layer.name!r} has {layer.ndim} axes, and not the axis {plane.axes[0]} of the image, "
                "along which the shown plane goes; show the last axes"
            )

    def __call__(self, positions: Floats) -> Floats:
        ndim = self._plane.ndim
        mapped = np.asarray(positions, float) @ self._matrix[:-1, :-1].T + self._matrix[:-1, -1]
        found = np.tile(self._plane.offset, (len(mapped), 1))
        shared = min(ndim, mapped.shape[1])
        found[:, ndim - shared :] = mapped[:, mapped.shape[1] - shared :]
        return found


def _foreground(layer: Points) -> Floats:
    kept = np.asarray(layer.shown, bool)
    if "label" in layer.features:
        kept = kept & np.array([str(label) != BACKGROUND for label in layer.features["label"]], bool)
    return np.asarray(layer.data, float)[kept]


def numbers_of(planes: Sequence[Plane]) -> str:
    """Return "on 1 slice", "on 3 slices", for sentences; "" where there is only the plane of a flat image."""
    if not planes or planes[0].ndim == 2:
        return ""
    return f" on {len(planes)} slice{'' if len(planes) == 1 else 's'}"
