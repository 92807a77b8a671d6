"""Where the objects of a Labels layer lie on Earth: its own grid, or that of the image they are of. Knows no Qt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_segany.formats.geo_grid import GRID_KEY, GeoGrid
from napari_segany.formats.geo_pyramid import VIEW_KEY, RasterView
from napari_segany.formats.geo_raster import Raster
from napari_segany.widgets.labels_source import LabelsSource, LayerTuple, shown_images
from napari_segany.widgets.objects import OWNER_KEY


@dataclass(frozen=True)
class LabelsPlace:
    """The place of labels.

    Attributes
    ----------
    grid : GeoGrid
        Where their pixels lie.
    raster : Raster or None
        The raster that they are of, where its file is there.
    bands : tuple of int
        The bands of it that were shown.
    lost : str
        The file of a raster that is not there any more; "" for none.
    """

    grid: GeoGrid
    raster: Raster | None = None
    bands: tuple[int, ...] = ()
    lost: str = ""


def place_of(source: LabelsSource, layers: Sequence[LayerTuple]) -> LabelsPlace:
    """Return where labels lie: by their own metadata, by the image that they were found in, or by the only one alike.

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
    found = list(_fitting(source, layers))
    places = list(dict.fromkeys(grid for grid, _ in found))
    if len(places) != 1:
        raise ValueError(
            f"The layer {source.name!r} has no place on Earth: "
            + ("several rasters of its size are open" if places else "no raster of its size is open")
            + "; open the raster that it is of with napari-segany, or save in a format without a place."
        )
    views = [view for _, view in found if isinstance(view, RasterView)]
    if not views:
        return LabelsPlace(places[0])
    raster, bands = views[0].raster, views[0].choice.bands
    if Path(raster.path).is_file():
        return LabelsPlace(places[0], raster, bands)
    return LabelsPlace(places[0], lost=raster.path)


def _fitting(source: LabelsSource, layers: Sequence[LayerTuple]) -> Iterator[tuple[GeoGrid, Any]]:
    """Yield the grids of the labels' size, with what is shown of their rasters: the best known alone, or all."""
    own = source.meta.get("metadata") or {}
    images = shown_images()
    owners = [image.metadata for image in images if image.unique_id == own.get(OWNER_KEY)]
    others = [image.metadata for image in images] + [meta.get("metadata") or {} for _, meta, _ in layers]
    for group in ([own], owners, others):
        fitting = [metadata for metadata in group if _fits(metadata, source.size)]
        if fitting:
            grids = {metadata[GRID_KEY] for metadata in fitting}
            # One says where the labels lie; what is nodata may be known of another one on the same grid.
            alike = [metadata for metadata in others if metadata.get(GRID_KEY) in grids]
            yield from ((metadata[GRID_KEY], metadata.get(VIEW_KEY)) for metadata in [*fitting, *alike])
            return


def _fits(metadata: Mapping[str, Any], size: tuple[int, int]) -> bool:
    grid = metadata.get(GRID_KEY)
    return isinstance(grid, GeoGrid) and grid.has_place and grid.size == size
