"""Which bands of which raster a session was made with, and in which intensities. Opening them needs rasterio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_segany.formats.geo_bands import BandChoice, choose_bands, normalised_difference
from napari_segany.formats.geo_pyramid import RasterView
from napari_segany.formats.geo_raster import Raster, read_raster
from napari_segany.formats.geo_stretch import Stretch


@dataclass(frozen=True)
class SavedBands:
    """What a person saw of a raster.

    Attributes
    ----------
    path : str
        The file.
    bands : tuple of int
        Numbers from 1: one, three for red, green and blue, or the two of an index.
    is_index : bool
        Whether the image is (first - second) / (first + second).
    low, high : tuple of float
        The intensities that are black and white, for each channel of the image.
    """

    path: str
    bands: tuple[int, ...]
    is_index: bool
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def of(cls, view: RasterView) -> SavedBands:
        """Return those of a raster as it is shown."""
        path = str(Path(view.raster.path).absolute())
        return cls(path, view.choice.bands, view.choice.is_index, view.stretch.low, view.stretch.high)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SavedBands:
        """Build what `to_dict` returned.

        Raises
        ------
        ValueError
            For other values.
        """
        try:
            low, high = (tuple(float(value) for value in values[name]) for name in ("low", "high"))
            bands = tuple(int(number) for number in values["bands"])
            path, is_index = str(values["path"]), bool(values["is_index"])
        except (KeyError, TypeError, ValueError, OverflowError):
            raise ValueError("the session does not tell which bands of its raster were shown") from None
        if len(bands) not in ((2,) if is_index else (1, 3)) or {len(low), len(high)} != {3 if len(bands) == 3 else 1}:
            raise ValueError(f"the session shows {len(bands)} bands of its raster in {len(low)} intensities")
        return cls(path, bands, is_index, low, high)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @property
    def stretch(self) -> Stretch:
        """The intensities that are black and white."""
        return Stretch(self.low, self.high)

    def choice(self, raster: Raster) -> BandChoice:
        """Return the bands, of a raster that has them.

        Raises
        ------
        ValueError
            For a raster that has them not.
        """
        if self.is_index:
            return normalised_difference(raster, *self.bands)
        return choose_bands(raster, self.bands)

    def view(self) -> RasterView:
        """Open the raster as it was seen.

        Raises
        ------
        GeoMissingError
            Where rasterio is not installed.
        OSError
            Where the file cannot be read.
        ValueError
            For a file that is no raster, or has not these bands.
        """
        raster = read_raster(self.path)
        return RasterView(raster, self.choice(raster), self.stretch)
