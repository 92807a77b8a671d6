"""Percentiles of a whole raster, with numpy's as judge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

rasterio = pytest.importorskip("rasterio")

from napari_segany.formats import geo_windows  # noqa: E402
from napari_segany.formats.geo_bands import choose_bands, normalised_difference  # noqa: E402
from napari_segany.formats.geo_raster import read_raster  # noqa: E402
from napari_segany.formats.geo_stretch import Stretch, as_it_is, measure_stretch  # noqa: E402

TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]


def finished(steps):
    """Return what a generator returns, and what it yielded."""
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            return end.value, seen


def random_pixels(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return (rng.normal(0, 1, shape) * 10.0 ** rng.integers(-20, 20, shape)).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("dtype", TYPES)
def test_percentiles_are_exact_for_every_type(write_raster, monkeypatch, dtype):
    monkeypatch.setattr(geo_windows, "_PIXELS", 1500)
    pixels = random_pixels(dtype, (3, 71, 53))
    raster = read_raster(write_raster(pixels, nodata=1))
    valid = (pixels != 1).all(axis=0)
    stretch, seen = finished(measure_stretch(raster, choose_bands(raster, (2, 1, 3)), percentiles=(2, 98)))
    expected = np.percentile(pixels[[1, 0, 2]][:, valid].astype(np.float32 if dtype == "float64" else dtype), [2, 98],
                             axis=1, method="lower")  # fmt: skip
    np.testing.assert_array_equal(stretch.low, expected[0].astype(float))
    np.testing.assert_array_equal(stretch.high, expected[1].astype(float))
    assert len(seen) >= 2, "window by window"
    assert [done for done, _ in seen] == list(range(1, seen[0][1] + 1))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.floats(width=32)),
    st.tuples(st.integers(0, 49), st.integers(50, 100)),
)
def test_percentiles_of_any_numbers(write_raster, pixels, percentiles):
    raster = read_raster(write_raster(pixels[None]))
    finite = pixels[np.isfinite(pixels)]
    steps = measure_stretch(raster, choose_bands(raster), percentiles=percentiles)
    if not finite.size:
        with pytest.raises(ValueError, match="no valid pixel"):
            finished(steps)
        return
    stretch, _ = finished(steps)
    low, high = np.percentile(finite, percentiles, method="lower").astype(float)
    assert stretch.low[0] == low
    assert stretch.high[0] == high or (low == high and stretch.high[0] > low)


def test_nodata_does_not_count(write_raster):
    pixels = np.full((1, 100, 100), -32768, np.int16)
    pixels[0, 40:60, 40:60] = np.arange(400).reshape(20, 20)
    raster = read_raster(write_raster(pixels, nodata=-32768))
    stretch, _ = finished(measure_stretch(raster, choose_bands(raster), percentiles=(0, 100)))
    assert (stretch.low, stretch.high) == ((0,), (399,))


def test_an_index_is_stretched_as_it_is_seen(write_raster):
    pixels = np.random.default_rng(0).integers(1, 2000, (2, 40, 50)).astype(np.uint16)
    raster = read_raster(write_raster(pixels))
    stretch, _ = finished(measure_stretch(raster, normalised_difference(raster, 1, 2), percentiles=(5, 95)))
    first, second = pixels.astype(float)
    expected = np.percentile((first - second) / (first + second), [5, 95], method="lower")
    np.testing.assert_allclose([stretch.low[0], stretch.high[0]], expected, rtol=1e-6)


def test_an_overview_can_be_measured_instead(write_raster):
    pixels = np.random.default_rng(0).integers(0, 4000, (1, 200, 2200)).astype(np.uint16)
    path = write_raster(pixels, overviews=(2,))
    raster = read_raster(path)
    stretch, _ = finished(measure_stretch(raster, choose_bands(raster), level=1))
    with rasterio.open(path, OVERVIEW_LEVEL=0) as overview:
        expected = np.percentile(overview.read(1), [2, 98], method="lower")
    assert [stretch.low[0], stretch.high[0]] == expected.tolist()


def test_the_stretch_maps_its_ends_and_blackens_nodata():
    stretch = Stretch((100.0, 0.0), (300.0, 10.0))
    channels = np.array([[[0, 100, 150, 300, 9000]], [[-1, 0, 4, 10, 11]]], np.int16)
    valid = np.array([[True, True, True, True, True]])
    assert stretch.apply(channels, valid).tolist() == [[[0, 0, 64, 255, 255]], [[0, 0, 102, 255, 255]]]
    assert not stretch.apply(channels, ~valid).any()


def test_images_of_8_bits_stay_as_they_are(write_raster):
    pixels = random_pixels("uint8", (3, 9, 8))
    raster = read_raster(write_raster(pixels))
    stretch = as_it_is(raster, choose_bands(raster))
    assert stretch is not None
    np.testing.assert_array_equal(stretch.apply(pixels, np.ones((9, 8), bool)), pixels)
    assert as_it_is(raster, normalised_difference(raster, 1, 2)) is None
    wide = read_raster(write_raster(pixels.astype(np.uint16), name="wide.tif"))
    assert as_it_is(wide, choose_bands(wide)) is None


@pytest.mark.parametrize("percentiles", [(2, 2), (-1, 50), (50, 101), (98, 2)])
def test_percentiles_increase(write_raster, percentiles):
    raster = read_raster(write_raster(np.ones((1, 4, 4), np.uint8)))
    with pytest.raises(ValueError, match="percentiles"):
        finished(measure_stretch(raster, choose_bands(raster), percentiles=percentiles))
