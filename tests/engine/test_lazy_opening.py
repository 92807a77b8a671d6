"""Large images as levels: coarse ones in memory, fine ones on demand, with what `segany embed` reads at each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_segany.engine import lazy_opening
from napari_segany.engine.cache_limits import plane_limits_steps
from napari_segany.engine.lazy_opening import opening_steps
from napari_segany.engine.progress import drain
from napari_segany.formats.lazy_image import LazyImage, lazy_image
from napari_segany.formats.reduced_level import ReducedLevel

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(3, 4000, (900, 700)).astype(np.uint16)


def pixels_read(array) -> int:
    return sum(int(np.prod(shape)) for shape in array.read)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(lazy_opening, "KEPT_SIDE", 300)
    monkeypatch.setattr(lazy_opening, "_BAND", 100_000)


@pytest.mark.parametrize("pixels", [PIXELS, RNG.integers(0, 255, (900, 700, 3)).astype(np.uint8), PIXELS / 7])
def test_levels_are_what_is_read_at_each_reduction(pixels):
    image = lazy_image(pixels)
    opened = drain(opening_steps(image, with_levels=False))
    assert [max(level.shape[:2]) for level in opened.levels] == [900, 450, 225, 113]
    assert [isinstance(level, ReducedLevel) for level in opened.levels] == [True, True, False, False]
    for number, level in enumerate(opened.levels):
        factor = 1 << number
        np.testing.assert_array_equal(np.asarray(level), image.read((0, 0, *image.reduced_shape(factor)), factor))
    limits = None if pixels.ndim == 3 else drain(plane_limits_steps(image, with_levels=False))
    assert opened.contrast_limits == limits


def test_the_image_is_read_once(tiles):
    array = tiles.CountingArray(PIXELS)
    opened = drain(opening_steps(lazy_image(array), with_levels=False))
    assert pixels_read(array) == PIXELS.size
    assert opened.contrast_limits == (PIXELS.min(), PIXELS.max())


@pytest.mark.parametrize("with_levels", [False, True])
def test_levels_of_the_file_are_taken(tiles, with_levels):
    finest, coarse = tiles.CountingArray(PIXELS), np.ascontiguousarray(PIXELS[::2, ::2])
    image = LazyImage((finest, coarse))
    opened = drain(opening_steps(image, with_levels=with_levels))
    assert pixels_read(finest) == (0 if with_levels else PIXELS.size), "for the limits alone"
    np.testing.assert_array_equal(np.asarray(opened.levels[1]), coarse)
    np.testing.assert_array_equal(opened.levels[2], LazyImage((coarse,)).read((0, 0, 225, 175), 2))
    limits = coarse if with_levels else PIXELS
    assert opened.contrast_limits == (limits.min(), limits.max())


def test_an_image_that_is_not_large_is_read():
    opened = drain(opening_steps(lazy_image(PIXELS[:200, :300]), with_levels=False))
    assert len(opened.levels) == 1
    np.testing.assert_array_equal(opened.levels[0], PIXELS[:200, :300])


_MEASURE = """
import sys
from napari_segany.engine.lazy_opening import opening_steps
from napari_segany.engine.progress import drain
from napari_segany.formats.lazy_files import open_lazy

def highest():  # what resource tells begins with that of the parent
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024

open_lazy(sys.argv[1]).read((0, 0, 1024, 1024))
before = highest()
opened = drain(opening_steps(open_lazy(sys.argv[1]), with_levels=False))
window = opened.levels[0][9_900:10_100, 9_900:10_100]
print(highest() - before, int(window.sum()), max(opened.levels[-1].shape))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells the highest memory on Linux")
def test_memory_stays_small_for_a_tiff_of_20_000_pixels(tmp_path):
    side, tile, path = 20_000, 1024, tmp_path / "large.tif"
    count = -(-side // tile)

    def tiles():
        for number in range(count * count):
            yield np.full((tile, tile), number % 7, np.uint8)

    tifffile.imwrite(path, tiles(), shape=(side, side), dtype=np.uint8, tile=(tile, tile), compression="zlib")
    told = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(path)], check=True, capture_output=True, text=True, timeout=300
    ).stdout.split()
    megabytes, window, coarsest = (int(number) for number in told)
    assert megabytes < side * side / 1e6 / 3, "of 400 MB"
    with tifffile.TiffFile(path) as file:
        np.testing.assert_array_equal(file.pages.first.shape, (side, side))
    rows, cols = np.indices((200, 200)) + 9_900
    assert window == ((rows // tile * count + cols // tile) % 7).sum()
    assert coarsest <= 128
