"""Files as Labels layers through napari's own opening, and what goes there and back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image
from pycocotools import mask as mask_api

from napari_segany.formats.coco import CocoObject, writing_coco
from napari_segany.formats.record import MaskRecord, write_records
from napari_segany.formats.sa1b import write_sa1b
from napari_segany.formats.yolo import YoloData, YoloObject, write_data_yaml, write_yolo_labels
from napari_segany.widgets.file_readers import get_json_reader

SIZE = (30, 40)


pytestmark = pytest.mark.usefixtures("known_to_napari")


def square(top: int, left: int, side: int, **scores) -> MaskRecord:
    mask = np.zeros(SIZE, bool)
    mask[top : top + side, left : left + side] = True
    return MaskRecord.from_mask(mask, **scores)


LARGE = square(2, 2, 20, predicted_iou=0.9, stability_score=0.95, prompt={"points": [[4.0, 5.0]], "labels": [1]})
SMALL = square(6, 6, 5, predicted_iou=0.8, stability_score=0.99)
COVERED = square(7, 7, 2, predicted_iou=0.7)
NESTED = [SMALL, LARGE, COVERED]


def opened(viewer, path):
    return viewer.open(str(path), plugin="napari-segany")


@pytest.fixture
def coco_file(tmp_path):
    path = tmp_path / "cells.coco.json"
    with writing_coco(path, {3: "cell", 8: "nucleus"}) as coco:
        objects = [CocoObject(record, category) for record, category in zip(NESTED, (3, 8, 3), strict=True)]
        coco.add("cells.png", SIZE, objects, {"license": 4})
    return path


def test_nested_masks_are_painted_smaller_on_top_with_their_scores(viewer, coco_file):
    (layer,) = opened(viewer, coco_file)
    assert layer.name == "cells"
    expected = np.zeros(SIZE, int)
    for label in (2, 1, 3):  # by falling area
        expected[NESTED[label - 1].mask] = label
    np.testing.assert_array_equal(layer.data, expected)
    assert layer.features["index"].tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(layer.features["predicted_iou"], [np.nan, 0.8, 0.9, 0.7])
    np.testing.assert_array_equal(layer.features["stability_score"], [np.nan, 0.99, 0.95, np.nan])
    assert layer.features["category"].tolist() == ["", "cell", "nucleus", "cell"]
    assert "predicted_iou: 0.7" in str(layer.get_status((7, 7)))


def test_saving_again_loses_nothing_of_a_coco_file(viewer, coco_file, tmp_path):
    (layer,) = opened(viewer, coco_file)
    (path,) = layer.save(str(tmp_path / "again.coco.json"))
    before, after = (json.loads((tmp_path / name).read_text()) for name in ("cells.coco.json", path))
    for annotation in after["annotations"]:
        del annotation["label"]
    assert after == before


def test_saving_again_loses_nothing_of_an_sa1b_file(viewer, tmp_path):
    write_sa1b(tmp_path / "a.sa1b.json", NESTED, file_name="a.jpg", size=SIZE, image_id=77, extra={"camera": "x"})
    (layer,) = opened(viewer, tmp_path / "a.sa1b.json")
    layer.save(str(tmp_path / "b.sa1b.json"))
    assert json.loads((tmp_path / "b.sa1b.json").read_text()) == json.loads((tmp_path / "a.sa1b.json").read_text())


def test_what_is_painted_since_is_saved_and_the_hidden_rest_too(viewer, coco_file, tmp_path):
    (layer,) = opened(viewer, coco_file)
    layer.selected_label = 2
    layer.paint((25, 35), 2)  # a new spot of the large one
    drawn = (layer.data == 2) & ~LARGE.mask
    assert drawn.any()
    layer.data_setitem((np.array([3]), np.array([3])), 0)  # and one pixel less
    (path,) = layer.save(str(tmp_path / "again.coco.json"))
    found = [
        mask_api.decode(annotation["segmentation"]) > 0
        for annotation in json.loads((tmp_path / path).read_text())["annotations"]
    ]
    expected = LARGE.mask | drawn
    expected[3, 3] = False
    for mask, own in zip(found, (SMALL.mask, expected, COVERED.mask), strict=True):
        np.testing.assert_array_equal(mask, own)


def test_scores_that_were_changed_in_the_table_are_saved(viewer, coco_file, tmp_path):
    (layer,) = opened(viewer, coco_file)
    table = layer.features.copy()
    table.loc[2, "predicted_iou"] = 0.25
    layer.features = table
    (path,) = layer.save(str(tmp_path / "again.coco.json"))
    assert json.loads((tmp_path / path).read_text())["annotations"][1]["predicted_iou"] == 0.25


def test_a_stack_comes_back_with_its_labels_scores_and_place(viewer, tmp_path):
    stack = np.zeros((3, *SIZE), np.uint16)
    stack[0, 2:5, 2:5] = stack[2, 3:6, 2:5] = 4
    stack[2, 10:12, 10:12] = 9
    place = {"scale": [2, 0.5, 0.5], "translate": [1, 2, 3], "units": ["um", "um", "um"]}
    features = {"index": range(10), "predicted_iou": np.linspace(0, 0.9, 10)}
    (path,) = viewer.add_labels(stack, features=features, name="s", **place).save(str(tmp_path / "s.coco.json"))
    (back,) = opened(viewer, path)
    np.testing.assert_array_equal(back.data, stack)
    np.testing.assert_array_equal(back.scale, place["scale"])
    np.testing.assert_array_equal(back.translate, place["translate"])
    assert [str(unit) for unit in back.units] == ["micrometer"] * 3
    assert back.features["predicted_iou"][4] == pytest.approx(0.4)
    assert back.features["area"][4] == 18
    back.save(str(tmp_path / "t.coco.json"))
    assert json.loads((tmp_path / "t.coco.json").read_text()) == json.loads((tmp_path / "s.coco.json").read_text())


def test_a_file_of_several_images_opens_a_layer_each(viewer, tmp_path):
    with writing_coco(tmp_path / "set.coco.json") as coco:
        coco.add("one.png", SIZE, [CocoObject(LARGE)])
        coco.add("folder/two.png", (5, 6), [])
    one, two = opened(viewer, tmp_path / "set.coco.json")
    assert (one.name, two.name) == ("one", "two")
    assert (one.visible, two.visible) == (True, False)
    assert (one.data.shape, two.data.shape) == (SIZE, (5, 6))
    assert "category" not in one.features


def test_a_data_set_of_too_many_images_is_told(viewer, tmp_path):
    with writing_coco(tmp_path / "set.coco.json") as coco:
        for number in range(51):
            coco.add(f"{number}.png", (2, 2), [])
    with pytest.raises(ValueError, match="holds 51 images, and at most 50"):
        opened(viewer, tmp_path / "set.coco.json")


def test_published_names_are_recognised_by_what_they_hold(viewer, tmp_path):
    write_sa1b(tmp_path / "sa_1.json", [LARGE], file_name="sa_1.jpg", size=SIZE)
    with writing_coco(tmp_path / "instances_val.json") as coco:
        coco.add("a.jpg", SIZE, [CocoObject(SMALL)])
    write_records(tmp_path / "records.json", [LARGE, SMALL])
    assert [
        opened(viewer, tmp_path / f"{name}.json")[0].data.max() for name in ("sa_1", "instances_val", "records")
    ] == [
        1,
        1,
        2,
    ]


def test_other_json_files_are_left_to_others(viewer, tmp_path):
    (tmp_path / "settings.json").write_text('{"window": [1, 2]}')
    assert get_json_reader(str(tmp_path / "settings.json")) is None
    assert get_json_reader(str(tmp_path / "missing.json")) is None
    assert get_json_reader([str(tmp_path / "a.coco.json")]) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.coco.json", "no json"),
        ("a.coco.json", '{"images": [], "categories": [], "annotations": []}'),
        ("a.coco.json", '{"images": 3}'),
        ("a.sa1b.json", "[]"),
        ("a.sa1b.json", '{"image": {"file_name": "a", "image_id": 1, "width": 3, "height": -3}}'),
        ("b.json", '{"images": [{"id": 1}]'),
        ("c.json", '{"masks": [{}]}'),
        ("c.json", '{"masks": []}'),
        ("d.txt", "0 0.1 0.1 0.2 0.2 0.3 0.3"),
        ("e.labels.tif", "no tiff"),
    ],
)
def test_a_damaged_file_is_one_sentence_and_opens_nothing(viewer, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=name) as caught:
        opened(viewer, tmp_path / name)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert len(viewer.layers) == 0


def test_damaged_fields_of_our_own_are_one_sentence_too(viewer, tmp_path):
    write_sa1b(
        tmp_path / "a.sa1b.json", [LARGE], file_name="a", size=SIZE, extra={"napari_segany": {"scale": [0, 1]}}
    )
    with pytest.raises(ValueError, match=r"a\.sa1b\.json: the field 'napari_segany'.*positive"):
        opened(viewer, tmp_path / "a.sa1b.json")


def test_two_images_that_are_one_plane_are_told(viewer, tmp_path):
    extra = {"napari_segany": {"stack": "s", "shape": [2, *SIZE], "plane": [1]}}
    with writing_coco(tmp_path / "s.coco.json") as coco:
        coco.add("s[1]", SIZE, [], extra)
        coco.add("s[one]", SIZE, [], extra)
    with pytest.raises(ValueError, match=r"two images are the plane \[1\]"):
        opened(viewer, tmp_path / "s.coco.json")


@pytest.mark.parametrize("labels", [[1, 1, 2], [0, 1, 2], [1, 2, 10**9], [1, 2, None]])
def test_labels_of_a_file_that_do_not_serve_are_numbered_anew(viewer, tmp_path, labels):
    with writing_coco(tmp_path / "a.coco.json") as coco:
        objects = [CocoObject(record, label=label) for record, label in zip(NESTED, labels, strict=True)]
        coco.add("a", SIZE, objects)
    (layer,) = opened(viewer, tmp_path / "a.coco.json")
    assert np.unique(layer.data).tolist() == [0, 1, 2, 3]
    assert len(layer.features) == 4


@pytest.mark.parametrize("beside", [True, False])
def test_yolo_text_takes_its_size_from_the_image_and_names_from_data_yaml(viewer, tmp_path, beside):
    folder = tmp_path / "labels" / "train"
    images = folder if beside else tmp_path / "images" / "train"
    for each in {folder, images}:
        each.mkdir(parents=True)
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(images / "a.PNG")
    write_yolo_labels(folder / "a.txt", [YoloObject(SMALL, 1), YoloObject(LARGE, 0)])
    write_data_yaml(tmp_path / "data.yaml", YoloData({0: "cell", 1: "nucleus"}))
    (layer,) = opened(viewer, folder / "a.txt")
    assert layer.features["category"].tolist() == ["", "nucleus", "cell"]
    assert (layer.data == 1).sum() == SMALL.area
    layer.save(str(folder / "b.txt"))
    assert (folder / "b.txt").read_text() == (folder / "a.txt").read_text()


def test_yolo_text_without_its_image_says_where_it_looked(viewer, tmp_path):
    (tmp_path / "a.txt").write_text("0 0.1 0.1 0.2 0.2 0.3 0.1")
    with pytest.raises(ValueError, match=r"no image a\.\* lies beside it"):
        opened(viewer, tmp_path / "a.txt")


def test_label_tiff_opens_as_labels_where_they_lay(viewer, tmp_path):
    stack = np.zeros((2, *SIZE), np.int32)
    stack[1, 3:6, 3:6] = 300
    layer = viewer.add_labels(stack, scale=[1, 0.5, 0.25], units=["pixel", "um", "um"])
    (path,) = layer.save(str(tmp_path / "a.labels.tif"))
    (back,) = opened(viewer, path)
    assert type(back).__name__ == "Labels"
    assert back.name == "a"
    np.testing.assert_array_equal(back.data, stack)
    np.testing.assert_allclose(back.data_to_world((1, 2, 3)), layer.data_to_world((1, 2, 3)))


def test_a_tiff_of_other_numbers_is_no_label_image(viewer, tmp_path):
    tifffile.imwrite(tmp_path / "a.labels.tif", np.zeros(SIZE, np.float32))
    with pytest.raises(ValueError, match="float32"):
        opened(viewer, tmp_path / "a.labels.tif")
