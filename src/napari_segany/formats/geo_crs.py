"""Coordinate reference systems: what they are, their units, and from one to the other. Needs pyproj."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.geo_extra import geo_module

LONGITUDE_LATITUDE = "OGC:CRS84"
"""WGS 84 with x = longitude and y = latitude, which GeoJSON asks for (RFC 7946)."""

LONGEST_EDGE = 16
"""What edges are cut to, in pixels, before they go to another reference system, where straight lines are bent."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

Reprojection = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def in_a_python_thread(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Return a function that uses pyproj and may be called from any thread; it returns plain values.

    Up to version 3.7.2 pyproj keeps what it needs for a thread until Python has forgotten the thread, and uses it
    again in the next work there: in a thread that Qt began, the second call ends the program
    (https://github.com/pyproj4/pyproj/issues/1622). Such calls go to a thread of Python's own.
    """

    @wraps(function)
    def called(*args: Arguments.args, **options: Arguments.kwargs) -> Result:
        if not threading.current_thread().name.startswith(
            "Dummy-"
        ):  # Python's name for threads that it did not begin
            return function(*args, **options)
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(function, *args, **options).result()

    return called


def parsed_crs(text: str) -> Any:
    """Return a horizontal `pyproj.CRS` of WKT, a PROJ string or a code; call it in `in_a_python_thread` only.

    Raises
    ------
    ValueError
        For a text that is no reference system.
    """
    try:
        return geo_module("pyproj").CRS.from_user_input(text).to_2d()
    except geo_module("pyproj.exceptions").CRSError:
        short = text if len(text) <= 60 else f"{text[:57]}..."
        raise ValueError(
            f"{short!r} is no coordinate reference system; give WKT or a code such as 'EPSG:32633'"
        ) from None


@in_a_python_thread
def is_same_crs(one: str, other: str) -> bool:
    """Tell whether coordinates (x, y) mean the same in both reference systems."""
    return bool(parsed_crs(one).equals(parsed_crs(other), ignore_axis_order=True))


@in_a_python_thread
def crs_name(text: str) -> str:
    """Return what to call a reference system: "WGS 84 / UTM zone 33N (EPSG:32633)"."""
    crs = parsed_crs(text)
    code = crs.to_authority()
    return f"{crs.name} ({':'.join(code)})" if code else str(crs.name)


@in_a_python_thread
def is_on_ellipsoid(text: str) -> bool:
    """Tell whether a reference system says where on Earth its coordinates are; that of a building site does not."""
    return parsed_crs(text).geodetic_crs is not None


def reprojection(source: str, target: str) -> Reprojection:
    """Return a function from (N, 2) coordinates (x, y) of one system to those of another; inf where none are.

    It raises ValueError where nobody knows a way from the one to the other.
    """

    @in_a_python_thread
    def reproject(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        try:
            transformer = geo_module("pyproj").Transformer.from_crs(
                parsed_crs(source), parsed_crs(target), always_xy=True
            )
        except geo_module("pyproj.exceptions").ProjError:
            raise ValueError(
                f"no way is known from {crs_name(source)} to {crs_name(target)}; bring both into one reference system"
            ) from None
        return np.stack(transformer.transform(coordinates[:, 0], coordinates[:, 1]), axis=1)

    return reproject


@in_a_python_thread
def metres_per_unit(text: str) -> float | None:
    """Return how many metres a unit of a projected system is; None for degrees."""
    crs = parsed_crs(text)
    return None if crs.is_geographic else float(crs.axis_info[0].unit_conversion_factor)
