from __future__ import annotations

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as mask_api

from napari_segany.formats.record import MaskRecord
from napari_segany.formats.yolo import (
    YoloData,
    YoloObject,
    label_path_of,
    read_data_yaml,
    read_yolo_labels,
    write_data_yaml,
    write_yolo_labels,
)

SIZE = (12, 20)


def item(mask: np.ndarray, class_index: int = 0) -> YoloObject:
    return YoloObject(MaskRecord.from_mask(mask), class_index)


def rectangle() -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[3:9, 5:15] = True
    return mask


def test_a_line_is_a_class_and_normalised_corners(tmp_path):
    path = tmp_path / "a.txt"
    write_yolo_labels(path, [item(rectangle(), 3)])
    (line,) = path.read_text().splitlines()
    first, *numbers = line.split()
    corners = np.reshape([float(number) for number in numbers], (-1, 2))
    assert first == "3"
    assert {tuple(corner) for corner in corners} == {(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)}


@settings(deadline=None)
@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 13), st.integers(1, 13))), st.integers(0, 80))
def test_parts_and_holes_come_back_exactly(tmp_path_factory, mask, class_index):
    path = tmp_path_factory.mktemp("yolo") / "a.txt"
    write_yolo_labels(path, [item(mask, class_index), item(np.ones(mask.shape, bool), 1)])
    back = read_yolo_labels(path, mask.shape)
    if mask.any():
        np.testing.assert_array_equal(back[0].record.mask, mask)
        assert back[0].class_index == class_index
        numbers = np.reshape(path.read_text().splitlines()[0].split()[1:], (-1, 2)).astype(float)
        ring = (numbers * np.array(mask.shape)[::-1]).ravel().tolist()
        judged = mask_api.decode(mask_api.frPyObjects([ring], *mask.shape))[..., 0]
        np.testing.assert_array_equal(judged, mask)
    assert len(back) == 1 + mask.any()
    assert back[-1].record.mask.all()


def test_large_images_have_digits_enough(tmp_path):
    mask = np.zeros((7, 99_991), bool)
    mask[1:5, 33_333:99_990] = True
    mask[2, 77_777] = False
    write_yolo_labels(tmp_path / "a.txt", [item(mask)])
    np.testing.assert_array_equal(read_yolo_labels(tmp_path / "a.txt", mask.shape)[0].record.mask, mask)


def test_parts_joined_by_others_are_read_apart(tmp_path):
    """Two squares of 2 x 2 pixels, joined as Ultralytics' converter does: at near vertices, forth and back."""
    points = [(2, 0), (2, 2), (0, 2), (0, 0), (2, 0), (6, 0), (8, 0), (8, 2), (6, 2), (6, 0)]
    text = " ".join(f"{x / 20:g} {y / 12:.6g}" for x, y in points)
    (tmp_path / "a.txt").write_text(f"0 {text}\n\n")
    expected = np.zeros(SIZE, bool)
    expected[0:2, 0:2] = expected[0:2, 6:8] = True
    np.testing.assert_array_equal(read_yolo_labels(tmp_path / "a.txt", SIZE)[0].record.mask, expected)


def test_images_without_objects_have_an_empty_file(tmp_path):
    write_yolo_labels(tmp_path / "a.txt", [])
    assert (tmp_path / "a.txt").read_bytes() == b""
    assert read_yolo_labels(tmp_path / "a.txt", SIZE) == []


def test_a_simplified_line_is_shorter(tmp_path):
    rows, cols = np.indices((100, 120))
    disc = np.hypot(rows - 50, cols - 60) < 40
    write_yolo_labels(tmp_path / "exact.txt", [item(disc)])
    write_yolo_labels(tmp_path / "short.txt", [item(disc)], tolerance=1.0)
    assert (tmp_path / "short.txt").stat().st_size < (tmp_path / "exact.txt").stat().st_size / 3


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ([item(rectangle(), -1)], "class is -1"),
        ([item(rectangle()), item(np.eye(3, dtype=bool))], "one size"),
    ],
)
def test_what_cannot_be_written_leaves_no_file(tmp_path, objects, words):
    with pytest.raises(ValueError, match=words):
        write_yolo_labels(tmp_path / "a.txt", objects)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 0.5 0.5 0.2 0.2", "a box"),
        ("0", "0 coordinates"),
        ("0 0.1 0.1 0.2 0.2 0.3", "5 coordinates"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "7 coordinates"),
        ("cell 0.1 0.1 0.2 0.2 0.3 0.3", "else than numbers"),
        ("-1 0.1 0.1 0.2 0.2 0.3 0.3", "class is -1"),
        ("0.5 0.1 0.1 0.2 0.2 0.3 0.3", "class is 0.5"),
        ("nan 0.1 0.1 0.2 0.2 0.3 0.3", "class is nan"),
        ("inf 0.1 0.1 0.2 0.2 0.3 0.3", "class is inf"),
        ("0 10 10 20 20 30 30", "between 0 and 1"),
        ("0 0.1 nan 0.2 0.2 0.3 0.3", "between 0 and 1"),
    ],
)
def test_damaged_lines_are_named(tmp_path, line, words):
    (tmp_path / "a.txt").write_text(f"0 0.1 0.1 0.2 0.2 0.3 0.1\n{line}\n")
    with pytest.raises(ValueError, match=rf"^a\.txt, line 2: [^\n]*{words}"):
        read_yolo_labels(tmp_path / "a.txt", SIZE)


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text(alphabet="0123456789.- \nenaif", max_size=60).map(str.encode))
def test_other_files_give_one_sentence(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "a.txt"
    path.write_bytes(content)
    sentence = None
    try:
        read_yolo_labels(path, SIZE)
    except ValueError as error:
        sentence = str(error)
    assert sentence is None or (sentence.startswith("a.txt") and "\n" not in sentence)


def test_labels_lie_beside_images():
    assert label_path_of("set/images/train/a.b.png").as_posix() == "set/labels/train/a.b.txt"
    assert label_path_of("images/images/a.tif").as_posix() == "images/labels/a.txt"
    with pytest.raises(ValueError, match="no folder 'images'"):
        label_path_of("pictures/images.png")


def test_data_yaml_goes_both_ways(tmp_path):
    data = YoloData({1: "yes: 'no'", 0: "Zelle ü"}, train="images/a", val="images/b")
    write_data_yaml(tmp_path / "data.yaml", data)
    assert read_data_yaml(tmp_path / "data.yaml") == data
    values = yaml.safe_load((tmp_path / "data.yaml").read_text(encoding="utf-8"))
    assert values == {"train": "images/a", "val": "images/b", "names": {0: "Zelle ü", 1: "yes: 'no'"}}


def test_data_yaml_of_others(tmp_path):
    (tmp_path / "data.yaml").write_text("train: ../train/images # 70 %\nval: v\nnc: 2\nnames: ['cat', 7]\ntest:\n")
    assert read_data_yaml(tmp_path / "data.yaml") == YoloData({0: "cat", 1: "7"}, ".", "../train/images", "v")


def test_classes_are_numbered_without_gaps(tmp_path):
    with pytest.raises(ValueError, match=r"\[1, 2\]"):
        write_data_yaml(tmp_path / "data.yaml", YoloData({1: "a", 2: "b"}))


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"names: [a",
        b"[]",
        b"",
        b"train: a\nval: b",
        b"train: a\nval: b\nnames: 3",
        b"train: a\nval: b\nnames: []",
        b"train: a\nval: b\nnames: {a: 0}",
        b"train: a\nval: b\nnames: [[a]]",
        b"train: 3\nval: b\nnames: [a]",
        b"val: b\nnames: [a]",
        b"[" * 5000,
        b"? [a, b]\n: c",
        b"{[a]: 1}: 2",
    ],
)
def test_damaged_data_yaml_gives_one_sentence(tmp_path, content):
    (tmp_path / "data.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=r"^data\.yaml[^\n]*$"):
        read_data_yaml(tmp_path / "data.yaml")
