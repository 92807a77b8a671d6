from __future__ import annotations

import json

import numpy as np
import pytest

from napari_segany.formats.record import MaskRecord, read_records, write_records
from napari_segany.formats.rle import RunLengths


def ring() -> np.ndarray:
    rows, cols = np.indices((30, 40))
    distance = np.hypot(rows - 12, cols - 20)
    return (distance < 8) & (distance > 4)


def record(**values) -> MaskRecord:
    return MaskRecord.from_mask(ring(), **{"predicted_iou": 0.9, "stability_score": 0.8, **values})


def test_box_and_area_are_those_of_scikit_image():
    from skimage.measure import regionprops

    (region,) = regionprops(ring().astype(int))
    made = record()
    assert made.bbox == region.bbox
    assert made.area == region.area
    np.testing.assert_array_equal(made.mask, ring())
    assert made.crop_box == (0, 0, 30, 40)


def test_an_empty_mask_has_an_empty_box():
    made = MaskRecord.from_mask(np.zeros((5, 6), bool))
    assert (made.bbox, made.area, made.predicted_iou) == ((0, 0, 0, 0), 0, None)


def test_run_lengths_are_taken_as_they_are():
    assert MaskRecord.from_mask(RunLengths.from_mask(ring())) == MaskRecord.from_mask(ring())


def test_goes_through_json_unchanged():
    made = record(prompt={"points": [[12, 14]], "labels": [1]}, crop_box=(0, 4, 20, 30))
    back = MaskRecord.from_dict(json.loads(json.dumps(made.to_dict())))
    assert back == made
    assert isinstance(hash(back), int)


def test_scores_of_numpy_become_plain_numbers():
    made = record(predicted_iou=np.float32(0.5))
    assert type(made.predicted_iou) is float


def test_files_go_both_ways(tmp_path):
    path = tmp_path / "masks.json"
    made = [record(), MaskRecord.from_mask(~ring())]
    write_records(path, made)
    assert read_records(path) == made
    assert [entry.name for entry in tmp_path.iterdir()] == ["masks.json"]


@pytest.mark.parametrize(
    "text", ["", "[1, 2]", "{}", '{"masks": 3}', '{"masks": [1]}', '{"masks": [{"area": 3}]}', "\x89PNG"]
)
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="mask record"):
        read_records(path)


def test_a_missing_folder_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"masks\.json'"):
        write_records(tmp_path / "missing" / "masks.json", [])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("crop_box", 5),
        ("crop_box", [1, 2]),
        ("predicted_iou", "good"),
        ("stability_score", []),
        ("prompt", 3),
        ("rle", {"size": [2, 3], "counts": None}),
        ("rle", {"size": None, "counts": [6]}),
        ("rle", {"size": [2, 3], "counts": 5}),
    ],
)
def test_a_damaged_record_gives_one_sentence(tmp_path, key, value):
    path = tmp_path / "masks.json"
    write_records(path, [MaskRecord.from_mask(np.eye(3, dtype=bool))])
    values = json.loads(path.read_text())
    values["masks"][0][key] = value
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"^masks\.json is no sound file[^\n]*$"):
        read_records(path)
