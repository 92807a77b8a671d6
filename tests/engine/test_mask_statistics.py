from __future__ import annotations

from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from napari_segany.engine import upsampling as module
from napari_segany.engine.image import input_shape
from napari_segany.engine.mask_statistics import mask_statistics, statistics_steps
from napari_segany.engine.upsampling import Upsampling
from napari_segany.generators import drain


def cloudy(seed: int, side: int = 16) -> np.ndarray:
    """Smooth logits with objects and holes; some have nothing above the threshold."""
    smooth = gaussian_filter(np.random.default_rng(seed).standard_normal((side, side)), seed % 4)
    return (3 * smooth / smooth.std() - 3 * (seed % 3)).astype(np.float32)


@settings(deadline=None, max_examples=30)
@given(
    seeds=st.lists(st.integers(0, 10_000), min_size=1, max_size=5),
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90)),
)
def test_masks_together_have_the_statistics_of_each(seeds, shape):
    upsampling = Upsampling((16, 16), input_shape(shape, 64), shape)
    windows = [upsampling.window(cloudy(seed), -1.0) for seed in seeds]
    with mock.patch.object(module, "_PIXELS_AT_A_TIME", 500):  # parts begin and end within masks
        found = drain(statistics_steps(upsampling, windows, 0.0, 1.0))
    assert found == [mask_statistics(upsampling, window, 0.0, 1.0) for window in windows]


def test_an_area_a_box_and_a_stability_score_by_hand():
    logits = np.tile(np.repeat([-8.0, 8.0], 8).astype(np.float32), (16, 1))
    upsampling = Upsampling((16, 16), (64, 64), (64, 64))
    found = mask_statistics(upsampling, upsampling.window(logits, -1.0), 0.0, 1.0)
    # Between the logits of columns 7 and 8, four pixels apart, lie pixels of -6, -2, 2 and 6.
    assert (found.area, found.box) == (32 * 64, (0, 32, 64, 64))
    assert (found.inner, found.outer, found.stability_score) == (32 * 64, 32 * 64, 1.0)
    wide = mask_statistics(upsampling, upsampling.window(logits, -3.0), 0.0, 3.0)
    assert (wide.inner, wide.outer, wide.stability_score) == (31 * 64, 33 * 64, 31 / 33)
