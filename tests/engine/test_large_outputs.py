"""The files of a large image: labels, table, TIFF; and whose files they may replace."""

import numpy as np
import pytest
import tifffile
import zarr
from tests.engine.large_scene import SHAPE, Components, labels_of, run

from napari_segany.engine.large.job import ImageAtHand, ImageAtPath
from napari_segany.engine.progress import Progress
from napari_segany.formats.lazy_image import lazy_image
from napari_segany.formats.pixel_size import PixelSize, read_pixel_size
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.table import property_table, read_table


def test_the_table_is_that_of_an_image_done_as_a_whole(truth, discs, tmp_path):
    greys = np.where(truth > 0, 40 + (truth * 37) % 200, 0).astype(np.uint8)
    colours = np.stack([greys, 255 - greys, (np.indices(SHAPE).sum(axis=0) % 251).astype(np.uint8)], axis=-1)
    size = PixelSize(0.5, 0.25, "um")

    class FirstChannel(Components):
        def steps(self, pixels, *rest):
            return super().steps(pixels[..., 0], *rest)

    result = run(ImageAtHand(lazy_image(colours), "big", size), tmp_path, FirstChannel())
    found = labels_of(result)
    # No two objects overlap here, so each mask is what is shown of it.
    records = [MaskRecord.from_mask(found == label, predicted_iou=0.9) for label in range(1, result.objects + 1)]
    whole, table = property_table(records, colours, pixel_size=size), read_table(result.table)
    assert list(table) == [*whole, "pixels", "level", "tiles"]
    for name in set(whole) - {"predicted_iou", "stability_score"}:
        np.testing.assert_allclose(table[name], whole[name], rtol=1e-12, err_msg=name)


def test_masks_that_others_hide_are_measured_whole(tmp_path):
    class Nested(Components):
        def steps(self, pixels, settings, contrast_limits):
            yield Progress(0, 1)
            masks = pixels >= 100, pixels >= 200
            return [
                MaskRecord.from_mask(mask, predicted_iou=0.9, stability_score=0.9) for mask in masks if mask.any()
            ]

    image = np.zeros((90, 120), np.uint8)
    image[20:60, 30:70] = 100
    image[30:40, 40:60] = 200
    table = read_table(run(image, tmp_path, Nested()).table)
    assert table["area"].tolist() == [1600, 200]
    assert table["pixels"].tolist() == [1400, 200]
    assert table["intensity_mean"].tolist() == [112.5, 200.0]


def test_intensities_of_pixels_that_cannot_be_read_are_left_open(image, tmp_path):
    class Damaged(np.ndarray):
        def __getitem__(self, window):
            if window[0].start < 100 < window[0].stop and window[1].start == 0:
                raise OSError("a chunk is damaged")
            return np.asarray(self)[window]

    result = run(image.view(Damaged), tmp_path)
    assert result.failed
    table = read_table(result.table)
    assert result.objects > 10
    assert (table["area"] > 0).all()
    assert np.isnan(table["intensity_mean"]).all()  # all lie in one chunk of labels


@pytest.mark.parametrize("tiff_from_the_first", [False, True])
def test_the_labels_have_the_pixel_size_of_the_image(tiff_from_the_first, image, tmp_path):
    size = PixelSize(0.5, 0.25, "um")
    small = ImageAtHand(lazy_image(image[:300, :200]), "big", size)
    run(small, tmp_path, tiff=tiff_from_the_first)
    found = run(small, tmp_path, tiff=True)
    assert read_pixel_size(found.labels) == size
    read = read_pixel_size(found.labels.with_suffix(".tif"))
    assert read.unit == "um"
    np.testing.assert_allclose([read.row, read.col], [0.5, 0.25], rtol=1e-6)
    levels = zarr.open_group(found.labels, mode="r").attrs["ome"]["multiscales"][0]
    assert [axis["unit"] for axis in levels["axes"]] == ["micrometer", "micrometer"]


@pytest.mark.parametrize("edited", [False, True])
def test_a_tiff_of_earlier_labels_goes_with_them_unless_somebody_changed_it(edited, image, tmp_path):
    tiff = run(image, tmp_path, tiff=True).labels.with_suffix(".tif")
    run(image, tmp_path)
    assert tiff.is_file(), "it shows the same labels"
    if edited:
        tifffile.imwrite(tiff, np.ones((5, 5), np.uint8))
    run(np.where(image == image[470, 700], 0, image), tmp_path)
    assert tiff.is_file() == edited


def test_somebodys_own_tiff_is_neither_removed_nor_replaced(image, tmp_path):
    own = run(image, tmp_path).labels.with_suffix(".tif")
    own.write_bytes(b"somebody's own")
    run(np.where(image == image[470, 700], 0, image), tmp_path)
    with pytest.raises(ValueError, match=r"labels/big.tif is there and was not written by segany"):
        run(image, tmp_path, tiff=True)
    assert own.read_bytes() == b"somebody's own"


def test_another_image_of_the_same_name_does_not_replace_the_labels(tmp_path):
    a, b = tmp_path / "a" / "big.npy", tmp_path / "b" / "big.npy"
    for path, grey in ((a, 7), (b, 8)):
        path.parent.mkdir()
        np.save(path, np.full((90, 120), grey, np.uint8))
    first = run(ImageAtPath(a, "a/big.npy"), tmp_path / "out")
    run(ImageAtPath(a, "a/big.npy"), tmp_path / "out")
    with pytest.raises(ValueError, match=r"labels/big.zarr is of a/big.npy; give both folders at once"):
        run(ImageAtPath(b, "b/big.npy"), tmp_path / "out")
    assert first.labels.is_dir()
    a.unlink()
    run(ImageAtPath(b, "b/big.npy"), tmp_path / "out")
