"""Which files are rasters with a place on Earth, told without the extra `geo` and without reading pixels."""

from __future__ import annotations

import struct
from importlib.util import find_spec
from pathlib import Path

import tifffile

_PLACE_TAGS = (33550, 33922, 34264, 34735)  # pixel scale, tie points, transformation, GeoKeys of the GeoTIFF standard
_WORLD_FILES = (".tfw", ".tifw", ".tiffw", ".wld")
_TIFF = (".tif", ".tiff", ".btf")
_HEAD = 4096


def has_place(path: Path) -> bool:
    """Tell without the extra whether a file is a raster with a place on Earth (GeoTIFF, COG, VRT, world file)."""
    if path.suffix.lower() == ".vrt":
        return b"<VRTDataset" in _head(path)
    if any(path.with_suffix(ending).is_file() for ending in _WORLD_FILES):
        return True
    try:
        with tifffile.TiffFile(path) as file:
            return any(tag in file.pages.first.tags for tag in _PLACE_TAGS)
    except (OSError, ValueError, LookupError, struct.error):  # TiffFileError is a ValueError
        return False


def is_readable_raster(path: Path) -> bool:
    """Tell whether a file is a TIFF or VRT on a regular grid on Earth, and the library that reads it is there.

    One that is placed by ground control points alone is an image like any other.
    """
    return find_spec("rasterio") is not None and _is_raster(path)


def lacks_reader(path: Path) -> bool:
    """Tell whether a file is such a raster, and the library that reads it is not there: its place is lost."""
    return find_spec("rasterio") is None and _is_raster(path)


def _is_raster(path: Path) -> bool:
    return path.suffix.lower() in (*_TIFF, ".vrt") and has_place(path) and not _by_points(path)


def _by_points(path: Path) -> bool:
    """Tell whether several tie points, and no size of pixels, say where a TIFF lies."""
    if path.suffix.lower() == ".vrt":
        return False
    try:
        with tifffile.TiffFile(path) as file:
            tags = file.pages.first.tags
            return 33922 in tags and 33550 not in tags and 34264 not in tags
    except (OSError, ValueError, LookupError, struct.error):
        return False


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""
