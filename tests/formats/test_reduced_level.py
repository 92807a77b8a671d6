"""A reduction of a large image that is sliced like an array."""

from __future__ import annotations

import numpy as np
import pytest

from napari_segany.formats.lazy_image import LazyImage, lazy_image
from napari_segany.formats.reduced_level import ReducedLevel

GREY = np.random.default_rng(0).integers(0, 4096, (70, 50)).astype(np.uint16)
RGBA = np.random.default_rng(0).integers(0, 255, (70, 50, 4)).astype(np.uint8)


@pytest.mark.parametrize("pixels", [GREY, RGBA], ids=["grey", "colours"])
@pytest.mark.parametrize("factor", [1, 4])
def test_it_is_sliced_like_the_array_of_means(pixels, factor):
    level = ReducedLevel(lazy_image(pixels), factor)
    values = pixels[..., :3].astype(float) if pixels.ndim == 3 else pixels.astype(float)
    margins = [(0, -70 % factor), (0, -50 % factor), *[(0, 0)] * (pixels.ndim - 2)]
    padded = np.pad(values, margins, constant_values=np.nan)
    blocks = padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor, *padded.shape[2:])
    whole = np.rint(np.nanmean(blocks, axis=(1, 3))).astype(pixels.dtype)
    assert (level.shape, level.dtype, level.ndim, level.size) == (whole.shape, whole.dtype, whole.ndim, whole.size)
    np.testing.assert_array_equal(np.asarray(level), whole)
    for place in (
        np.s_[2:9, 3:7], np.s_[5], np.s_[-1, 2], np.s_[::3, 1:-1:2], np.s_[::-1, 4::-2], np.s_[...], np.s_[..., 1],
        np.s_[3:3, :], np.s_[0:0],
    ):  # fmt: skip
        np.testing.assert_array_equal(level[place], whole[place])


def test_only_the_part_is_read():
    class Counting:
        shape, dtype, read = (1000, 1000), np.dtype(np.uint8), 0

        def __getitem__(self, place):
            part = np.zeros(self.shape, self.dtype)[place]
            self.read += part.size
            return part

    array = Counting()
    level = ReducedLevel(lazy_image(array), 2)
    assert level[10:20, 10:30].shape == (10, 20)
    assert array.read == 4 * 200
    assert level.pixels_read == 2
    assert LazyImage((ReducedLevel(lazy_image(array), 1), level)).pixels_read(4) == 4, (
        "what is read of the file counts"
    )
