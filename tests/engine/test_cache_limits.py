from __future__ import annotations

import numpy as np
import pytest

from napari_segany.engine import cache_limits as module
from napari_segany.engine.cache_limits import layer_limits, plane_limits_steps
from napari_segany.engine.progress import drain
from napari_segany.formats.lazy_image import LazyImage

RNG = np.random.default_rng(0)
HOLES = np.where(RNG.random((30, 40)) < 0.2, np.nan, RNG.normal(5, 2, (30, 40))).astype(np.float32)
INFINITE = np.where(RNG.random((30, 40)) < 0.2, np.inf, HOLES)


@pytest.mark.parametrize(
    "image",
    [
        RNG.integers(3, 200, (30, 40)).astype(np.uint8),
        RNG.integers(100, 4000, (30, 40)).astype(np.uint16),
        RNG.integers(-50, 4000, (5, 30, 40)).astype(np.int16),
        RNG.normal(size=(2, 3, 30, 40)),
        HOLES,
        INFINITE,
        np.full((30, 40), np.nan),
        np.full((30, 40), 7, np.uint16),
        np.full((30, 40), -7.0),
        RNG.random((30, 40)) < 0.5,
        RNG.integers(0, 9, (40, 50, 3)).astype(np.uint8),
        RNG.integers(100, 4000, (45, 500, 500)).astype(np.uint16) + np.arange(45, dtype=np.uint16)[:, None, None],
        RNG.integers(0, 1000, (2, 3300, 3301)).astype(np.uint16),
    ],
    ids=[
        "8 bit", "16 bit", "stack", "4-D", "nan", "inf", "no data", "flat", "flat below 0", "bool", "rgb",
        "large stack", "large planes",
    ],
)  # fmt: skip
def test_they_are_those_of_a_new_layer(image):
    from napari.layers import Image

    has_colours = image.shape[-1] == 3
    limits = layer_limits(image, has_colours=has_colours)
    layer = Image(image)
    assert layer.rgb == has_colours
    if has_colours:
        assert limits is None
    else:
        assert limits == tuple(layer.contrast_limits)


def test_of_large_stacks_three_planes_count(monkeypatch):
    monkeypatch.setattr(module, "_LARGE", 10)
    stack = np.arange(5 * 4 * 4, dtype=np.uint16).reshape(5, 4, 4)
    stack[1] = 60_000
    assert layer_limits(stack, has_colours=False) == (0, 79)


def halved(pixels):
    """A coarser level as people write it: means of 2 x 2 pixels, whose range is smaller."""
    rows, cols = (side // 2 for side in pixels.shape)
    return pixels.reshape(rows, 2, cols, 2).mean(axis=(1, 3)).astype(pixels.dtype)


@pytest.mark.parametrize(
    "levels",
    [
        [NOISE := RNG.integers(100, 4000, (64, 80)).astype(np.uint16), halved(NOISE)],
        [FLOATS := RNG.normal(5, 2, (64, 80)).astype(np.float32), halved(FLOATS), halved(halved(FLOATS))],
        [np.pad(HOLES, ((0, 30), (0, 40)), constant_values=3), HOLES],
        [RNG.integers(0, 99, (64, 80)).astype(np.uint16), np.full((32, 40), 7, np.uint16)],
        [RNG.integers(3, 200, (64, 80)).astype(np.uint8), np.zeros((32, 40), np.uint8)],
        [NOISE],
        [RNG.integers(0, 60_000, (3300, 3301)).astype(np.uint16)],
    ],
    ids=["16 bit", "float", "nan", "flat", "8 bit", "one level", "one large level"],
)
def test_of_levels_they_are_those_of_a_new_multiscale_layer(levels):
    import dask.array
    from napari.layers import Image

    arrays = [dask.array.from_array(level) for level in levels]
    layer = Image(arrays, multiscale=True) if len(arrays) > 1 else Image(arrays[0])
    assert layer.multiscale == (len(levels) > 1)
    assert drain(plane_limits_steps(LazyImage(tuple(levels)), with_levels=True)) == tuple(layer.contrast_limits)


def test_without_levels_the_finest_counts(monkeypatch):
    """Napari opens a pyramidal TIFF without its coarser levels."""
    monkeypatch.setattr(module, "_READ_SIDE", 16)
    found = drain(plane_limits_steps(LazyImage((NOISE, halved(NOISE))), with_levels=False))
    assert found == layer_limits(NOISE, has_colours=False) == (NOISE.min(), NOISE.max())


def test_only_the_coarsest_level_is_read(tiles):
    arrays = [tiles.CountingArray(NOISE), tiles.CountingArray(halved(NOISE))]
    drain(plane_limits_steps(LazyImage(tuple(arrays)), with_levels=True))
    assert arrays[0].read == []
