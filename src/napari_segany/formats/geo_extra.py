"""The libraries behind rasters with a place on Earth are an extra: without them one sentence says what to do."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


class GeoMissingError(ImportError):
    """A library of the extra `geo` is not installed."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"rasters and vectors with a place on Earth need {name}, which is not installed; "
            "`pip install 'napari-segany[geo]'` brings it"
        )


def geo_module(name: str) -> Any:
    """Return a module of rasterio, pyproj, shapely, pyogrio or dask.

    Raises
    ------
    GeoMissingError
        Where its library is not installed.
    """
    try:
        return sys.modules.get(name) or import_module(name)
    except ImportError as error:
        raise GeoMissingError(name.partition(".")[0]) from error
