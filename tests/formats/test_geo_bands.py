from __future__ import annotations

import numpy as np
import pytest

from napari_segany.formats.geo_bands import BandChoice, choose_bands, normalised_difference
from napari_segany.formats.geo_grid import GeoGrid
from napari_segany.formats.geo_raster import Band, Level, Raster


def raster_of(*bands: tuple[str, str]) -> Raster:
    """A raster that says (name, colour) of its bands."""
    described = tuple(Band(number, "uint16", name, colour) for number, (name, colour) in enumerate(bands, 1))
    return Raster("scene.tif", GeoGrid((5, 5), (1, 0, 0, 0, 1, 0)), described, (Level((5, 5)),), (5, 5))


PLAIN = ("", "undefined")
SENTINEL = raster_of(*((name, "undefined") for name in ("B02", "B03", "B04", "B08", "B8A")))
COLOURS = raster_of(("", "blue"), ("", "green"), ("", "red"), ("", "nir"))
WORDS = raster_of(("Near Infrared", "gray"), ("Red", "undefined"), ("green", "undefined"), ("BLUE", "undefined"))


@pytest.mark.parametrize(
    ("raster", "true", "false", "ndvi"),
    [
        (SENTINEL, (3, 2, 1), (4, 3, 2), (4, 3)),
        (COLOURS, (3, 2, 1), (4, 3, 2), (4, 3)),
        (WORDS, (2, 3, 4), (1, 2, 3), (1, 2)),
    ],
)
def test_presets_find_their_bands(raster, true, false, ndvi):
    assert choose_bands(raster, "true colour").bands == choose_bands(raster).bands == true
    assert choose_bands(raster, "false colour").bands == false
    assert choose_bands(raster, "ndvi") == BandChoice(ndvi, is_index=True, name="ndvi")
    assert choose_bands(raster, "single band").bands == (1,)


def test_a_name_counts_before_the_colour_that_a_driver_gives_to_any_three_bands():
    raster = raster_of(("nir", "red"), ("red", "green"), ("green", "blue"))
    assert choose_bands(raster, "ndvi").bands == (1, 2)
    assert choose_bands(raster, "false colour").bands == (1, 2, 3)


def test_the_default_is_what_a_person_expects():
    assert choose_bands(raster_of(PLAIN)).bands == (1,)
    assert choose_bands(raster_of(PLAIN, PLAIN)).bands == (1,)
    assert choose_bands(raster_of(PLAIN, PLAIN, PLAIN)).bands == (1, 2, 3)
    assert choose_bands(raster_of(PLAIN, PLAIN, PLAIN, ("", "alpha"))).bands == (1, 2, 3)
    assert choose_bands(raster_of(*[PLAIN] * 7)).bands == (1,), "nothing says which of seven are colours"
    assert choose_bands(raster_of(("", "gray"), ("", "alpha"))).bands == (1,)


def test_bands_by_number():
    assert choose_bands(SENTINEL, 4).bands == (4,)
    assert choose_bands(SENTINEL, (5, 1, 2)) == BandChoice((5, 1, 2), name="bands 5, 1, 2")
    assert choose_bands(SENTINEL, (5, 1, 2)).is_rgb


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (6, "no band 6; its bands are 1 to 5"),
        (0, "no band 0"),
        ((1, 2), "2 bands were chosen"),
        ("thermal", "choose one of true colour, false colour, ndvi, single band"),
    ],
)
def test_what_there_is_not_is_refused(wanted, words):
    with pytest.raises(ValueError, match=words):
        choose_bands(SENTINEL, wanted)


def test_a_preset_says_what_it_misses():
    with pytest.raises(ValueError, match=r"does not tell which of its 4 bands is nir, which 'ndvi' needs"):
        choose_bands(raster_of(("", "red"), ("", "green"), ("", "blue"), PLAIN), "ndvi")


def test_an_index_is_the_normalised_difference():
    choice = normalised_difference(SENTINEL, 4, 3)
    pixels = np.array([[[300, 0, 65535, 5]], [[100, 0, 65535, 9]]], np.uint16)
    index, valid = choice.combine(pixels, np.array([[True, True, True, False]]))
    assert index.dtype == np.float32
    np.testing.assert_array_equal(index, [[[0.5, np.nan, 0, np.nan]]])
    assert valid.tolist() == [[True, False, True, False]], "nothing divided by nothing is no index"
