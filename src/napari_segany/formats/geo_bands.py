"""Which bands of a raster become the image that a person and the model see. Knows numpy only.

Presets find their bands by what the file says of them: GDAL's colour interpretation, the bands' names ("red",
"near infrared"), or the names of Sentinel-2's bands ("B04"). Other sensors number their bands differently, so nothing
is guessed from a number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.geo_raster import Band, Raster

PRESETS = {"true colour": ("red", "green", "blue"), "false colour": ("nir", "red", "green"), "ndvi": ("nir", "red")}
"""What a preset shows; "ndvi" is (nir - red) / (nir + red) (Rouse et al. 1974), the others are red, green, blue."""

_NAMES = {
    "red": r"red|b04|b0?4_red",
    "green": r"green|b03|b0?3_green",
    "blue": r"blue|b02|b0?2_blue",
    "nir": r"nir|nir1|near[ _-]?infra[ _-]?red|b08|b0?8_nir",
}


@dataclass(frozen=True)
class BandChoice:
    """The bands that make an image; build it with `choose_bands` or `normalised_difference`.

    Attributes
    ----------
    bands : tuple of int
        Numbers from 1: one for grey, three for red, green and blue, two for an index.
    is_index : bool
        Whether the image is (first - second) / (first + second), from -1 to 1.
    name : str
        What to call it.
    """

    bands: tuple[int, ...]
    is_index: bool = False
    name: str = ""

    @property
    def is_rgb(self) -> bool:
        """Whether the image has three channels."""
        return len(self.bands) == 3

    def combine(
        self, pixels: NDArray[np.generic], valid: NDArray[np.bool_]
    ) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Make the channels of the image of the bands' pixels.

        Parameters
        ----------
        pixels : numpy.ndarray
            (C, H, W), the chosen bands.
        valid : numpy.ndarray
            (H, W) bool, False at nodata.

        Returns
        -------
        channels : numpy.ndarray
            (C, H, W) in the type of the pixels, or (1, H, W) float32 for an index.
        valid : numpy.ndarray
            (H, W) bool; an index is also invalid where its bands add up to 0.
        """
        if not self.is_index:
            return pixels, valid
        first, second = pixels.astype(np.float64)
        total = first + second
        defined = valid & (total != 0) & np.isfinite(total)
        index = np.divide(first - second, total, out=np.full(total.shape, np.nan), where=defined)
        return index.astype(np.float32)[None], defined


ShownBands = Sequence[int] | BandChoice
"""Numbers from 1, or a choice, which knows besides where an index of its bands is undefined."""


def choose_bands(raster: Raster, wanted: str | int | Sequence[int] | None = None) -> BandChoice:
    """Return the bands of a preset, or of numbers.

    Parameters
    ----------
    raster : Raster
        The raster.
    wanted : str, int or sequence of int, optional
        "true colour", "false colour", "ndvi" or "single band" (the first); a number from 1; or three numbers for red,
        green and blue. By default true colour where the file tells it or has three bands besides the transparency,
        otherwise the first band.

    Raises
    ------
    ValueError
        For bands that the raster does not have, or a preset whose bands it does not tell.
    """
    if wanted is None:
        return _default(raster)
    if isinstance(wanted, str):
        return _preset(raster, wanted)
    numbers = (wanted,) if isinstance(wanted, int) else tuple(wanted)
    if len(numbers) not in (1, 3):
        raise ValueError(f"{len(numbers)} bands were chosen; give one, or three for red, green and blue")
    return BandChoice(_checked(raster, numbers), name=_listed(numbers))


def bands_from(text: str) -> str | int | tuple[int, ...] | None:
    """Return what a person means by "true-colour", "4", "4,3,2", or nothing, as `choose_bands` takes it.

    Raises
    ------
    ValueError
        For something else.
    """
    text = text.strip().lower().replace("-", " ")
    if not text[:1].isdigit():
        if text and text not in (*PRESETS, "single band"):
            raise ValueError(
                f"{text!r} is neither a preset ({', '.join([*PRESETS, 'single band'])}) nor one number or three, "
                "separated by commas, as in 4,3,2"
            )
        return text or None
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{text!r} is neither a preset nor one number or three, as in 4,3,2") from None
    return numbers[0] if len(numbers) == 1 else numbers


def normalised_difference(raster: Raster, first: int, second: int) -> BandChoice:
    """Return the index (first - second) / (first + second) of two bands by their numbers: NDVI, NDWI, ....

    Raises
    ------
    ValueError
        For bands that the raster does not have.
    """
    numbers = _checked(raster, (first, second))
    return BandChoice(numbers, is_index=True, name=f"({first} - {second}) / ({first} + {second})")


def _default(raster: Raster) -> BandChoice:
    found = [_find(raster, colour) for colour in PRESETS["true colour"]]
    told = [number for number in found if number is not None]
    if len(told) == 3:
        return BandChoice(tuple(told), name="true colour")
    opaque = [band for band in raster.bands if band.colour != "alpha"]
    numbers = tuple(band.number for band in opaque[:3]) if len(opaque) == 3 else (opaque or raster.bands)[0].number
    return choose_bands(raster, numbers)


def _preset(raster: Raster, name: str) -> BandChoice:
    if name == "single band":
        return BandChoice((1,), name=name)
    if name not in PRESETS:
        raise ValueError(f"the preset {name!r} is unknown; choose one of {', '.join([*PRESETS, 'single band'])}")
    found = {colour: _find(raster, colour) for colour in PRESETS[name]}
    missing = [colour for colour, number in found.items() if number is None]
    if missing:
        raise ValueError(
            f"{raster.name} does not tell which of its {len(raster.bands)} bands is {' and '.join(missing)}, "
            f"which {name!r} needs; choose the bands by their numbers, from 1"
        )
    return BandChoice(tuple(number for number in found.values() if number), is_index=name == "ndvi", name=name)


def _find(raster: Raster, colour: str) -> int | None:
    by_colour = [band.number for band in raster.bands if band.colour == colour]
    by_name = [band.number for band in raster.bands if _is_called(band, colour)]
    # A name says more: drivers call the first three of many bands red, green and blue whatever they are.
    for numbers in (by_name, by_colour):
        if numbers:
            return numbers[0]
    return None


def _is_called(band: Band, colour: str) -> bool:
    return re.fullmatch(_NAMES[colour], band.description.strip().lower()) is not None


def _checked(raster: Raster, numbers: tuple[int, ...]) -> tuple[int, ...]:
    unknown = [number for number in numbers if not 1 <= number <= len(raster.bands)]
    if unknown:
        raise ValueError(f"{raster.name} has no band {unknown[0]}; its bands are 1 to {len(raster.bands)}")
    return tuple(int(number) for number in numbers)


def _listed(numbers: Sequence[int]) -> str:
    return f"band{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
