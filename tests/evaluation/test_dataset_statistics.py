"""Statistics of data sets: worked out by hand, of all three layouts, and the convex hull against scikit-image."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from skimage.morphology import convex_hull_image

from napari_segany.engine.progress import drain
from napari_segany.evaluation.dataset_report import statistics_table, write_statistics
from napari_segany.evaluation.dataset_statistics import (
    MaskStatistics,
    center_map,
    concavity,
    image_shares,
    matched_by_size,
    statistics_steps,
)
from napari_segany.evaluation.mask_sources import find_all_masks, find_masks
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths
from napari_segany.formats.sa1b import write_sa1b


def rle(text):
    return RunLengths.from_mask(np.array([[char == "#" for char in row] for row in text.split()]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("### ### ###", 0),
        ("##. ##. ###", 0),  # no missing pixel has its centre in the hull
        ("#.# #.# ###", 1 - 7 / 9),
        ("#.. ... ..#", 1 - 2 / 3),
        ("#.. ... ...", 0),
        ("... ... ...", 0),
        (".#. ### .#.", 0),
    ],
)
def test_concavity_by_hand(text, expected):
    assert concavity(rle(text)) == pytest.approx(expected)


def test_the_hull_is_that_of_scikit_image():
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = rng.random((15, 12)) < 0.1
        hull = convex_hull_image(mask, offset_coordinates=False).sum()
        assert concavity(RunLengths.from_mask(mask)) == pytest.approx(1 - mask.sum() / hull)


@pytest.fixture
def layouts(tmp_path):
    """The same two masks on 20 x 40 pixels as labels, COCO and SA-1B."""
    labels = np.zeros((20, 40), np.uint8)
    labels[0:4, 0:8] = 1
    labels[10:20, 20:40] = 2
    labels[12:18, 22:38] = 0
    for kind in ("images", "labels"):
        (tmp_path / "labelled" / kind).mkdir(parents=True)
        Image.fromarray(labels).save(tmp_path / "labelled" / kind / "a.png")
    records = [MaskRecord.from_mask(labels == number) for number in (1, 2)]
    (tmp_path / "sa").mkdir()
    write_sa1b(tmp_path / "sa" / "sa_1.json", records, file_name="sa_1.jpg", size=labels.shape)
    annotations = [
        {"id": n, "image_id": 4, "category_id": 1, "segmentation": one.rle.to_dict()} for n, one in enumerate(records)
    ]
    annotations.append({**annotations[0], "id": 9, "iscrowd": 1})
    images = [{"id": 4, "file_name": "a.png", "height": 20, "width": 40}]
    categories = [{"id": 1, "name": "thing"}]
    (tmp_path / "coco").mkdir()
    values = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "coco" / "instances.json").write_text(json.dumps(values))
    return tmp_path


def test_all_layouts_have_the_same_numbers(layouts, tmp_path):
    found, skipped = drain(statistics_steps(find_masks(layouts)))
    assert set(found) == {"labelled", "sa", "instances"}
    assert not skipped
    for own in found.values():
        assert own.masks_per_image.tolist() == [2]
        assert own.areas.tolist() == [32, 200 - 96]
        np.testing.assert_allclose(own.relative_sizes, np.sqrt([32 / 800, 104 / 800]))
        np.testing.assert_allclose(own.concavities, [0, 1 - 104 / 200])
        np.testing.assert_allclose(own.centers, [[2 / 20, 4 / 40], [15 / 20, 30 / 40]])
        assert center_map(own, 2).tolist() == [[0.5, 0], [0, 0.5]]
    assert "| sa | 1 | 2 | 2.0 | 2.0 | 0.280 | 0.240 | 0.240 | 2 |" in statistics_table(found)
    write_statistics(found, tmp_path)
    assert "sa,sa_1,32,0.200000,0.000000,0.100000,0.100000" in (tmp_path / "masks.csv").read_text()
    with pytest.raises(ValueError, match="holds no masks; give a folder"):
        find_masks(layouts / "labelled" / "images")


def test_data_sets_of_one_name_are_told_apart(layouts, tmp_path):
    places = [
        tmp_path / name for name in ("a/cells", "b/cells", "a/export", "b/export", "c/deep/cells", "d/deep/cells")
    ]
    for place in places:
        place.mkdir(parents=True)
        if place.name == "export":
            shutil.copy(layouts / "coco/instances.json", place / "coco.json")
        else:
            shutil.copy(layouts / "sa/sa_1.json", place)
    alone, _ = drain(statistics_steps(find_all_masks([places[2]])))
    assert list(alone) == ["export"]  # a file coco.json says nothing
    found, _ = drain(statistics_steps(find_all_masks([*places, places[0]])))  # one of them twice
    whole = [str(place.resolve()) for place in places[4:]]
    assert list(found) == ["a/cells", "b/cells", "a/export", "b/export", *whole]
    assert {tuple(own.masks_per_image) for own in found.values()} == {(2,)}


def test_images_without_masks_are_among_those_with_few():
    counts = np.array([0, 0, 10, 11, 50, 51, 200, 201])
    nothing = np.zeros(0)
    own = MaskStatistics(tuple("abcdefgh"), counts, nothing, nothing, nothing, nothing, nothing)
    assert (image_shares(own) * 8).tolist() == [3, 2, 1, 1, 1]


def test_sizes_are_matched_bin_by_bin():
    def of(sizes):
        sizes = np.array(sizes)
        nothing = np.zeros(len(sizes))
        return MaskStatistics(
            ("a",), np.array([len(sizes)]), nothing.astype(int), nothing.astype(int), sizes, nothing, nothing
        )

    sets = {"small": of([0.01, 0.02, 0.03, 0.33]), "mixed": of([0.02, 0.31, 0.32, 0.99])}
    chosen = matched_by_size(sets)
    binned = {name: np.sort(own.relative_sizes[chosen[name]] * 20).astype(int).tolist() for name, own in sets.items()}
    assert binned == {"small": [0, 6], "mixed": [0, 6]}
    assert len(matched_by_size({"a": of([0.1]), "b": of([0.9])})["a"]) == 0
