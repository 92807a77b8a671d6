"""Where the objects of a Labels layer lie on Earth: its own grid, or that of the image they are of. Knows no Qt.

An image that napari's own reader opened has no grid in its metadata; its file is asked, if it tells a place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari.layers import Image

from napari_segany.formats.geo_bands import ShownBands, choose_bands
from napari_segany.formats.geo_extra import GeoMissingError
from napari_segany.formats.geo_grid import GRID_KEY, GeoGrid
from napari_segany.formats.geo_pyramid import VIEW_KEY, RasterView
from napari_segany.formats.geo_raster import Raster, read_raster
from napari_segany.formats.geo_recognition import has_place
from napari_segany.widgets.labels_source import LabelsSource, LayerTuple, owner_of, shown_images
from napari_segany.widgets.layers import spatial_shape


@dataclass(frozen=True)
class LabelsPlace:
    """The place of labels.

    Attributes
    ----------
    grid : GeoGrid
        Where their pixels lie.
    raster : Raster or None
        The raster that they are of, where its file is there.
    bands : tuple of int or BandChoice
        The bands of it that were shown.
    lost : str
        The file of a raster that is not there any more; "" for none.
    """

    grid: GeoGrid
    raster: Raster | None = None
    bands: ShownBands = ()
    lost: str = ""


def place_of(source: LabelsSource, layers: Sequence[LayerTuple]) -> LabelsPlace:
    """Return where labels lie: by their own metadata, by the image that they were found in, or by the only one alike.

    Labels that were found in an image without a place get that of a raster only where the image was made of it.

    Parameters
    ----------
    source : LabelsSource
        The labels.
    layers : sequence of layer tuples
        What is saved along with them.

    Raises
    ------
    ValueError
        Where no grid of the labels' size is known, or more than one.
    """
    found = _fitting(source, layers)
    places = list(dict.fromkeys(one.grid for one in found))
    if not places and owner_of(source.meta.get("metadata") or {}) is not None:
        owner = _owner(source)
        why = "is not open any more" if owner is None else f"({owner.name!r}) has none"
        raise ValueError(
            f"The layer {source.name!r} has no place on Earth: the image that it was found in {why}; "
            "save it as a label TIFF (.labels.tif), open that beside its raster, and save it from there."
        )
    if len(places) != 1:
        raise ValueError(
            f"The layer {source.name!r} has no place on Earth: "
            + ("several rasters of its size are open" if places else "no raster of its size is open")
            + "; open the raster that it is of, or save in a format without a place."
        )
    shown = [one.shown for one in found if one.shown is not None]
    if not shown:
        return LabelsPlace(places[0])
    raster, bands = shown[0]
    if Path(raster.path).is_file():
        return LabelsPlace(places[0], raster, bands)
    return LabelsPlace(places[0], lost=raster.path)


def place_of_image(image: Image) -> LabelsPlace:
    """Return where an image lies, and its raster where that is known.

    Raises
    ------
    ValueError
        For an image without a place.
    """
    placed = _image_place(image, spatial_shape(image)[-2:]) if image.ndim == 2 else None
    if placed is None:
        raise ValueError(
            f"The image {image.name!r} has no place on Earth, which a vector file needs; open it with File > IO "
            "Utilities > Open rasters with a place on Earth"
        )
    return LabelsPlace(placed.grid, *(placed.shown or ()))


@dataclass(frozen=True)
class _Placed:
    """A grid, and which bands of which raster are shown on it, where that is known."""

    grid: GeoGrid
    shown: tuple[Raster, ShownBands] | None = None


def _fitting(source: LabelsSource, layers: Sequence[LayerTuple]) -> list[_Placed]:
    """Return the places that labels may have: the best known alone, or all."""
    own = source.meta.get("metadata") or {}
    images = [(image, _image_place(image, source.size)) for image in shown_images()]
    owner = _owner(source)
    saved = [_known_place(meta.get("metadata") or {}, source.size) for _, meta, _ in layers]
    others = [placed for _, placed in images] + saved
    groups = [[_known_place(own, source.size)], [placed for image, placed in images if image is owner]]
    if owner is not None:
        groups.append([placed for image, placed in images if _is_made_of(owner, image)])
    elif owner_of(own) is None or not images:
        # Without a viewer it is not known what is open, and what is saved along tells.
        groups.append(others)
    for group in groups:
        if fitting := [placed for placed in group if placed is not None]:
            grids = {placed.grid for placed in fitting}
            # One says where the labels lie; what is nodata may be known of another one on the same grid.
            return fitting + [placed for placed in others if placed is not None and placed.grid in grids]
    return []


def _owner(source: LabelsSource) -> Image | None:
    """Return the open image that labels were found in; None where it is not known, or open no more."""
    owner = owner_of(source.meta.get("metadata") or {})
    return next((image for image in shown_images() if owner is not None and image.unique_id == owner), None)


def _is_made_of(image: Image, raster: Image) -> bool:
    """Tell whether an image of a raster's size was computed from it: napari gives such a one its pixels in metres.

    Pixels without a size on the ground tell nothing: those of every image are so.
    """
    places = [
        [(float(scale), str(unit)) for scale, unit in zip(one.scale[-2:], one.units[-2:], strict=True)]
        for one in (image, raster)
    ]
    return places[0] == places[1] and all(unit != "pixel" for _, unit in places[0])


def _known_place(metadata: Mapping[str, Any], size: tuple[int, ...]) -> _Placed | None:
    """Return the place that a layer's metadata tell; None where they tell none of this size."""
    grid, view = metadata.get(GRID_KEY), metadata.get(VIEW_KEY)
    if not isinstance(grid, GeoGrid) or not grid.has_place or grid.size != size:
        return None
    return _Placed(grid, (view.raster, view.choice) if isinstance(view, RasterView) else None)


def _image_place(image: Image, size: tuple[int, ...]) -> _Placed | None:
    """Return the place of an image, by its metadata or else by its file."""
    if GRID_KEY in image.metadata or not image.source.path or spatial_shape(image)[-2:] != size:
        return _known_place(image.metadata, size)
    path = Path(image.source.path)
    if not has_place(path):
        return None
    try:
        raster = read_raster(path)
        bands = choose_bands(raster, None)
    except (GeoMissingError, OSError, ValueError):
        return None
    return _Placed(raster.grid, (raster, bands)) if raster.grid.has_place and raster.grid.size == size else None
