"""Quality review: order, ratings that are kept, pairs of two models, and the statistics worked out independently."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from PIL import Image

from napari_segany.cli.main import main
from napari_segany.evaluation.review import Review, compare, mean_rating, read_ratings, review_items, review_text
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.sa1b import write_sa1b


def square(top, left, side=10):
    mask = np.zeros((40, 60), bool)
    mask[top : top + side, left : left + side] = True
    return MaskRecord.from_mask(mask)


@pytest.fixture
def folders(tmp_path):
    """Two models: the second has the first's two objects in the other order, slightly off, and one of its own."""
    masks = {"one": [square(0, 0), square(20, 20)], "two": [square(20, 21), square(1, 0), square(0, 45)]}
    for name, records in masks.items():
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((40, 60), np.uint8)).save(tmp_path / name / "sa_1.jpg")
        write_sa1b(tmp_path / name / "sa_1.json", records, file_name="sa_1.jpg", size=(40, 60))
    return {name: tmp_path / name for name in masks}


def test_masks_of_one_object_are_paired(folders):
    objects = {(item.source, item.mask): item.object for item in review_items(folders)}
    assert objects["two", 2] == objects["one", 1]
    assert objects["two", 1] == objects["one", 2]
    assert objects["two", 3] == "two 3"
    assert len({item.object for item in review_items(folders, count=1)}) == 1


@pytest.fixture
def exports(tmp_path):
    """The first of a, b and c, the second of a and c: an export numbers what is done."""
    folders = {"one": tmp_path / "one", "two": tmp_path / "two"}
    for (_source, folder), names in zip(folders.items(), ("abc", "ac"), strict=True):
        folder.mkdir()
        for number, name in enumerate(names, 1):
            Image.fromarray(np.zeros((40, 60), np.uint8)).save(folder / f"sa_{number}.jpg")
            file = {"file_name": f"sa_{number}.jpg", "size": (40, 60), "extra": {"source_file": f"{name}.png"}}
            write_sa1b(folder / f"sa_{number}.json", [square(0, 0)], **file)
    return folders


def test_masks_of_one_image_are_paired_whatever_its_number_in_the_export(exports):
    pairs = {}
    for item in review_items(exports):
        pairs.setdefault((item.image, item.object), []).append((item.source, item.path.stem))
    assert pairs == {
        ("a.png", "one 1"): [("one", "sa_1"), ("two", "sa_1")],
        ("b.png", "one 1"): [("one", "sa_2")],
        ("c.png", "one 1"): [("one", "sa_3"), ("two", "sa_2")],
    }


def test_a_table_that_names_images_by_number_is_gone_on_with(exports, tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text("source,image,mask,object,rating\ntwo,sa_2,1,one 1,7\n")
    review = Review(review_items(exports), path)
    assert review.rated == 1
    while review.current is not None:
        review.rate(5)
    assert len(read_ratings(path)) == 5
    assert [row["image"] for row in read_ratings(path) if row["rating"] == "7"] == ["c.png"]


def test_ratings_of_masks_that_are_not_shown_stay_in_the_table(folders, tmp_path):
    path = tmp_path / "ratings.csv"
    both = Review(review_items(folders), path)
    while both.current is not None:
        both.rate(6)
    rows = read_ratings(path)
    alone = Review(review_items({"three": folders["one"]}), path)
    assert alone.rated == 0
    alone.rate(9)
    assert [row for row in read_ratings(path) if row["source"] != "three"] == rows
    assert len(read_ratings(path)) == len(rows) + 1


def test_ratings_are_kept_and_gone_on_with(folders, tmp_path):
    items, path = review_items(folders), tmp_path / "ratings.csv"
    review = Review(items, path, seed=3)
    assert [item.key for item in review.order] != [item.key for item in items]
    first = review.current
    review.rate(7)
    with pytest.raises(ValueError, match="the rating is 11"):
        review.rate(11)
    again = Review(items, path, seed=3)
    assert again.rated == 1
    assert again.current == review.current != first
    again.back()
    again.rate(2)
    while again.current is not None:
        again.rate(5)
    assert {row["rating"] for row in read_ratings(path)} == {"2", "5"}
    path.write_text("a,b\n")
    with pytest.raises(ValueError, match="no table of ratings"):
        Review(items, path)


def rows(first, second):
    pairs = [("a", first), ("b", second)]
    return [
        {"source": name, "image": "i", "object": str(n), "mask": "1", "rating": str(value)}
        for name, own in pairs
        for n, value in enumerate(own)
    ]


def test_statistics_by_hand():
    # mean 6, standard deviation 2, standard error 2 / sqrt(5); t of 4 degrees of freedom is 2.7764
    cell = mean_rating([4, 4, 6, 8, 8])
    assert (cell.mean, cell.high - cell.mean) == (6, pytest.approx(2.7764 * 2 / np.sqrt(5), rel=1e-4))
    found = compare(rows([8, 7, 9, 8], [7, 5, 8, 8]))
    # differences 1, 2, 1, 0: mean 1, standard deviation sqrt(2 / 3), t = 1 / (sqrt(2 / 3) / 2)
    assert found.difference.mean == 1
    assert found.t == pytest.approx(2 / np.sqrt(2 / 3))
    assert found.p == pytest.approx(0.0917, abs=1e-3)
    assert 0 <= found.difference.low < 1 < found.difference.high <= 2
    assert compare(rows([8], [7])) is None
    assert np.isnan(mean_rating([5]).low)


def test_what_cannot_be_told_is_a_dash():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = review_text(rows([8, 7, 9], [7, 6, 8]))
        alone = review_text(rows([8], []))
    assert "+1.00 (99 % interval by a paired bootstrap +1.00 to +1.00); paired t-test: -." in text
    assert "| a | 1 | 8.00 | - |" in alone


def test_the_command_tells_what_the_ratings_say(tmp_path, capsys):
    path = tmp_path / "ratings.csv"
    lines = [f"{row['source']},i,{n},{row['object']},{row['rating']}" for n, row in enumerate(rows([8, 7], [7, 5]))]
    path.write_text("\n".join(["source,image,mask,object,rating", *lines]))
    assert main(["dataset", "ratings", str(path), "--output", str(tmp_path / "out")]) == 0
    assert "| a | 2 | 7.50 |" in capsys.readouterr().out
    assert (tmp_path / "out" / "ratings.png").is_file()
