"""Files that are opened without being read: what lies elsewhere in them is never touched."""

from __future__ import annotations

import tracemalloc
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_segany.formats.image_file import read_image
from napari_segany.formats.lazy_files import is_zarr, open_lazy, plane_shape
from napari_segany.formats.plane_choice import PlaneChoice
from napari_segany.formats.tiff_codecs import ReadAsWholeWarning, missing_codec

CHUNK = 32


def ome_zarr(path: Path, image: np.ndarray, version: int) -> Path:
    """Write (1, 3, H, W) and a level of half the size, as OME-NGFF says: 0.5 in zarr v3, 0.4 in v2."""
    group = zarr.open_group(path, mode="w", zarr_format=version)
    for level in range(2):
        data = image[None, :, :: 1 << level, :: 1 << level]
        group.create_array(str(level), data=np.ascontiguousarray(data), chunks=(1, 3, CHUNK, CHUNK))
    axes = [{"name": name} for name in "tcyx"]
    multiscales = [{"axes": axes, "datasets": [{"path": "0"}, {"path": "1"}]}]
    if version == 3:
        group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales}
    else:
        group.attrs["multiscales"] = multiscales
    return path


@pytest.mark.parametrize("version", [2, 3])
def test_of_an_ome_zarr_only_the_chunks_of_a_window_are_read(tmp_path, version):
    image = np.random.default_rng(0).integers(0, 255, (3, 160, 192), dtype=np.uint8)
    path = ome_zarr(tmp_path / "slide.ome.zarr", image, version)
    chunks = [file for file in path.rglob("*") if file.is_file() and not file.name.startswith((".z", "zarr.json"))]
    assert len(chunks) == 5 * 6 + 3 * 3
    for file in chunks:  # whatever is read by mistake is noticed
        keep = {("0", "2", "3"), ("1", "1", "0")}
        level, row, col = (*file.relative_to(path).parts[:1], *file.as_posix().replace(".", "/").split("/")[-2:])
        if (level, row, col) not in keep:
            file.write_bytes(b"no chunk")
    assert is_zarr(path)
    assert plane_shape(path) == (160, 192)
    lazy = open_lazy(path)
    assert lazy.shape == (160, 192)
    np.testing.assert_array_equal(lazy.read((64, 96, 96, 128)), np.moveaxis(image, 0, -1)[64:96, 96:128])
    np.testing.assert_array_equal(lazy.read((32, 0, 64, 32), 2), np.moveaxis(image, 0, -1)[64:128:2, 0:64:2])
    with pytest.raises(Exception, match=r"."):
        lazy.read((0, 0, 160, 192))


def test_a_stack_in_a_zarr_is_refused_with_its_axis(tmp_path):
    group = zarr.open_group(tmp_path / "stack.zarr", mode="w")
    group.create_array("0", data=np.zeros((5, 8, 8), np.uint8))
    group.attrs["ome"] = {"multiscales": [{"axes": [{"name": one} for one in "zyx"], "datasets": [{"path": "0"}]}]}
    with pytest.raises(ValueError, match=r"a stack along z \(5\)"):
        open_lazy(tmp_path / "stack.zarr")
    assert plane_shape(tmp_path / "stack.zarr") is None


STACK = np.random.default_rng(3).integers(0, 255, (2, 5, 40, 60)).astype(np.uint8)


def stack_at(path: Path) -> Path:
    """Write STACK as (c, z, y, x)."""
    if path.suffix == ".zarr":
        group = zarr.open_group(path, mode="w")
        for level in range(2):
            data = np.ascontiguousarray(STACK[..., :: 1 << level, :: 1 << level])
            group.create_array(str(level), data=data, chunks=(1, 1, CHUNK, CHUNK))
        axes = [{"name": one} for one in "czyx"]
        group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}, {"path": "1"}]}]}
    elif path.suffix == ".npy":
        np.save(path, STACK)
    else:
        compressed = {"compression": "zlib", "tile": (16, 16)} if "tiles" in path.name else {}
        tifffile.imwrite(path, STACK, metadata={"axes": "CZYX"}, ome=True, **compressed)
    return path


@pytest.mark.parametrize("name", ["s.zarr", "s.ome.tif", "tiles.ome.tif", "s.npy"])
def test_one_plane_of_a_stack_is_chosen(tmp_path, name):
    path = stack_at(tmp_path / name)
    names = ("axis0", "axis1") if name.endswith("npy") else ("c", "z")
    choice = PlaneChoice(tuple(zip(names, (1, 3), strict=True)))
    assert plane_shape(path) is None
    assert plane_shape(path, choice) == (40, 60)
    lazy = open_lazy(path, choice)
    np.testing.assert_array_equal(lazy.read((0, 0, 40, 60)), STACK[1, 3])
    if name == "s.zarr":
        np.testing.assert_array_equal(lazy.read((0, 0, 20, 30), 2), STACK[1, 3, ::2, ::2])
    with pytest.raises(ValueError, match=rf"stack along {names[1]} \(5\); .*--plane {names[1]}=0"):
        open_lazy(path, PlaneChoice(((names[0], 1),)))


def test_three_channels_are_colours_unless_one_is_chosen(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (3, 160, 192), dtype=np.uint8)
    path = ome_zarr(tmp_path / "a.zarr", image, 3)
    assert open_lazy(path).has_colours
    lazy = open_lazy(path, PlaneChoice((("c", 2),)))
    assert not lazy.has_colours
    np.testing.assert_array_equal(lazy.read((0, 0, 160, 192)), image[2])


@pytest.mark.parametrize("name", ["a.png", "a.npy", "a.tif"])
def test_a_plane_of_a_single_plane_is_refused(tmp_path, name):
    if name == "a.npy":
        np.save(tmp_path / name, STACK[0, 0])
    else:
        Image.fromarray(STACK[0, 0]).save(tmp_path / name)
    with pytest.raises(ValueError, match=rf"^{name}.* there is no axis c; there is a single plane"):
        open_lazy(tmp_path / name, PlaneChoice((("c", 0),)))


def test_a_damaged_part_of_a_file_is_told_as_such(tmp_path):
    path = tmp_path / "cut.tif"
    image = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    tifffile.imwrite(path, image, tile=(32, 32), compression="zlib")
    with tifffile.TiffFile(path) as file:
        start = file.pages[0].dataoffsets[3]
    content = bytearray(path.read_bytes())
    content[start : start + 9] = b"no tile.."
    path.write_bytes(content)
    lazy = open_lazy(path)
    np.testing.assert_array_equal(lazy.read((0, 0, 32, 64)), image[:32])
    with pytest.raises(ValueError, match="a part of the image cannot be read"):
        lazy.read((32, 32, 64, 64))


@pytest.mark.parametrize("mode", ["grey", "colours"])
def test_a_tiff_that_tifffile_alone_cannot_decode_is_read_as_a_whole(mode, tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (60, 100, 3), dtype=np.uint8)
    image = image if mode == "colours" else image[..., 0].astype(np.uint16) * 20
    Image.fromarray(image).save(tmp_path / "a.tif", compression="tiff_lzw")
    assert plane_shape(tmp_path / "a.tif") == (60, 100)
    np.testing.assert_array_equal(open_lazy(tmp_path / "a.tif").read((10, 20, 40, 50)), image[10:40, 20:50])


SIDE = 4200
LARGE = np.tile(np.arange(SIDE, dtype=np.uint16), (SIDE, 1)) % 251


@pytest.mark.parametrize(
    "how",
    [
        {"tile": (256, 256)},
        {"tile": (256, 256), "compression": "zlib"},
        {"tile": (256, 256), "compression": "zlib", "predictor": True},
        {"tile": (256, 256), "compression": "lzma"},
        {"rowsperstrip": 64, "compression": "zlib"},
        {},
    ],
    ids=["tiles", "zlib", "predictor", "lzma", "strips", "in one piece"],
)
def test_of_a_large_tiff_only_what_is_asked_for_is_in_memory(tmp_path, how):
    tifffile.imwrite(tmp_path / "large.tif", LARGE, **how)
    tracemalloc.start()
    try:
        window = open_lazy(tmp_path / "large.tif").read((3000, 3000, 3256, 3256))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(window, LARGE[3000:3256, 3000:3256])
    assert peak < LARGE.nbytes / 3  # LZMA alone takes 9 MB


def test_a_large_tiff_whose_tiles_only_an_extra_decodes_says_so(tmp_path):
    Image.fromarray(LARGE.astype(np.uint8)).save(tmp_path / "large.tif", compression="tiff_lzw")
    if find_spec("imagecodecs") is None:
        with pytest.warns(ReadAsWholeWarning, match=r"large.tif is compressed with LZW .*napari-segany\[tiff\]"):
            lazy = open_lazy(tmp_path / "large.tif")
    else:
        lazy = open_lazy(tmp_path / "large.tif")
        assert not isinstance(lazy.levels[0], np.ndarray)
    np.testing.assert_array_equal(lazy.read((100, 200, 110, 220)), LARGE[100:110, 200:220])


@pytest.mark.skipif(find_spec("imagecodecs") is not None, reason="the library decodes them")
@pytest.mark.parametrize(
    ("compression", "pixels"), [("LERC", LARGE[:64, :64]), ("LZW", np.ones((64, 64), np.float64))]
)
def test_a_tiff_that_nothing_decodes_names_the_extra(tmp_path, compression, pixels):
    rasterio = pytest.importorskip("rasterio")
    path = tmp_path / "a.tif"
    profile = {
        "driver": "GTiff",
        "width": 64,
        "height": 64,
        "count": 1,
        "dtype": pixels.dtype,
        "compress": compression,
    }
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(pixels, 1)
    assert plane_shape(path) == (64, 64)
    for read in (open_lazy, read_image):
        with pytest.raises(ValueError, match=rf"a.tif is compressed with {compression}, .*napari-segany\[tiff\]"):
            read(path)


@pytest.mark.skipif(find_spec("imagecodecs") is not None, reason="the library decodes them")
@pytest.mark.skipif(find_spec("compression") is not None, reason="Python decodes it")
def test_zstandard_names_the_extra(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    profile = {"driver": "GTiff", "width": 64, "height": 64, "count": 1, "dtype": "uint16", "compress": "ZSTD"}
    try:
        with rasterio.open(tmp_path / "a.tif", "w", **profile) as raster:
            raster.write(LARGE[:64, :64], 1)
    except rasterio.errors.RasterioError:
        pytest.skip("this GDAL writes no Zstandard")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert missing_codec(file.pages.first) == "ZSTD"


@pytest.mark.parametrize("planes", [3, 4])
def test_a_stack_of_three_planes_without_a_word_on_colours_is_a_stack(tmp_path, planes):
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((planes, 20, 30), np.uint16))
    with pytest.raises(ValueError, match=rf"a stack along planes \({planes}\)"):
        open_lazy(tmp_path / "stack.tif")
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((20, 30, planes), np.uint8), photometric="rgb")
    assert open_lazy(tmp_path / "rgb.tif").shape == (20, 30)
