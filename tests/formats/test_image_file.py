from __future__ import annotations

import random

import numpy as np
import pytest
import tifffile
from napari_builtins.io import imread as napari_imread
from PIL import Image

from napari_segany.formats.image_file import read_array, read_image, write_array
from napari_segany.formats.lazy_files import plane_shape

GREY = np.random.default_rng(0).integers(0, 256, (20, 30)).astype(np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (20, 30, 3)).astype(np.uint8)
STACK = np.random.default_rng(2).integers(0, 4096, (5, 20, 30)).astype(np.uint16)


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("grey.png", GREY),
        ("rgb.png", RGB),
        ("rgba.png", np.dstack([RGB, GREY])),
        ("deep.png", STACK[0]),
        ("rgb.bmp", RGB),
        ("lzw.tif", GREY),
    ],
)
def test_pictures_come_back_as_they_are(tmp_path, name, image):
    Image.fromarray(image).save(tmp_path / name, **({"compression": "tiff_lzw"} if name == "lzw.tif" else {}))
    read = read_image(tmp_path / name)
    assert read.dtype == image.dtype
    np.testing.assert_array_equal(read, image)


@pytest.mark.parametrize("image", [GREY, RGB, STACK[0], STACK[0].astype(np.float32), STACK[0].astype(np.int32)])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_and_npy_keep_their_type(tmp_path, image, compression):
    tifffile.imwrite(tmp_path / "image.TIFF", image, compression=compression)
    np.save(tmp_path / "image.npy", image)
    for name in ("image.TIFF", "image.npy"):
        read = read_image(tmp_path / name)
        assert read.dtype == image.dtype
        np.testing.assert_array_equal(read, image)


def test_palettes_and_other_colours_become_what_is_seen(tmp_path):
    Image.fromarray(RGB).quantize(16).save(tmp_path / "palette.png")
    Image.fromarray(GREY).convert("LA").save(tmp_path / "la.png")
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "cmyk.tif")
    assert read_image(tmp_path / "palette.png").shape == (20, 30, 3)
    np.testing.assert_array_equal(read_image(tmp_path / "la.png"), GREY)
    assert read_image(tmp_path / "cmyk.tif").shape[:2] == (20, 30)


def test_many_bands_stored_pixel_by_pixel_are_planes(tmp_path):
    bands = np.random.default_rng(3).integers(0, 4096, (20, 30, 8)).astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "bands.tif", bands, planarconfig="contig", photometric="minisblack", extrasamples=[0] * 7
    )
    np.testing.assert_array_equal(read_image(tmp_path / "bands.tif", plane=6), bands[..., 6])


def test_colours_stored_plane_by_plane_come_last(tmp_path):
    planes = np.moveaxis(RGB, -1, 0)
    # Without a note of the shape, as other programs write: with it, planes are a stack, for napari too.
    tifffile.imwrite(tmp_path / "planar.tif", planes, photometric="rgb", planarconfig="separate", metadata=None)
    np.testing.assert_array_equal(read_image(tmp_path / "planar.tif"), RGB)


@pytest.mark.parametrize("plane", [0, 3, 4])
def test_a_plane_of_a_stack(tmp_path, plane):
    tifffile.imwrite(tmp_path / "stack.tif", STACK)
    np.testing.assert_array_equal(read_image(tmp_path / "stack.tif", plane=plane), STACK[plane])


def test_stacks_of_compressed_pages_are_stacks_too(tmp_path):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    frames[0].save(tmp_path / "pages.tif", compression="tiff_lzw", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "pages.tif", plane=1), 255 - GREY)


@pytest.mark.parametrize(
    ("plane", "message"),
    [(None, r"stack of the shape \(5, 20, 30\).*0 to 4"), (5, "no plane 5"), (-1, "no plane -1")],
)
def test_a_stack_needs_the_choice_of_one_of_its_planes(tmp_path, plane, message):
    tifffile.imwrite(tmp_path / "stack.tif", STACK)
    with pytest.raises(ValueError, match=message):
        read_image(tmp_path / "stack.tif", plane=plane)


@pytest.mark.parametrize("image", [GREY, RGB])
def test_a_single_plane_has_no_planes(tmp_path, image):
    tifffile.imwrite(tmp_path / "single.tif", image)
    with pytest.raises(ValueError, match="single plane"):
        read_image(tmp_path / "single.tif", plane=0)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "missing.tif")
    with pytest.raises(IsADirectoryError, match="folder"):
        read_image(tmp_path)


@pytest.mark.parametrize("name", ["text.tif", "text.png", "text.npy", "text.xyz", "text"])
@pytest.mark.parametrize("content", [b"", b"This is no image.\n" * 9])
def test_other_files(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="damaged or no image"):
        read_image(tmp_path / name)


def test_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([[{}]]), allow_pickle=True)
    with pytest.raises(ValueError, match="damaged or no image"):
        read_image(tmp_path / "objects.npy")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "lzw.tif", "zlib.tif", "stack.tif", "a.npy"])
def test_damage_is_told_or_harmless(tmp_path, name):
    """Whatever is cut off or overwritten, the answer is an image or a ValueError."""
    path = tmp_path / name
    if path.suffix in (".png", ".jpg"):
        Image.fromarray(RGB).save(path)
    elif name == "lzw.tif":
        Image.fromarray(GREY).save(path, compression="tiff_lzw")
    elif path.suffix == ".npy":
        np.save(path, GREY)
    else:
        tifffile.imwrite(path, STACK if name == "stack.tif" else GREY, compression="zlib")
    whole, dice = path.read_bytes(), random.Random(0)
    complaints = []
    for attempt in range(60):
        damaged = bytearray(whole)
        if attempt % 2:
            damaged = damaged[: dice.randrange(len(whole))]
        else:
            for _ in range(4):
                damaged[dice.randrange(min(400, len(whole)))] = dice.randrange(256)
        path.write_bytes(damaged)
        try:
            read_image(path)
        except ValueError as error:
            complaints.append(str(error))
    assert len(complaints) > 20
    assert all(str(path) in complaint and "\n" not in complaint for complaint in complaints)


@pytest.mark.parametrize("planes", [3, 4])
def test_stacks_of_three_or_four_planes_are_read_as_napari_shows_them(tmp_path, planes):
    """As napari saves them: with no word on colours, which tifffile then stores plane by plane."""
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, STACK[:planes])
    shown = napari_imread(str(path))
    np.testing.assert_array_equal(shown, STACK[:planes])
    np.testing.assert_array_equal(read_array(path), shown)
    np.testing.assert_array_equal(read_image(path, plane=1), STACK[1])


def test_pictures_are_read_however_large_they_are(tmp_path):
    path = tmp_path / "large.png"
    Image.new("1", (20_000, 9_000)).save(path)
    assert plane_shape(path) == (9_000, 20_000)
    assert read_image(path).shape == (9_000, 20_000)


@pytest.mark.parametrize(
    "shape", [(5, 7), (3, 5, 7), (1, 5, 7), (2, 1, 5, 7), (5, 7, 3), (2, 5, 7, 3), (4, 2, 3, 5, 7)]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, np.int16])
@pytest.mark.parametrize("ending", [".npy", ".tif"])
def test_what_is_written_is_read_or_refused(tmp_path, shape, dtype, ending):
    image = np.random.default_rng(0).integers(0, 99, shape).astype(dtype)
    path = tmp_path / f"one{ending}"
    try:
        write_array(path, image, rgb=shape[-1] == 3)
    except ValueError as error:
        assert ending == ".tif"
        assert "write .npy" in str(error)  # noqa: PT017
        assert not path.exists()
        return
    read = read_array(path)
    assert read.dtype == image.dtype
    np.testing.assert_array_equal(read, image)


def test_a_plain_stack_is_written_as_tiff(tmp_path):
    for image in (np.ones((5, 7), np.uint8), np.ones((3, 5, 7), np.uint16), np.ones((5, 7), np.float32)):
        write_array(tmp_path / "one.tif", image)
        assert read_array(tmp_path / "one.tif").shape == image.shape
