"""Objects as vectors: one feature for each mask, parts and holes kept, with its scores and its area on the ground.

Needs the extra `geo`.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.geo_bands import ShownBands
from napari_segany.formats.geo_crs import crs_name, is_on_ellipsoid
from napari_segany.formats.geo_features import Features, check_target, column_of, own_names, write_features
from napari_segany.formats.geo_grid import GeoGrid
from napari_segany.formats.geo_measure import Measure, check_measure, measure_polygons, usual_measure
from napari_segany.formats.geo_nodata import on_data
from napari_segany.formats.geo_polygons import on_map, pixel_polygon, simplify_together
from napari_segany.formats.geo_raster import Raster
from napari_segany.formats.record import MaskRecord

COLUMNS = ("id", "class", "predicted_iou", "stability_score", "area_m2", "perimeter_m")
"""The attributes of every feature; those that its prompt brought along follow."""

ATTRIBUTES = "attributes"
"""Key of a record's prompt whose value are the attributes of the feature that it was asked with."""

_BATCH = 64  # masks that are traced between two reports of progress


@dataclass(frozen=True)
class VectorObject:
    """A mask with its number and its class.

    Attributes
    ----------
    record : MaskRecord
        The mask; attributes under "attributes" of its prompt go into the file.
    number : int
        Becomes "id".
    category : str
        Becomes "class"; "" for none.
    """

    record: MaskRecord
    number: int
    category: str = ""


@dataclass(frozen=True, eq=False)
class TracedObject:
    """The outline of a mask with what the file says of it.

    Attributes
    ----------
    outline : shapely.MultiPolygon
        In pixels, as `pixel_polygon` makes it.
    number, category
        As of a `VectorObject`.
    predicted_iou, stability_score : float or None
        None where nobody predicted it.
    attributes : Mapping
        What the prompt brought along.
    """

    outline: Any
    number: int
    category: str = ""
    predicted_iou: float | None = None
    stability_score: float | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class VectorSettings:
    """How objects become features.

    Attributes
    ----------
    simplify : float
        Corners are left out whose triangle with their neighbours has less than the square of this, in pixels; objects
        that touch keep one boundary. 0 is exact.
    min_area : float
        Smaller objects are left out, in m2.
    measure : str
        "geodesic", on the ellipsoid, or "projected", in the plane of the raster's reference system.

    Raises
    ------
    ValueError
        For negative numbers.
    """

    simplify: float = 0.0
    min_area: float = 0.0
    measure: Measure = "geodesic"

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("simplify", "min_area"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give 0 or more")


@dataclass(frozen=True)
class VectorReport:
    """What became of objects.

    Attributes
    ----------
    written : tuple of int
        The numbers of those in the file.
    too_small : tuple of int
        Those under the minimum area.
    empty : tuple of int
        Those without a pixel, or with none that is not nodata.
    """

    written: tuple[int, ...]
    too_small: tuple[int, ...] = ()
    empty: tuple[int, ...] = ()


def check_vectors(endings: Iterable[str], crs: str, measure: Measure) -> None:
    """Refuse before the work what the reference system of a raster does not allow of its features.

    Raises
    ------
    ValueError
        For a measure that it does not allow, or GeoJSON (".geojson" or "geojson" among the endings) of a system that
        does not say where on Earth it is.
    """
    check_measure(crs, measure)
    if any(ending.endswith("geojson") for ending in endings) and not is_on_ellipsoid(crs):
        raise ValueError(
            f"GeoJSON is in longitude and latitude, and {crs_name(crs)} does not say where on Earth it is; choose "
            "GeoPackage or Shapefile"
        )


def write_vectors(
    path: str | os.PathLike[str],
    objects: Sequence[VectorObject],
    grid: GeoGrid,
    settings: VectorSettings | None = None,
    *,
    raster: Raster | None = None,
    bands: ShownBands = (1,),
) -> Generator[tuple[int, int], None, VectorReport]:
    """Write objects as GeoPackage, GeoJSON or Shapefile, one feature for each, whole or not at all.

    Yields (objects traced, objects in all) and returns what became of them; closing it leaves no file.

    Parameters
    ----------
    path : path
        The file: .gpkg, .geojson or .shp. It replaces one that is there.
    objects : sequence of VectorObject
        The masks, all of the grid's size.
    grid : GeoGrid
        Where the pixels lie.
    settings : VectorSettings, optional
        By default exact outlines, no minimum and, where the reference system is on an ellipsoid, geodesic areas.
    raster : Raster, optional
        What the masks are of: pixels where any of its `bands` is nodata do not count.
    bands : sequence of int or BandChoice
        Their numbers, from 1, or what was chosen: an index is undefined where its bands add up to 0.

    Warns
    -----
    ReprojectedWarning
        Where GeoJSON changes the reference system.

    Raises
    ------
    GeoMissingError
        Where a library of the extra is not installed.
    ValueError
        For masks of another size, a grid without a reference system, a measure that it does not allow, or another
        ending.
    OSError
        Where the file cannot be written.
    """
    check_target(path, grid.crs)
    settings = settings or VectorSettings(measure=usual_measure(grid.crs))
    check_vectors((os.fspath(path).lower(),), grid.crs, settings.measure)
    others = [item.number for item in objects if item.record.rle.size != grid.size]
    if others:
        raise ValueError(f"object {others[0]} has another size than the raster, which has {grid.size}")
    traced: list[TracedObject] = []
    for done, item in enumerate(objects, 1):
        record = item.record if raster is None else on_data(item.record, raster, bands)
        scores = record.predicted_iou, record.stability_score
        attributes = record.prompt.get(ATTRIBUTES) or {}
        traced.append(TracedObject(pixel_polygon(record.rle), item.number, item.category, *scores, attributes))
        if done % _BATCH == 0 or done == len(objects):
            yield done, len(objects)
    return write_traced(path, traced, grid, settings)


def write_traced(
    path: str | os.PathLike[str],
    objects: Sequence[TracedObject],
    grid: GeoGrid,
    settings: VectorSettings,
) -> VectorReport:
    """Write outlines as `write_vectors` does masks; see there for what is raised and warned of."""
    has_pixels = np.array([not item.outline.is_empty for item in objects], bool)
    outlines = simplify_together([item.outline for item in objects], settings.simplify)
    geometries = np.array(on_map(outlines, grid), object)
    resolution = min(grid.pixel_size)
    area, perimeter = measure_polygons(geometries, grid.crs, settings.measure, resolution=resolution)
    is_kept = has_pixels & (area >= settings.min_area)
    chosen = [item for item, kept in zip(objects, is_kept, strict=True) if kept]
    columns = _columns(chosen, area[is_kept], perimeter[is_kept])
    write_features(path, Features(geometries[is_kept], columns, grid.crs), kind="MultiPolygon", resolution=resolution)
    numbers = np.array([item.number for item in objects], np.int64)
    return VectorReport(
        written=tuple(numbers[is_kept].tolist()),
        too_small=tuple(numbers[has_pixels & ~is_kept].tolist()),
        empty=tuple(numbers[~has_pixels].tolist()),
    )


def _columns(
    objects: Sequence[TracedObject], area: NDArray[np.float64], perimeter: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    own: dict[str, NDArray[Any]] = {
        "id": np.array([item.number for item in objects], np.int64),
        "class": column_of([item.category or None for item in objects]),
        "predicted_iou": np.array([item.predicted_iou for item in objects], np.float64),
        "stability_score": np.array([item.stability_score for item in objects], np.float64),
        "area_m2": area,
        "perimeter_m": perimeter,
    }
    attributes = [item.attributes for item in objects]
    names = own_names(dict.fromkeys(name for row in attributes for name in row), own, "prompt_")
    return own | {column: column_of([row.get(name) for row in attributes]) for name, column in names.items()}
