"""Vector files: geometries with a table of attributes, as GeoPackage, GeoJSON or Shapefile. Needs the extra `geo`."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from errno import EACCES
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.atomic import replacing
from napari_segany.formats.geo_crs import LONGEST_EDGE, LONGITUDE_LATITUDE, crs_name, is_same_crs, metres_per_unit
from napari_segany.formats.geo_extra import geo_module

DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".shp": "ESRI Shapefile"}
"""GDAL's names of the formats that are written, by the ending of the file."""

Columns = Mapping[str, NDArray[Any]]

_KEPT_NAMES = ("fid", "geom", "geometry")  # columns that a GeoPackage has of its own
_SHAPEFILE_NAME = 10  # characters that a column of a Shapefile may have
_SHAPEFILE_NAMES = {"predicted_iou": "pred_iou", "stability_score": "stability", "perimeter_m": "perim_m"}
_SHAPEFILE_PARTS = (".shx", ".dbf", ".prj", ".cpg", ".shp")  # the last one makes the file appear
_SHAPEFILE_INDEXES = (".sbn", ".sbx", ".qix", ".idm", ".ind", ".shp.xml")  # of the file before, wrong for a new one
_METRES_PER_DEGREE = 111_320
_LEAST_DIGITS, _MOST_DIGITS = 7, 15  # after the point of degrees; RFC 7946 advises 6, which is a tenth of a metre


class ReprojectedWarning(UserWarning):
    """The file holds other coordinates than the raster's own, because its format asks for them."""


@dataclass(frozen=True, eq=False)
class Features:
    """What a vector file holds.

    Attributes
    ----------
    geometries : numpy.ndarray
        (N,) shapely geometries, (x, y) on the map; None for a feature that has none.
    columns : Mapping
        (N,) arrays by name.
    crs : str
        The reference system as WKT, "" where the file tells none.
    """

    geometries: NDArray[Any]
    columns: Columns
    crs: str


def write_features(path: str | os.PathLike[str], features: Features, *, kind: str, resolution: float) -> None:
    """Write a vector file, whole or not at all; the ending chooses the format.

    GeoJSON is in longitude and latitude of WGS 84, as RFC 7946 asks; a `ReprojectedWarning` says so where that is not
    the reference system of the features. A Shapefile has names of ten characters; its parts are put in place one
    after the other, the main file last.

    Parameters
    ----------
    path : path
        The file: .gpkg, .geojson or .shp. It replaces one that is there.
    features : Features
        What goes in, with a reference system.
    kind : str
        The type of geometries as GDAL names it: "MultiPolygon", "Point", ...; "Unknown" for several.
    resolution : float
        What is to be told apart, in units of the reference system: coordinates get digits for a hundredth of it.

    Raises
    ------
    GeoMissingError
        Where a library of the extra is not installed.
    ValueError
        For another ending, features without a reference system, or what the format cannot hold.
    OSError
        Where the file cannot be written.
    """
    path = Path(path)
    driver = check_target(path, features.crs)
    if driver == "ESRI Shapefile":
        _write_shapefile(path, features, kind)
        return
    options = {}
    if driver == "GeoJSON":
        if not is_same_crs(features.crs, LONGITUDE_LATITUDE):
            warnings.warn(
                "coordinates are in longitude and latitude of WGS 84, as GeoJSON asks, and not in "
                f"{crs_name(features.crs)}; GeoPackage keeps the raster's own system",
                ReprojectedWarning,
                stacklevel=2,
            )
            cut = geo_module("shapely").segmentize(features.geometries, LONGEST_EDGE * resolution)
            features = replace(features, geometries=cut)
        options = {"RFC7946": "YES", "COORDINATE_PRECISION": str(_digits(features.crs, resolution))}
    with replacing(path) as temporary:
        temporary.unlink()  # GDAL adds to a file that is there
        _write(
            temporary,
            features,
            shown=path.name,
            driver=driver,
            geometry_type=kind,
            layer=path.stem,
            layer_options=options,
        )


def check_target(path: str | os.PathLike[str], crs: str) -> str:
    """Return GDAL's name of the format that the ending of a file means.

    Raises
    ------
    ValueError
        For another ending, or features without a reference system.
    OSError
        For a file that is there and may not be replaced: it is read-only, or another program has it open.
    """
    path = Path(path)
    if path.suffix.lower() not in DRIVERS:
        raise ValueError(f"{path.name} has the ending {path.suffix!r}; vector files end in {', '.join(DRIVERS)}")
    if not crs:
        raise ValueError(
            "the raster has no coordinate reference system, so its objects have no place on Earth; set one, "
            "for example with `gdal_edit.py -a_srs EPSG:32633`, or save a label image"
        )
    driver = DRIVERS[path.suffix.lower()]
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(EACCES, "the file is read-only", str(path))
    if driver == "GPKG":
        _check_is_closed(path)
    return driver


def _check_is_closed(path: Path) -> None:
    """Refuse a GeoPackage that is open: what SQLite keeps beside it for the old file would damage the new one."""
    place = Path(os.path.realpath(path))
    for ending in ("-wal", "-journal"):
        if place.with_name(place.name + ending).exists():
            raise OSError(
                f"{path.name} is open in another program ({place.name}{ending} is beside it); close it there, or "
                "write another file"
            )


def own_names(names: Iterable[str], taken: Iterable[str], prefix: str) -> dict[str, str]:
    """Return what columns of somebody else's table are called beside our own.

    Names differ in more than case, and none is one that GDAL's formats keep for themselves.

    Parameters
    ----------
    names : iterable of str
        The names as they were.
    taken : iterable of str
        Names of our own columns.
    prefix : str
        Goes before a name that is taken, and a number after it where that is taken too.
    """
    used = {name.lower() for name in (*taken, *_KEPT_NAMES)}
    found: dict[str, str] = {}
    for name in names:
        free, number = name, 1
        if free.lower() in used:
            free = f"{prefix}{name}"
        while free.lower() in used:
            number += 1
            free = f"{prefix}{name}_{number}"
        used.add(free.lower())
        found[name] = free
    return found


def column_of(values: Sequence[Any]) -> NDArray[Any]:
    """Return a column of plain values, None where there is none: integers, numbers (NaN for none), or text."""
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, (bool, int)) for value in known):
        if len(known) == len(values):
            return np.array(values, np.int64)
        return np.array(values, np.float64)
    if known and all(isinstance(value, (bool, int, float)) for value in known):
        return np.array(values, np.float64)
    return np.array([None if value is None else str(value) for value in values], object)


def read_features(path: str | os.PathLike[str], layer: str | None = None) -> Features:
    """Read a vector file: GeoPackage, GeoJSON, Shapefile, or another one that GDAL knows.

    Parameters
    ----------
    path : path
        The file.
    layer : str, optional
        Which of its layers, where it has several.

    Raises
    ------
    GeoMissingError
        Where a library of the extra is not installed.
    OSError
        Where the file cannot be read.
    ValueError
        For a file that is no vector file, or a choice of layers that has to be made.
    """
    pyogrio, shapely = geo_module("pyogrio"), geo_module("shapely")
    path = Path(path)
    with path.open("rb"):
        pass  # a missing file and missing rights have their own words
    errors = geo_module("pyogrio.errors")
    try:
        names = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        if layer is None and len(names) > 1:
            raise ValueError(f"{path.name} has the layers {', '.join(names)}; choose one")
        meta, _, geometry, values = geo_module("pyogrio.raw").read(path, layer=layer)
    except (errors.DataSourceError, errors.DataLayerError, errors.FeatureError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path.name} is damaged or no vector file ({reason[:120]})") from None
    columns = {str(name): column for name, column in zip(meta["fields"], values, strict=True)}
    geometries = shapely.from_wkb(geometry, on_invalid="ignore") if geometry is not None else np.zeros(0, object)
    return Features(shapely.force_2d(geometries), columns, meta["crs"] or "")


def vector_files(path: Path) -> list[Path]:
    """Return the files of a vector file that is there: one, or those of a Shapefile."""
    parts = _SHAPEFILE_PARTS if path.suffix.lower() == ".shp" else (path.suffix,)
    return [path.with_suffix(part) for part in parts if path.with_suffix(part).is_file()]


def _write(
    path: Path,
    features: Features,
    *,
    shown: str,
    geometry_type: str,
    layer_options: Mapping[str, str] | None = None,
    **options: Any,
) -> None:
    errors = geo_module("pyogrio.errors")
    try:
        geo_module("pyogrio.raw").write(
            path,
            geo_module("shapely").to_wkb(features.geometries),
            field_data=list(features.columns.values()),
            fields=list(features.columns),
            crs=features.crs,
            geometry_type=geometry_type,
            layer_options=dict(layer_options or {}),
            **options,
        )
    except (errors.DataSourceError, errors.DataLayerError, errors.FeatureError, errors.GeometryError) as error:
        raise OSError(f"{shown} could not be written ({' '.join(str(error).split())[:200]})") from error


def _write_shapefile(path: Path, features: Features, kind: str) -> None:
    if kind == "Unknown":
        raise ValueError("a Shapefile holds either points or polygons, and these are both; save as .gpkg or .geojson")
    names = _short_names(list(features.columns))
    short = Features(features.geometries, dict(zip(names, features.columns.values(), strict=True)), features.crs)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}-") as folder:
        draft = Path(folder) / path.name
        kind = kind.removeprefix("Multi") if kind == "MultiPolygon" else kind  # of Shapefiles, polygons have parts
        _write(
            draft, short, shown=path.name, driver=DRIVERS[".shp"], geometry_type=kind, encoding="UTF-8",
            promote_to_multi=False,
        )  # fmt: skip
        for ending in _SHAPEFILE_INDEXES:
            _part(path, ending).unlink(missing_ok=True)
        for ending in _SHAPEFILE_PARTS:
            written = draft.with_suffix(ending)
            if written.exists():
                with replacing(_part(path, ending)) as temporary:
                    shutil.copyfile(written, temporary)


def _part(path: Path, ending: str) -> Path:
    """Return where a part of a Shapefile is: where its link leads, else beside the file that the .shp leads to."""
    part = path.with_suffix(ending)
    return Path(os.path.realpath(part)) if part.is_symlink() else Path(os.path.realpath(path)).with_suffix(ending)


def _short_names(names: Sequence[str]) -> list[str]:
    """Return names of at most ten bytes, all different."""
    found: list[str] = []
    for name in names:
        stem = _SHAPEFILE_NAMES.get(name, name).encode("ascii", "replace").decode().replace("?", "_")
        short, number = stem[:_SHAPEFILE_NAME], 1
        while short.lower() in (other.lower() for other in found):
            number += 1
            short = f"{stem[: _SHAPEFILE_NAME - 1 - len(str(number))]}_{number}"
        found.append(short)
    return found


def _digits(crs: str, resolution: float) -> int:
    """Return how many digits degrees need after the point."""
    unit = metres_per_unit(crs)
    degrees = resolution if unit is None else resolution * unit / _METRES_PER_DEGREE
    return min(_MOST_DIGITS, max(_LEAST_DIGITS, math.ceil(-math.log10(degrees / 100))))
