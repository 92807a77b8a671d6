from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from napari_segany.engine import image as module
from napari_segany.engine.image import default_limits, input_shape, model_input

BILINEAR = Image.Resampling.BILINEAR


def pillow_float(channel: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize with Pillow in one go, in floats."""
    return np.asarray(Image.fromarray(channel.astype(np.float32)).resize(shape[::-1], BILINEAR))


def gradient(dtype: type, top: float, shape: tuple[int, int] = (90, 130)) -> np.ndarray:
    return np.linspace(0, top, shape[0] * shape[1]).reshape(shape).astype(dtype)


@pytest.mark.parametrize(
    ("image_shape", "expected"),
    [
        ((400, 600), (171, 256)),
        ((256, 256), (256, 256)),
        ((1, 1), (256, 256)),
        ((1, 20000), (1, 256)),
        ((3, 2), (256, 171)),
    ],
)
def test_the_longer_side_becomes_the_image_size(image_shape, expected):
    assert input_shape(image_shape, 256) == expected


def test_resizes_8_bit_images_exactly_as_the_published_models(parity):
    from skimage.data import coffee

    reference = np.load(parity / "mini.npz")
    image = coffee()
    if hashlib.sha256(image.tobytes()).hexdigest() != str(reference["image_sha256"]):
        pytest.skip("this version of scikit-image decodes the picture to other bytes")
    prepared = model_input(image, 256)
    np.testing.assert_array_equal(prepared.pixels, reference["resized"].astype(np.float32))
    assert prepared.image_shape == (400, 600)
    assert prepared.contrast_limits == (0, 255)


@pytest.mark.parametrize("size", [64, 128, 300])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64, np.float16, np.float32, np.float64])
def test_resizing_is_pillows_bilinear(dtype, size):
    image = (gradient(np.float64, 250) * (1 + np.indices((90, 130)).sum(0) % 2) / 2).astype(dtype)
    limits = (0.0, 250.0)
    prepared = model_input(image, size, limits)
    expected = pillow_float(np.clip(image.astype(np.float64) / 250 * 255, 0, 255), input_shape((90, 130), size))
    assert prepared.pixels.dtype == np.float32
    for channel in range(3):
        np.testing.assert_allclose(prepared.pixels[..., channel], expected, atol=0.01)


def test_strips_change_nothing(monkeypatch):
    images = [
        np.random.default_rng(0).integers(0, 256, (101, 67, 3)).astype(np.uint8),
        np.random.default_rng(1).normal(size=(101, 67)),
    ]
    whole = [model_input(image, 48).pixels for image in images]
    monkeypatch.setattr(module, "_STRIP", 67 * 10)
    for image, expected in zip(images, whole, strict=True):
        np.testing.assert_array_equal(model_input(image, 48).pixels, expected)


def test_12_bit_data_keep_their_grey_levels():
    image = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    pixels = model_input(image, 64, (0, 4095)).pixels
    assert len(np.unique(pixels)) == 4096
    np.testing.assert_allclose(pixels[..., 0], image / 4095 * 255, atol=1e-3)


def test_8_bit_images_with_other_limits_are_not_quantised_either():
    image = np.tile(np.array([100, 101], np.uint8), (8, 8))
    pixels = model_input(image, 33, (100, 101)).pixels
    assert len(np.unique(pixels)) > 10
    assert pixels.min() >= 0
    assert pixels.max() <= 255


def test_bool_becomes_black_and_white():
    image = np.eye(16, dtype=bool)
    pixels = model_input(image, 16).pixels
    np.testing.assert_array_equal(pixels[..., 0], np.eye(16) * 255)


def test_nan_and_infinities_become_the_ends():
    image = np.linspace(0, 1, 64).reshape(8, 8)
    image[0, 0], image[0, 1], image[0, 2] = np.nan, -np.inf, np.inf
    pixels = model_input(image, 8, (0, 1)).pixels[..., 0]
    assert list(pixels[0, :3]) == [0, 0, 255]
    assert np.isfinite(model_input(image, 100).pixels).all()


@pytest.mark.parametrize("value", [0, 7, -3.5, 1e30, -1e308, np.nan, np.inf, 65535])
def test_constant_images_are_black_and_not_a_division_by_zero(value):
    prepared = model_input(np.full((5, 9), value), 32)
    low, high = prepared.contrast_limits
    assert low < high
    assert np.isfinite(prepared.pixels).all()
    assert len(np.unique(prepared.pixels)) == 1


def test_a_few_bright_pixels_on_black_stay_visible():
    image = np.zeros((200, 200), np.uint16)
    image[3, 4] = 900
    assert default_limits(image) == (0, 900)


def test_percentiles_are_those_of_the_finite_values():
    values = np.random.default_rng(0).normal(100, 10, (300, 300))
    expected = np.percentile(values, (0.1, 99.9))
    values = np.pad(values, 10, constant_values=np.nan)
    np.testing.assert_allclose(default_limits(values), expected)


def test_percentiles_of_a_large_image_are_taken_of_a_sample():
    image = np.random.default_rng(0).integers(0, 4096, (3000, 2000)).astype(np.uint16)
    np.testing.assert_allclose(default_limits(image), np.percentile(image, (0.1, 99.9)), atol=4)


def test_one_mapping_for_all_channels():
    image = np.stack([gradient(np.uint16, top) for top in (1000, 2000, 4000)], axis=-1)
    prepared = model_input(image, 130)
    low, high = prepared.contrast_limits
    np.testing.assert_allclose(prepared.pixels, np.clip((image - low) / (high - low) * 255, 0, 255), atol=1e-3)


def test_alpha_is_dropped():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 4)).astype(np.uint8)
    np.testing.assert_array_equal(model_input(image, 64).pixels, model_input(image[..., :3], 64).pixels)


def test_dask_arrays_are_computed():
    dask = pytest.importorskip("dask.array")
    image = gradient(np.uint16, 3000)
    lazy = dask.from_array(image, chunks=(30, 40))
    np.testing.assert_array_equal(model_input(lazy, 64).pixels, model_input(image, 64).pixels)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros(5),
        np.zeros((2, 3, 4, 3)),
        np.zeros((5, 5, 2)),
        np.zeros((7, 5, 5)),
        np.zeros((0, 5)),
        np.zeros((5, 0, 3)),
        np.float64(3),
        np.zeros((5, 5), complex),
        np.zeros((5, 5), object),
        np.array([["a", "b"]]),
        None,
    ],
)
def test_what_is_no_image_is_refused_with_a_remedy(image):
    with pytest.raises(ValueError, match=r"(give at least|[Cc]onvert it|Choose one plane)"):
        model_input(image, 64)


@pytest.mark.parametrize(
    "limits", [(1, 1), (2, 1), (np.nan, 1), (0, np.inf), (1,), (1, 2, 3), 5, "ab", (-1e308, 1.7e308)]
)
def test_limits_that_are_not_increasing_are_refused(limits):
    with pytest.raises(ValueError, match="contrast_limits"):
        model_input(np.zeros((4, 4)), 8, limits)


@settings(deadline=None)
@given(
    hnp.arrays(
        st.sampled_from(
            [np.bool_, np.uint8, np.int16, np.uint32, np.int64, np.uint64, np.float16, np.float32, np.float64]
        ),
        st.tuples(st.integers(1, 12), st.integers(1, 12)),
    )
)
def test_every_real_image_becomes_0_to_255(image):
    with np.errstate(all="raise", under="ignore"):
        prepared = model_input(image, 16)
    assert max(prepared.shape) == 16
    assert prepared.pixels.min() >= 0
    assert prepared.pixels.max() <= 255
    assert prepared.contrast_limits[0] < prepared.contrast_limits[1]
