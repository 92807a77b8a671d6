"""How large a pixel is: read from TIFF (OME, ImageJ, resolution tags) and OME-Zarr, written to TIFF; no masks."""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tifffile

_METRES = {"nm": 1e-9, "um": 1e-6, "mm": 1e-3, "cm": 1e-2, "inch": 0.0254, "m": 1.0, "km": 1e3}
_WHOLE_NAMES = {
    "nm": "nanometer",
    "um": "micrometer",
    "mm": "millimeter",
    "cm": "centimeter",
    "inch": "inch",
    "m": "meter",
    "km": "kilometer",
}
_OTHER_NAMES = {
    "µm": "um",  # the micro sign
    "μm": "um",  # the Greek letter
    "\\u00b5m": "um",  # as ImageJ escapes it
    "micron": "um",
    "microns": "um",
    "micrometer": "um",
    "micrometre": "um",
    "nanometer": "nm",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
    "metre": "m",
    "kilometer": "km",
    "in": "inch",
}
_DAMAGED = (ArithmeticError, AttributeError, LookupError, SyntaxError, TypeError, ValueError, struct.error)


@dataclass(frozen=True)
class PixelSize:
    """The size of a pixel.

    Attributes
    ----------
    row, col : float
        The distance between neighbouring rows and columns, in `unit`.
    unit : str
        "nm", "um", "mm", "cm", "inch", "m" or "km"; other names for them are taken too.

    Raises
    ------
    ValueError
        For a size that is not positive, or an unknown unit.
    """

    row: float
    col: float
    unit: str = "um"

    def __post_init__(self) -> None:
        """Check the size and bring the unit to its one name."""
        if not (0 < self.row < math.inf and 0 < self.col < math.inf):
            raise ValueError(f"the size of a pixel is {self.row} x {self.col}; both must be positive")
        unit = known_unit(self.unit)
        if unit is None:
            raise ValueError(f"the unit {self.unit!r} is unknown; choose one of {', '.join(_METRES)}")
        object.__setattr__(self, "unit", unit)

    @property
    def whole_unit(self) -> str:
        """The unit in full, as OME-Zarr names it: "micrometer" for "um"."""
        return _WHOLE_NAMES[self.unit]

    def tiff_resolution(self) -> tuple[float, float]:
        """Return pixels per centimetre along (x, y), as TIFF's tags hold them."""
        to_centimetres = _METRES[self.unit] / _METRES["cm"]
        return 1 / (self.col * to_centimetres), 1 / (self.row * to_centimetres)


def tiff_resolution(pixel_size: PixelSize | None) -> dict[str, Any]:
    """Return what `tifffile.imwrite` takes to store a pixel size; nothing for None."""
    if pixel_size is None:
        return {}
    return {"resolution": pixel_size.tiff_resolution(), "resolutionunit": "CENTIMETER"}


def known_unit(name: str) -> str | None:
    """Return the one name of a unit of length; None for a unit that is unknown, or "pixel"."""
    name = name.strip().lower()
    name = _OTHER_NAMES.get(name, name)
    return name if name in _METRES else None


def read_pixel_size(path: str | os.PathLike[str]) -> PixelSize | None:
    """Return the pixel size that a TIFF file or an OME-Zarr tells; None where it tells none, and for other files.

    Resolutions per inch are not believed: cameras and programs fill in 72 for anything.

    Raises
    ------
    OSError
        Where the file cannot be read.
    """
    if Path(path).is_dir():
        return _from_zarr(Path(path))
    if Path(path).suffix.lower() not in (".tif", ".tiff"):
        return None
    try:
        with tifffile.TiffFile(path) as file:
            if file.ome_metadata:
                return _from_ome(tifffile.xml2dict(file.ome_metadata))
            return _from_tags(file)
    except _DAMAGED:
        return None  # metadata that is damaged tells nothing


def _from_zarr(folder: Path) -> PixelSize | None:
    """Return the scale of the finest level of an OME-Zarr (0.4 or 0.5) whose rows and columns have one unit."""
    try:
        attributes = _zarr_attributes(folder)
        scales = attributes.get("ome", attributes)["multiscales"][0]
        axes = {axis["name"]: (place, axis.get("unit", "")) for place, axis in enumerate(scales["axes"])}
        (row, row_unit), (col, col_unit) = axes["y"], axes["x"]
        changes = [*scales["datasets"][0]["coordinateTransformations"], *scales.get("coordinateTransformations", ())]
        steps = [change["scale"] for change in changes if change["type"] == "scale"]
        sides = [math.prod(float(step[axis]) for step in steps) for axis in (row, col)]
        return _size(sides[0], sides[1], row_unit) if row_unit == col_unit else None
    except _DAMAGED:
        return None  # as of TIFF files


def _zarr_attributes(folder: Path) -> Any:
    """Return the attributes of a zarr group, of version 3 or 2."""
    for name in ("zarr.json", ".zattrs"):
        if (folder / name).is_file():
            values = json.loads((folder / name).read_text(encoding="utf-8"))
            return values["attributes"] if name == "zarr.json" else values
    return {}


def _from_ome(metadata: Mapping[str, Any]) -> PixelSize | None:
    image = metadata["OME"]["Image"]
    pixels = (image[0] if isinstance(image, list) else image)["Pixels"]
    if "PhysicalSizeX" not in pixels or "PhysicalSizeY" not in pixels:
        return None
    unit_x, unit_y = pixels.get("PhysicalSizeXUnit", "µm"), pixels.get("PhysicalSizeYUnit", "µm")
    if unit_x != unit_y:
        return None
    return _size(pixels["PhysicalSizeY"], pixels["PhysicalSizeX"], unit_x)


def _from_tags(file: tifffile.TiffFile) -> PixelSize | None:
    page = file.pages.first
    if "XResolution" not in page.tags or "YResolution" not in page.tags:
        return None
    per_x, per_y = (_ratio(page.tags[name].value) for name in ("XResolution", "YResolution"))
    if file.is_imagej:
        return _size(1 / per_y, 1 / per_x, str((file.imagej_metadata or {}).get("unit", "")))
    if page.resolutionunit != tifffile.RESUNIT.CENTIMETER:
        return None
    row, col = _METRES["cm"] / per_y, _METRES["cm"] / per_x
    unit = "um" if col < _METRES["mm"] else "mm" if col < _METRES["m"] else "m"
    return _size(row / _METRES[unit], col / _METRES[unit], unit)


def _ratio(value: tuple[int, int]) -> float:
    numerator, denominator = value
    return numerator / denominator


def _size(row: Any, col: Any, unit: str) -> PixelSize | None:
    name = known_unit(unit)
    return None if name is None else PixelSize(float(row), float(col), name)
