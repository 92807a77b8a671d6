from __future__ import annotations

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as mask_api

from napari_segany.formats.labels import (
    read_label_tiff,
    run_lengths_by_label,
    run_lengths_of_part,
    to_labels,
    write_label_tiff,
)
from napari_segany.formats.record import MaskRecord

SHAPE = (20, 30)


def box(row_min: int, col_min: int, row_max: int, col_max: int) -> MaskRecord:
    mask = np.zeros(SHAPE, bool)
    mask[row_min:row_max, col_min:col_max] = True
    return MaskRecord.from_mask(mask)


def test_records_are_numbered_in_their_order():
    labels = to_labels([box(0, 0, 4, 4), box(10, 10, 12, 15)], SHAPE)
    assert labels.dtype == np.uint16
    assert labels.shape == SHAPE
    assert labels[3, 3] == 1
    assert labels[11, 14] == 2
    assert (labels > 0).sum() == 16 + 10


@pytest.mark.parametrize("smaller_first", [True, False])
def test_the_smaller_mask_stays_visible(smaller_first):
    records = [box(5, 5, 8, 8), box(0, 0, 15, 15)]
    labels = to_labels(records if smaller_first else records[::-1], SHAPE)
    small = 1 if smaller_first else 2
    assert (labels == small).sum() == 9
    assert (labels == 3 - small).sum() == 225 - 9


def test_or_the_later_one():
    assert (to_labels([box(5, 5, 8, 8), box(0, 0, 15, 15)], SHAPE, smaller_on_top=False) == 1).sum() == 0


def test_holes_stay_holes():
    mask = box(2, 2, 12, 12).mask & ~box(5, 5, 8, 8).mask
    np.testing.assert_array_equal(to_labels([MaskRecord.from_mask(mask)], SHAPE) == 1, mask)


def test_no_records_and_empty_records_leave_background():
    empty = MaskRecord.from_mask(np.zeros(SHAPE, bool))
    assert not to_labels([], SHAPE).any()
    assert not to_labels([empty], SHAPE).any()


def test_many_records_need_32_bits():
    first = MaskRecord.from_mask(np.eye(2, dtype=bool))
    last = MaskRecord.from_mask(np.fliplr(np.eye(2, dtype=bool)))
    labels = to_labels([first] * 65535 + [last], (2, 2))
    assert labels.dtype == np.uint32
    assert labels[1, 0] == 65536


def test_records_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"record 1 has the size \(20, 30\)"):
        to_labels([MaskRecord.from_mask(np.ones((5, 5), bool)), box(0, 0, 1, 1)], (5, 5))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int32, bool])
def test_tiff_files_are_lossless_and_compressed(tmp_path, dtype):
    labels = (np.indices((300, 400)).sum(axis=0) // 100).astype(dtype)
    path = tmp_path / "labels.tif"
    write_label_tiff(path, labels)
    np.testing.assert_array_equal(tifffile.imread(path), labels)
    assert path.stat().st_size < labels.nbytes / 10
    assert list(tmp_path.iterdir()) == [path]


def test_floats_are_no_labels(tmp_path):
    with pytest.raises(ValueError, match="float64"):
        write_label_tiff(tmp_path / "labels.tif", np.zeros(SHAPE))


def test_a_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"labels\.tif"):
        write_label_tiff(tmp_path / "missing" / "labels.tif", np.zeros(SHAPE, int))


@pytest.mark.parametrize("shape", [(20, 30), (4, 20, 30), (2, 20, 3), (5, 20, 4)])
@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_label_files_go_both_ways(tmp_path, shape, dtype):
    labels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype)
    write_label_tiff(tmp_path / "labels.tif", labels)
    back = read_label_tiff(tmp_path / "labels.tif")
    np.testing.assert_array_equal(back, labels)
    assert back.dtype == dtype


def test_other_tiff_files_hold_no_labels(tmp_path):
    tifffile.imwrite(tmp_path / "float.tif", np.zeros(SHAPE, np.float32))
    with pytest.raises(ValueError, match="float32"):
        read_label_tiff(tmp_path / "float.tif")
    (tmp_path / "damaged.tif").write_bytes(b"no labels")
    with pytest.raises(ValueError, match="damaged"):
        read_label_tiff(tmp_path / "damaged.tif")


@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.int64, np.uint32]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
        elements=st.integers(0, 4),
    )
)
def test_every_object_of_a_label_image_is_the_judges_mask(labels):
    found = run_lengths_by_label(labels)
    assert list(found) == [int(number) for number in np.unique(labels) if number]
    for number, rle in found.items():
        np.testing.assert_array_equal(mask_api.decode(rle.to_dict()) > 0, labels == number)


def test_negative_and_boolean_labels_are_objects():
    labels = np.array([[-2, 0], [7, -2]])
    assert {number: rle.area for number, rle in run_lengths_by_label(labels).items()} == {-2: 2, 7: 1}
    assert [rle.area for rle in run_lengths_by_label(labels > 0).values()] == [1]
    assert run_lengths_by_label(np.zeros((0, 4), int)) == {}


@pytest.mark.parametrize("at_a_time", [1, 5, 1000])
@given(
    part=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=5), elements=st.integers(0, 3)),
    margins=st.tuples(*[st.integers(0, 2)] * 4),
    seed=st.integers(0, 99),
)
def test_what_is_told_of_a_part_is_the_judges_mask_of_the_image(at_a_time, part, margins, seed):
    told = np.random.default_rng(seed).random(part.shape) < 0.7
    top, bottom, left, right = margins
    around = ((top, bottom), (left, right))
    image, inside = np.pad(part, around), np.pad(told, around)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_segany.formats.labels._PIXELS_AT_A_TIME", at_a_time)
        found = run_lengths_of_part(part, told, (top, left), image.shape)
    assert list(found) == np.unique(part[told]).tolist()
    for number, rle in found.items():
        np.testing.assert_array_equal(mask_api.decode(rle.to_dict()) > 0, inside & (image == number))


@pytest.mark.parametrize("labels", [np.zeros(3, int), np.zeros((2, 2)), np.zeros((2, 2, 2), int)])
def test_other_arrays_are_no_label_image(labels):
    with pytest.raises(ValueError, match="label image is"):
        run_lengths_by_label(labels)


def test_bits_are_labels(tmp_path):
    """As napari saves a layer of bool."""
    bits = np.eye(5, 6, dtype=bool)
    tifffile.imwrite(tmp_path / "bits.tif", bits)
    labels = read_label_tiff(tmp_path / "bits.tif")
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, bits)
