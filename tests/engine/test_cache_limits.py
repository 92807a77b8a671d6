from __future__ import annotations

import numpy as np
import pytest

from napari_segany.engine import cache_limits as module
from napari_segany.engine.cache_limits import layer_limits

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
