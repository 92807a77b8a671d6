"""What prompts are asked about: read where it is small, opened where it is large."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr

from napari_segany.engine import prompted_image
from napari_segany.engine.prompted_image import file_to_prompt, raster_to_prompt
from napari_segany.formats.geo_view import view_steps
from napari_segany.formats.lazy_image import LazyImage

SMALL, LARGE = (50, 70), (4100, 20)


@pytest.mark.parametrize("shape", [SMALL, LARGE])
@pytest.mark.parametrize("kind", ["tif", "npy", "zarr"])
def test_a_file_is_read_or_opened_by_its_size(tmp_path, shape, kind):
    pixels = np.random.default_rng(0).integers(0, 4000, shape).astype(np.uint16)
    path = tmp_path / f"a.{kind}"
    {"tif": tifffile.imwrite, "npy": np.save, "zarr": zarr.save_array}[kind](path, pixels)
    image = file_to_prompt(path, contrast_limits=(5, 90))
    assert isinstance(image.pixels, LazyImage) == (shape == LARGE)
    assert (image.shape, image.contrast_limits, image.view) == (shape, (5, 90), None)
    found = image.pixels.read((0, 0, *shape)) if shape == LARGE else image.pixels
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("shape", [SMALL, LARGE])
def test_of_a_stack_in_a_zarr_the_plane_alone_is_taken(tmp_path, shape):
    pixels = np.random.default_rng(0).integers(0, 4000, (3, *shape)).astype(np.uint16)
    zarr.open_array(tmp_path / "a.zarr", mode="w", shape=pixels.shape, chunks=(1, 64, 64), dtype="u2")[:] = pixels
    image = file_to_prompt(tmp_path / "a.zarr", 1)
    found = image.pixels.read((0, 0, *shape)) if shape == LARGE else image.pixels
    np.testing.assert_array_equal(found, pixels[1])
    with pytest.raises(ValueError, match=r"stack along axis0 \(3\)"):
        file_to_prompt(tmp_path / "a.zarr")


def test_what_windows_cannot_answer_is_read_as_a_whole_while_it_fits(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.zeros(LARGE, np.uint8))
    assert isinstance(file_to_prompt(tmp_path / "a.npy", as_whole=True).pixels, np.ndarray)
    monkeypatch.setattr(prompted_image, "WHOLE_PIXELS", 4100 * 20 - 1)
    with pytest.raises(ValueError, match="4100 x 20 pixels and is asked window by window"):
        file_to_prompt(tmp_path / "a.npy", as_whole=True)


def test_a_folder_that_is_no_image_and_a_stack_are_told_as_before(tmp_path):
    with pytest.raises(OSError, match="is a folder"):
        file_to_prompt(tmp_path)
    np.save(tmp_path / "stack.npy", np.zeros((5, *LARGE), np.uint8))
    with pytest.raises(ValueError, match="stack"):
        file_to_prompt(tmp_path / "stack.npy")
    assert file_to_prompt(tmp_path / "stack.npy", 2).shape == LARGE


@pytest.mark.parametrize("count", [1, 3])
def test_the_intensities_of_a_large_raster_are_those_of_all_its_windows(tmp_path, count):
    rasterio = pytest.importorskip("rasterio")
    pixels = np.random.default_rng(0).integers(100, 900, (count, *LARGE)).astype(np.uint16)
    profile = {"driver": "GTiff", "crs": "EPSG:32633", "transform": rasterio.Affine(1, 0, 5e5, 0, -1, 5e6)}
    with rasterio.open(
        tmp_path / "a.tif", "w", count=count, height=4100, width=20, dtype="uint16", **profile
    ) as file:
        file.write(pixels)
    steps = view_steps(tmp_path / "a.tif", list(range(1, count + 1)) if count > 1 else 1)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        view = end.value
    own, given = raster_to_prompt(view), raster_to_prompt(view, (200, 400))
    if count == 1:
        assert own.contrast_limits == pytest.approx(tuple(np.percentile(pixels, (2, 98))), abs=1)
        assert given.contrast_limits == (200, 400)
        return
    assert own.contrast_limits is given.contrast_limits is None, "colours are stretched where they are read"
    shown = given.pixels.read((0, 0, 10, 20))
    expected = np.clip((np.moveaxis(pixels[:, :10], 0, -1) - 200.0) / 200, 0, 1) * 255
    np.testing.assert_allclose(shown, expected, atol=1)
