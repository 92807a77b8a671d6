from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_segany.formats.labels import write_label_tiff
from napari_segany.formats.pixel_size import PixelSize, read_pixel_size

IMAGE = np.zeros((16, 20), np.uint16)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.tif"


@pytest.mark.parametrize("unit", ["µm", "μm", "micron", "um", " UM ", "\\u00B5m"])
def test_units_have_many_names(unit):
    assert PixelSize(1, 2, unit) == PixelSize(1, 2, "um")


@pytest.mark.parametrize(("row", "col", "unit"), [(0, 1, "um"), (1, -1, "um"), (1, np.nan, "um"), (1, np.inf, "um")])
def test_sizes_are_positive(row, col, unit):
    with pytest.raises(ValueError, match="positive"):
        PixelSize(row, col, unit)


@pytest.mark.parametrize("unit", ["pixel", "", "parsec"])
def test_unknown_units_are_refused(unit):
    with pytest.raises(ValueError, match="unknown"):
        PixelSize(1, 1, unit)


def test_ome(path):
    sizes = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5, "PhysicalSizeXUnit": "nm", "PhysicalSizeYUnit": "nm"}
    tifffile.imwrite(path, IMAGE, ome=True, metadata={"axes": "YX", **sizes})
    assert read_pixel_size(path) == PixelSize(0.5, 0.25, "nm")


def test_ome_in_micrometres_unless_it_says_otherwise(path):
    tifffile.imwrite(path, IMAGE, ome=True, metadata={"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5})
    assert read_pixel_size(path) == PixelSize(0.5, 0.25, "um")


def test_ome_without_sizes(path):
    tifffile.imwrite(path, IMAGE, ome=True, metadata={"axes": "YX"})
    assert read_pixel_size(path) is None


def test_imagej(path):
    tifffile.imwrite(path, IMAGE, imagej=True, resolution=(4.0, 2.0), metadata={"unit": "micron"})
    assert read_pixel_size(path) == PixelSize(0.5, 0.25, "um")


@pytest.mark.parametrize("unit", ["pixel", ""])
def test_imagej_without_a_scale(path, unit):
    tifffile.imwrite(path, IMAGE, imagej=True, resolution=(1.0, 1.0), metadata={"unit": unit})
    assert read_pixel_size(path) is None


def test_resolutions_per_inch_are_not_believed(path):
    tifffile.imwrite(path, IMAGE, resolution=(72, 72), resolutionunit="INCH")
    assert read_pixel_size(path) is None


@pytest.mark.parametrize("resolution", [(0, 0), (72, 0)])
def test_resolutions_of_nothing_tell_nothing(path, resolution):
    tifffile.imwrite(path, IMAGE, resolution=resolution, resolutionunit="CENTIMETER")
    assert read_pixel_size(path) is None


def test_files_that_tell_nothing(path, tmp_path):
    tifffile.imwrite(path, IMAGE)
    assert read_pixel_size(path) is None
    path.write_bytes(b"no TIFF at all")
    assert read_pixel_size(path) is None
    Image.fromarray(IMAGE.astype(np.uint8)).save(tmp_path / "a.png")
    assert read_pixel_size(tmp_path / "a.png") is None


def test_damaged_files_tell_nothing_or_a_size(path):
    """Cut off anywhere: what tifffile raises then is of many kinds."""
    tifffile.imwrite(path, IMAGE, imagej=True, resolution=(4.0, 2.0), metadata={"unit": "micron"})
    whole = path.read_bytes()
    for end in range(0, len(whole), 3):
        path.write_bytes(whole[:end])
        assert read_pixel_size(path) in (None, PixelSize(0.5, 0.25, "um"))


def test_a_missing_file_is_an_os_error(path):
    with pytest.raises(FileNotFoundError):
        read_pixel_size(path)


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
@pytest.mark.parametrize(
    "size", [PixelSize(0.065, 0.13, "um"), PixelSize(65, 130, "nm"), PixelSize(2, 3, "mm"), PixelSize(10, 30, "m")]
)
def test_label_files_keep_it(path, size, dtype):
    labels = np.arange(320, dtype=dtype).reshape(16, 20)
    write_label_tiff(path, labels, pixel_size=size)
    np.testing.assert_array_equal(tifffile.imread(path), labels)
    back = read_pixel_size(path)
    metres = {"nm": 1e-9, "um": 1e-6, "mm": 1e-3, "m": 1}
    assert back.row * metres[back.unit] == pytest.approx(size.row * metres[size.unit], rel=1e-6)
    assert back.col * metres[back.unit] == pytest.approx(size.col * metres[size.unit], rel=1e-6)


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr(tmp_path, version):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=version)
    axes = [{"name": "c", "type": "channel"}, *({"name": name, "unit": "micrometer"} for name in "yx")]
    scales = {
        "axes": axes,
        "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 0.5, 0.25]}]}],
        "coordinateTransformations": [{"type": "translation", "translation": [0, 1, 1]}],
    }
    group.attrs.update({"ome": {"multiscales": [scales]}} if version == 3 else {"multiscales": [scales]})
    assert read_pixel_size(tmp_path / "a.zarr") == PixelSize(0.5, 0.25, "um")
    for axis in axes:
        axis.pop("unit", None)
    group.attrs.update({"ome": {"multiscales": [scales]}} if version == 3 else {"multiscales": [scales]})
    assert read_pixel_size(tmp_path / "a.zarr") is None
