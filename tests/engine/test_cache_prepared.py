"""What a folder of prepared embeddings holds of an image, and the sentence where that does not fit."""

from __future__ import annotations

import numpy as np
import pytest

from napari_segany.engine import tiling
from napari_segany.engine.batch.sources import ArraySource, BatchImage, FileSource, ImageContent
from napari_segany.engine.cache import key_steps
from napari_segany.engine.cache_disk import DiskCache
from napari_segany.engine.cache_precompute import embed_steps
from napari_segany.engine.cache_prepared import image_preparation_steps, preparation, window_preparation_steps
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import drain
from napari_segany.engine.tiled_embedding import TiledEmbedding
from napari_segany.engine.tiling import tile_plan
from napari_segany.formats.lazy_image import lazy_image

RNG = np.random.default_rng(0)
SMALL = RNG.integers(100, 4000, (30, 50)).astype(np.uint16)
LARGE = RNG.integers(100, 4000, (300, 200)).astype(np.uint16)
LARGE[:128, :128] = 100  # its first window is blank, as in slides


@pytest.fixture
def folder(tmp_path, predictor) -> DiskCache:
    """A small image for one pair of limits."""
    image = BatchImage(ArraySource(ImageContent(SMALL), "small"), "small", "small")
    drain(embed_steps([image], tmp_path / "out", predictor, (0, 4095)))
    return DiskCache(tmp_path / "out")


@pytest.fixture
def large_folder(tmp_path, predictor, monkeypatch) -> DiskCache:
    """All windows of a large one."""
    monkeypatch.setattr(tiling, "LARGE_SIDE", 100)
    path = tmp_path / "large.npy"
    np.save(path, LARGE)
    image = BatchImage(FileSource(path, path.name), path.name, path.name)
    drain(embed_steps([image], tmp_path / "out", predictor, (100, 3999)))
    return DiskCache(tmp_path / "out")


def key_of(pixels, predictor, limits):
    return drain(key_steps(predictor, pixels, limits))[0]


def of_windows(folder, predictor, pixels, limits):
    image = lazy_image(pixels)
    plan = tile_plan(image.shape, predictor.sam.config.image_size)
    return drain(window_preparation_steps(folder, predictor, image, plan, limits))


def test_what_is_there_fits(folder, predictor):
    found = preparation(folder, key_of(SMALL, predictor, (0, 4095)))
    assert found.fits
    assert found.reason == ""


def test_other_limits_are_named(folder, predictor):
    found = preparation(folder, key_of(SMALL, predictor, (206, 3895)))
    assert not found.fits
    assert found.other_limits == ((0, 4095),)
    assert found.reason == "The image was prepared with the contrast limits 0 to 4095; here they are 206 to 3895."


def test_another_model_is_named(folder, predictor):
    other = Predictor(predictor.sam, device="cpu")
    other._digest = "another model"
    found = preparation(folder, key_of(SMALL, other, (0, 4095)))
    assert found.other_limits == ()
    assert found.reason.startswith(f"The image was prepared for the model {predictor.name}, ")


def test_another_precision_is_no_other_model(folder, predictor):
    quick = Predictor(predictor.sam, device="cpu", precision="bfloat16")
    key = key_of(SMALL, quick, (0, 4095))
    assert not preparation(folder, key).fits
    assert preparation(folder, key, ("bfloat16", "float32")).fits
    assert preparation(folder, key_of(SMALL, quick, (0, 9))).other_limits == ((0, 4095),)


def test_another_image_is_not_there(folder, predictor):
    for pixels in (SMALL[::-1], SMALL.astype(np.float32)):
        found = preparation(folder, key_of(pixels, predictor, (0, 4095)))
        assert found.reason == "The folder of prepared embeddings holds nothing of this image."
    (folder.folder / "manifest.json").unlink()
    assert preparation(folder, key_of(SMALL, predictor, (0, 4095))).fits, "the manifest is not needed"
    assert not preparation(folder, key_of(SMALL, predictor, (0, 9))).fits


def test_windows_of_a_large_image(large_folder, predictor):
    assert of_windows(large_folder, predictor, LARGE, (100, 3999)).fits
    found = of_windows(large_folder, predictor, LARGE, (206, 3895))
    assert not found.fits
    assert found.other_limits == ((100, 3999),)
    other = LARGE.copy()
    other[128:] += 1  # the blank corner is the same
    assert of_windows(large_folder, predictor, other, (0, 9)).others == ()


def test_an_image_of_any_size_is_looked_for(folder, large_folder, predictor):
    for image, limits in ((SMALL, (0, 4095)), (lazy_image(LARGE), (100, 3999))):
        assert drain(image_preparation_steps(large_folder, predictor, image, limits)).fits
        assert drain(image_preparation_steps(large_folder, predictor, image)).other_limits == (limits,)


def test_an_unfinished_folder_serves_with_the_windows_that_it_has(large_folder, predictor):
    files = sorted(large_folder.folder.glob("*.zarr.zip"))
    first = large_folder.path(key_of(LARGE[:128, :128], predictor, (100, 3999)))
    assert first in files
    for path in files:
        if path != first:
            path.unlink()
    assert of_windows(large_folder, predictor, LARGE, (100, 3999)).fits


def test_a_large_image_that_cannot_be_read_is_not_judged(large_folder, predictor, tiles):
    class Broken(tiles.CountingArray):
        def __getitem__(self, place):
            raise RuntimeError("a chunk is gone")

    assert of_windows(large_folder, predictor, Broken(LARGE), (0, 9)).fits


def test_without_prepared_windows_a_prompt_gets_one_around_itself(large_folder, predictor):
    image = lazy_image(LARGE)
    plan = tile_plan(image.shape, predictor.sam.config.image_size)
    grid = [window for _, _, window in plan.windows(0)]
    extent = (100, 60, 100, 60)  # near the lower edge of the first window
    for limits, is_of_grid in (((100, 3999), True), ((0, 9), False)):
        found = of_windows(large_folder, predictor, LARGE, limits)
        big = TiledEmbedding(image, plan, limits, prepared=found)
        assert (big.window_for(extent, 0) in grid) == is_of_grid
