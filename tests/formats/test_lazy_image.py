import dask.array
import numpy as np
import pytest
import tifffile
import zarr

from napari_segany.formats.lazy_image import LazyImage, enlarged, lazy_image
from napari_segany.formats.window_mask import WindowMask

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_reduced_window_is_the_mean_of_the_pixels_under_it(factor, dtype):
    image = (RNG.random((101, 77)) * 200).astype(dtype)
    lazy = lazy_image(image)
    rows, cols = lazy.reduced_shape(factor)
    found = lazy.read((2, 1, rows, cols), factor)
    for row, col in ((2, 1), (rows - 1, cols - 1), (5, 3)):
        block = image[row * factor : (row + 1) * factor, col * factor : (col + 1) * factor]
        assert found[row - 2, col - 1] == pytest.approx(block.mean(), abs=0.51 if dtype != np.float32 else 1e-3)
    assert found.dtype == dtype
    assert found.shape == (rows - 2, cols - 1)


def test_pixels_without_data_do_not_darken_their_neighbours():
    image = np.full((8, 8), 7, np.float32)
    image[0, 0] = np.nan
    image[4:6, 4:6] = np.inf
    found = lazy_image(image).read((0, 0, 4, 4), 2)
    assert found[0, 0] == 7
    assert np.isnan(found[2, 2])


def test_coarser_levels_are_used_and_finer_ones_left_alone():
    class Level:
        def __init__(self, data):
            self.data, self.shape, self.dtype, self.reads = data, data.shape, data.dtype, 0

        def __getitem__(self, place):
            self.reads += 1
            return self.data[place]

    image = RNG.integers(0, 255, (64, 60), dtype=np.uint8)
    levels = [Level(image), Level(image[::2, ::2]), Level(image[::4, ::4][:, :14])]
    lazy = lazy_image(levels)
    found = lazy.read((0, 0, 16, 15), 4)  # a level that was rounded down to 14 columns gives 15
    assert found.shape == (16, 15)
    np.testing.assert_array_equal(found[:, :14], levels[2].data)
    lazy.read((0, 0, 8, 8), 8)
    assert [level.reads for level in levels] == [0, 0, 2]
    assert [lazy.pixels_read(factor) for factor in (1, 2, 4, 8, 16)] == [1, 1, 1, 2, 4]
    assert lazy_image(image).pixels_read(8) == 8


@pytest.mark.parametrize("kind", ["numpy", "dask", "zarr", "memmap", "tiff"])
def test_every_kind_of_array_gives_the_same_window(kind, tmp_path):
    image = RNG.integers(0, 4000, (90, 130), dtype=np.uint16)
    if kind == "dask":
        data = dask.array.from_array(image, chunks=40)
    elif kind == "zarr":
        data = zarr.create_array(tmp_path / "a.zarr", data=image, chunks=(32, 32))
    elif kind == "memmap":
        tifffile.imwrite(tmp_path / "a.tif", image)
        data = tifffile.memmap(tmp_path / "a.tif", mode="r")
    elif kind == "tiff":
        tifffile.imwrite(tmp_path / "a.tif", image, tile=(32, 32), compression="zlib")
        data = zarr.open(tifffile.imread(tmp_path / "a.tif", aszarr=True), mode="r")
    else:
        data = image
    found = lazy_image(data).read((10, 20, 40, 50))
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, image[10:40, 20:50])


def test_a_plane_of_a_stack_with_colours_and_any_order_of_axes():
    stack = RNG.integers(0, 255, (3, 40, 5, 30, 4), dtype=np.uint8)
    lazy = LazyImage((stack,), (1, slice(None), 4, slice(None)))
    assert lazy.shape == (40, 30)
    np.testing.assert_array_equal(lazy.read((3, 4, 20, 10)), stack[1, 3:20, 4, 4:10, :3])


def test_the_sample_comes_from_all_over_a_large_image_and_is_the_same_each_time():
    image = np.zeros((3000, 5000), np.uint16)
    image[:, 2500:] = 100
    image[2990:, 4990:] = 60000
    sample = lazy_image(image).sample()
    assert sample.size < image.size / 10
    assert sample.max() == 60000
    assert 0.4 < np.count_nonzero(sample) / sample.size < 0.6
    np.testing.assert_array_equal(sample, lazy_image(image).sample())


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 3, 4, 5)), np.zeros(4), np.zeros((0, 4)), np.zeros((4, 4), complex), "a"]
)
def test_what_is_no_image_is_refused(bad):
    with pytest.raises(ValueError, match="image"):
        lazy_image(bad)


def test_an_enlarged_mask_is_the_disc_that_was_reduced():
    rows, cols = np.indices((400, 400))
    disc = np.hypot(rows - 199.5, cols - 180) < 130
    small = disc.reshape(50, 8, 50, 8).mean(axis=(1, 3)) >= 0.5
    found = enlarged(small, 8)
    blocks = np.kron(small, np.ones((8, 8), bool))
    assert (found & disc).sum() / (found | disc).sum() > 0.97
    assert (found != disc).sum() < (blocks != disc).sum()


def test_a_window_mask_is_the_mask_in_the_memory_of_its_box():
    whole = np.zeros((300, 500), bool)
    whole[100:120, 200:260] = RNG.random((20, 60)) > 0.3
    mask = WindowMask.cropped(whole[90:200, 190:400], (90, 190), whole.shape)
    np.testing.assert_array_equal(mask.full(), whole)
    np.testing.assert_array_equal(mask.window((110, 0, 300, 230)), whole[110:300, :230])
    assert mask.area == whole.sum()
    assert mask.nbytes <= 1200
    empty = WindowMask.cropped(np.zeros((5, 5), bool), (290, 490), whole.shape)
    assert empty.area == 0
    assert not empty.full().any()
    beyond = WindowMask.cropped(np.ones((20, 20), bool), (290, 490), whole.shape)
    assert beyond.box == (290, 490, 300, 500)


@pytest.mark.parametrize("factor", [2, 8])
@pytest.mark.parametrize("box", [(0, 0, 37, 62), (10, 20, 18, 35), (12, 24, 15, 32), (30, 50, 37, 62)])
def test_a_reduced_window_of_a_mask_has_the_pixels_in_the_middle_of_its_blocks(factor, box):
    whole = np.zeros((300, 500), bool)
    whole[97:123, 195:261] = RNG.random((26, 66)) > 0.3
    mask = WindowMask.cropped(whole, (0, 0), whole.shape)
    middles = np.pad(whole, factor)[factor:, factor:][factor // 2 :: factor, factor // 2 :: factor]
    top, left, bottom, right = box
    np.testing.assert_array_equal(mask.window(box, factor), middles[top:bottom, left:right])


def test_a_reduced_window_takes_memory_of_its_own_size_only():
    mask = WindowMask.cropped(np.ones((2, 2), bool), (40_000, 40_000), (10**6, 10**6))
    small = mask.window((0, 0, 8, 8), 1 << 17)
    assert small.shape == (8, 8)
    assert not small.any()


def test_levels_with_fewer_slices_do_not_stand_for_a_slice():
    stack = np.random.default_rng(0).integers(0, 255, (4, 32, 32)).astype(np.uint8)
    fewer, same = stack[::2, ::2, ::2], stack[:, ::2, ::2]
    image = LazyImage((stack, fewer), (1, slice(None), slice(None)))
    means = np.rint(stack[1].reshape(16, 2, 16, 2).mean((1, 3)))
    np.testing.assert_array_equal(image.read((0, 0, 16, 16), 2), means)
    image = LazyImage((stack, same), (1, slice(None), slice(None)))
    np.testing.assert_array_equal(image.read((0, 0, 16, 16), 2), same[1])
