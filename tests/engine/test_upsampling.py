from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_segany.engine.image import input_shape
from napari_segany.engine.mask_statistics import mask_statistics
from napari_segany.engine.upsampling import Upsampling
from napari_segany.model import Sam


def full_size(logits: np.ndarray, model_size: int, shape: tuple[int, int]) -> np.ndarray:
    """Both bilinear steps over every pixel, by the model itself."""
    low = torch.from_numpy(logits)[None, None]
    return Sam.upscale(None, low, input_shape(shape, model_size), shape)[0, 0].numpy()


def blurred(seed: int, low: int) -> np.ndarray:
    """Smooth logits with objects, holes and values around the thresholds."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).standard_normal((low, low))
    smooth = gaussian_filter(noise, seed % 4)
    return (3 * smooth / smooth.std() - seed % 3).astype(np.float32)


@settings(deadline=None)
@given(
    seed=st.integers(0, 10_000),
    low=st.sampled_from([8, 16, 32]),
    shape=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    offset=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
)
def test_blocks_tell_the_same_as_every_pixel(seed, low, shape, offset):
    logits, model_size = blurred(seed, low), 4 * low
    full = full_size(logits, model_size, shape)
    upsampling = Upsampling((low, low), input_shape(shape, model_size), shape)
    window = upsampling.window(logits, -offset)
    found = mask_statistics(upsampling, window, 0.0, offset)
    # Pixels nearer to a threshold than rounding may fall on either side.
    for count, threshold in ((found.area, 0.0), (found.inner, offset), (found.outer, -offset)):
        assert (full > threshold + 1e-4).sum() <= count <= (full > threshold - 1e-4).sum()
    mask = np.zeros(shape, bool)
    top, left, bottom, right = found.box
    mask[top:bottom, left:right] = upsampling.mask(window, 0.0, found.box)
    assert mask.sum() == found.area
    assert not (mask ^ (full > 0))[np.abs(full) > 1e-4].any()
    if found.area:
        rows, cols = np.nonzero(mask)
        assert found.box == (rows.min(), cols.min(), rows.max() + 1, cols.max() + 1)


@settings(deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    least=st.sampled_from([-np.inf, 1.0]),
)
def test_no_pixel_of_a_block_is_beyond_its_bounds(seed, shape, least):
    logits = blurred(seed, 16)
    full = full_size(logits, 64, shape)
    upsampling = Upsampling((16, 16), input_shape(shape, 64), shape)
    blocks = upsampling.blocks(upsampling.window(logits, least))
    for row, below in enumerate(range(blocks.rows.start, blocks.rows.stop)):
        top, bottom = upsampling.rows.edges[below : below + 2]
        for col, beside in enumerate(range(blocks.cols.start, blocks.cols.stop)):
            left, right = upsampling.cols.edges[beside : beside + 2]
            assert blocks.lowest[row, col] <= full[top:bottom, left:right].min() + 1e-4
            assert blocks.highest[row, col] >= full[top:bottom, left:right].max() - 1e-4


def test_bounds_are_those_of_the_pixels_and_not_of_the_logits_around_them():
    """Values rise by 1 for each logit; of four pixels of the input between two logits the last is 7/8 of the way."""
    ramp = np.broadcast_to(np.arange(8, dtype=np.float32), (8, 8))
    upsampling = Upsampling((8, 8), (32, 32), (320, 320))
    blocks = upsampling.blocks(upsampling.window(ramp, -np.inf))
    middle = upsampling.cols.first.searchsorted(4)
    assert np.unique(blocks.lowest[:, middle]) == [4.125]
    assert np.unique(blocks.highest[:, middle]) == [5.125]


def test_a_window_holds_the_object_and_little_more():
    logits = np.full((64, 64), -9.0, np.float32)
    logits[10:14, 40:45] = 9
    window = Upsampling((64, 64), (256, 256), (1000, 1000)).window(logits, -1.0)
    assert window.values.shape <= (12, 13)
    assert window.values.size < 200


def test_nothing_above_the_threshold_is_an_empty_mask():
    upsampling = Upsampling((16, 16), (64, 48), (100, 75))
    window = upsampling.window(np.full((16, 16), -5, np.float32), -1.0)
    found = mask_statistics(upsampling, window, 0.0, 1.0)
    assert (found.area, found.outer, found.box, found.stability_score) == (0, 0, (0, 0, 0, 0), 0.0)
    assert upsampling.mask(window, 0.0, found.box).size == 0


def test_everything_above_the_threshold_is_the_whole_image():
    upsampling = Upsampling((16, 16), (64, 48), (100, 75))
    window = upsampling.window(np.full((16, 16), 5, np.float32), -1.0)
    found = mask_statistics(upsampling, window, 0.0, 1.0)
    assert (found.area, found.box, found.stability_score) == (7500, (0, 0, 100, 75), 1.0)
    assert upsampling.mask(window, 0.0, found.box).all()


def test_the_stability_score_is_that_of_a_ramp_by_hand():
    # From -3.5 to 3.5 in steps of one along the columns, one logit for each pixel of the model's input times four.
    ramp = np.tile(np.arange(-3.5, 4.5, dtype=np.float32), (8, 1))
    upsampling = Upsampling((8, 8), (32, 32), (32, 32))
    found = mask_statistics(upsampling, upsampling.window(ramp, -1.0), 0.0, 1.0)
    # One logit is four pixels: 16 columns above 0, 12 above 1, 20 above -1.
    assert (found.area, found.inner, found.outer) == (32 * 16, 32 * 12, 32 * 20)
    assert found.stability_score == pytest.approx(0.6)
