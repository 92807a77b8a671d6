from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
from skimage.measure import regionprops_table

from napari_segany.formats.labels import to_labels
from napari_segany.formats.pixel_size import PixelSize
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.table import property_table, read_table, write_table

SIZE = (40, 60)


@pytest.fixture
def records() -> list[MaskRecord]:
    rows, cols = np.indices(SIZE)
    ring = (np.hypot(rows - 15, cols - 20) < 12) & (np.hypot(rows - 15, cols - 20) > 5)
    corner = (rows > 30) & (cols > rows + 12)
    return [MaskRecord.from_mask(ring, predicted_iou=0.9, stability_score=0.95), MaskRecord.from_mask(corner)]


@pytest.mark.parametrize("channels", [(), (3,)])
def test_scikit_image_measures_the_same(records, channels):
    image = np.random.default_rng(0).integers(0, 4096, (*SIZE, *channels)).astype(np.uint16)
    properties = ("label", "area", "centroid", "bbox", "intensity_mean")
    expected = regionprops_table(to_labels(records, SIZE).astype(int), image, properties=properties, separator="_")
    table = property_table(records, image)
    np.testing.assert_array_equal(table["label"], expected["label"])
    np.testing.assert_array_equal(table["area"], expected["area"])
    np.testing.assert_allclose(table["centroid_row"], expected["centroid_0"])
    np.testing.assert_allclose(table["centroid_col"], expected["centroid_1"])
    for number, name in enumerate(("row_min", "col_min", "row_max", "col_max")):
        np.testing.assert_array_equal(table[f"bbox_{name}"], expected[f"bbox_{number}"])
    for name in [name for name in expected if name.startswith("intensity")]:
        np.testing.assert_allclose(table[name], expected[name])
    np.testing.assert_array_equal(table["predicted_iou"], [0.9, np.nan])
    np.testing.assert_array_equal(table["stability_score"], [0.95, np.nan])


def test_overlapping_masks_are_measured_whole():
    whole = MaskRecord.from_mask(np.ones(SIZE, bool))
    assert property_table([whole, whole])["area"].tolist() == [2400, 2400]


def test_physical_units_by_hand():
    mask = np.zeros(SIZE, bool)
    mask[10:14, 20:30] = True
    table = property_table([MaskRecord.from_mask(mask)], pixel_size=PixelSize(0.5, 2.0, "micron"))
    assert table["area"].tolist() == [40]
    assert table["area_um2"].tolist() == [40.0]
    assert (table["centroid_row_um"][0], table["centroid_col_um"][0]) == (11.5 * 0.5, 24.5 * 2.0)
    box = [table[f"bbox_{name}_um"][0] for name in ("row_min", "col_min", "row_max", "col_max")]
    assert box == [5.0, 40.0, 7.0, 60.0]


def test_empty_masks_have_no_position():
    table = property_table([MaskRecord.from_mask(np.zeros(SIZE, bool))], np.zeros(SIZE))
    assert table["area"].tolist() == [0]
    assert np.isnan([table[name][0] for name in ("centroid_row", "centroid_col", "intensity_mean")]).all()


@pytest.mark.parametrize("image", [None, np.zeros(SIZE), np.zeros((*SIZE, 3))])
def test_no_records_are_a_table_without_rows(tmp_path, image):
    table = property_table([], image, pixel_size=PixelSize(1, 1))
    assert {len(column) for column in table.values()} == {0}
    write_table(tmp_path / "a.csv", table)
    assert list(read_table(tmp_path / "a.csv")) == list(table)


@pytest.mark.parametrize("shape", [(3, 3), (40, 61), (40, 60, 3, 1), (40,)])
def test_other_images_are_refused(records, shape):
    with pytest.raises(ValueError, match="the image has"):
        property_table(records, np.zeros(shape))


def test_a_file_goes_both_ways_and_pandas_reads_it(tmp_path, records):
    table = property_table(records, np.random.default_rng(1).random(SIZE), pixel_size=PixelSize(0.1, 0.3))
    path = tmp_path / "a.csv"
    write_table(path, table)
    back, frame = read_table(path), pd.read_csv(path)
    assert list(back) == list(frame.columns) == list(table)
    for name, column in table.items():
        np.testing.assert_array_equal(back[name], column)
        np.testing.assert_allclose(frame[name], column)
        assert back[name].dtype == column.dtype
    assert next(csv.DictReader(path.open(newline="")))["label"] == "1"


def test_columns_are_equally_long(tmp_path):
    with pytest.raises(ValueError, match="lengths"):
        write_table(tmp_path / "a.csv", {"a": np.zeros(2), "b": np.zeros(3)})
    assert list(tmp_path.iterdir()) == []


HEADER = b"label,area,centroid_row,centroid_col\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"name,age\nx,3\n",
        HEADER + b"1,2\n",
        HEADER + b"1,2,3,x\n",
        b'"' + b"a" * 200_000,
        b"a\x00b\n",
    ],
)
def test_other_files_give_one_sentence(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"^a\.csv[^\n]*$"):
        read_table(tmp_path / "a.csv")
